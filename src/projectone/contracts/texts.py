"""The policy that every transcript passes before it is kept, sent or trained on; and how a text is shown.

A text is refused where it comes in and escaped where it goes out, so that neither rests on the other.
"""

from __future__ import annotations

import unicodedata
from typing import Annotated

from pydantic import AfterValidator

from projectone.errors import DataError

MAX_TRANSCRIPT_CHARACTERS = 2_000
MAX_MARKS_PER_BASE = 4
# Joiners change how Indic, Persian and emoji text is written, so they are text; every other format character is not.
_ALLOWED_FORMAT_CHARACTERS = {"\u200c", "\u200d"}
# Full-width signs begin a formula too, in programs that are set to East Asian input.
_FORMULA_SIGNS = tuple("=+-@\N{FULLWIDTH EQUALS SIGN}\N{FULLWIDTH PLUS SIGN}\N{FULLWIDTH HYPHEN-MINUS}\uff20")
_REFUSED_CATEGORIES = {
    "Cc": "a control character",
    "Cs": "a lone surrogate",
    "Co": "a private character",
    "Cn": "no character",
}


def clean_transcript(text: str, *, max_characters: int | None = None) -> str:
    """`text` in NFC with single spaces, if it is something a person could have said.

    Args:
        text: As it was written.
        max_characters: How long it may be; `MAX_TRANSCRIPT_CHARACTERS` if not given, for what may be sent.

    Raises:
        DataError: with the reason ``text-empty``, ``text-too-long`` or ``text-characters``.
    """
    longest = MAX_TRANSCRIPT_CHARACTERS if max_characters is None else max_characters
    if len(text) > longest:
        raise DataError("text-too-long", f"transcript: expected at most {longest} characters, got {len(text)}")
    marks = 0
    for position, character in enumerate(text):
        category = unicodedata.category(character)
        if character in "\t\n\r":
            continue
        if category in _REFUSED_CATEGORIES:
            what = _REFUSED_CATEGORIES[category]
            raise DataError("text-characters", f"transcript: {what} (U+{ord(character):04X}) at position {position}")
        if category == "Cf" and character not in _ALLOWED_FORMAT_CHARACTERS:
            raise DataError(
                "text-characters", f"transcript: an invisible character (U+{ord(character):04X}) at position {position}"
            )
        marks = marks + 1 if category in ("Mn", "Me") else 0
        if marks > MAX_MARKS_PER_BASE:
            raise DataError(
                "text-characters", f"transcript: over {MAX_MARKS_PER_BASE} marks on one letter ({position})"
            )
    cleaned = " ".join(unicodedata.normalize("NFC", text).split())
    if not any(unicodedata.category(character)[0] in "LN" for character in cleaned):
        raise DataError("text-empty", "transcript: expected at least one letter or digit")
    return cleaned


def printable(text: str, *, keep: str = "") -> str:
    """A text for a terminal or a log: what could move the cursor, hide, or turn the line around is spelled out.

    Args:
        text: Anything, from anywhere.
        keep: Characters that may stay, such as the ends of lines.
    """
    if text.isprintable():
        return text
    may_stay = _ALLOWED_FORMAT_CHARACTERS | set(keep)
    return "".join(c if c.isprintable() or c in may_stay else c.encode("unicode_escape").decode() for c in text)


def as_cell(text: str) -> str:
    """A text for a cell of a table: no program that opens it takes it for a formula."""
    shown = printable(text)
    return f"'{shown}" if shown.lstrip().startswith(_FORMULA_SIGNS) else shown


def _as_value_error(text: str) -> str:
    try:
        return clean_transcript(text)
    except DataError as error:  # pydantic turns ValueError into its own report
        raise ValueError(str(error)) from error


Transcript = Annotated[str, AfterValidator(_as_value_error)]
"""A text that passed the policy."""
