"""Where personal data stands in a text: by form, by the words around it, and by the names that the device knows.

It looks for too much rather than too little: what is hidden for no reason comes back with the answer. What it cannot
find is a name in small letters that the device does not know and no title or relative announces, what only the sense
gives away ("the mayor of our village"), and words of other languages than English. docs/answers.md has the figures.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Final, Literal

from projectone.assist.generation.masking.word_lists import (
    DIGITS,
    MEASURES,
    MONTHS,
    NO_NAMES,
    NOT_BEHIND_A_CUE,
    ORDINALS,
    RELATIVES,
    SHORT_WORDS,
    STREETS,
    TITLES,
    UNITS,
)

Kind = Literal["TEXT", "EMAIL", "LINK", "DATE", "ADDRESS", "NUMBER", "NAME"]

_MIN_DIGITS: Final = 3
_MIN_NAME_LETTERS: Final = 2


@dataclass(frozen=True)
class Span:
    """A stretch of a text that is hidden, and as what."""

    start: int
    end: int
    kind: Kind


def _any(words: Iterable[str]) -> str:
    return "(?:" + "|".join(sorted(map(re.escape, words), key=len, reverse=True)) + ")"


_MONTH, _UNIT, _ORDINAL, _STREET = _any(MONTHS), _any(UNITS), _any(ORDINALS), _any(STREETS)
_SPOKEN = rf"{_UNIT}(?:[ -](?:and )?{_UNIT})*"
_DAY = rf"(?:the )?(?:\d{{1,2}}(?:st|nd|rd|th)?|(?:(?:twenty|thirty)[ -])?{_ORDINAL})"
_SPOKEN_DOT = r"(?:\s{1,3}dot\s{1,3}|\s?[\[({<]\s?(?:dot|\.)\s?[\])}>]\s?)"
_JOINTS = rf"(?:(?:{_SPOKEN_DOT}|\s(?:underscore|dash|minus|plus)\s)[\w+-]+)*"
_LOCAL = r"(?<![\w.+%'\u2019-])[\w.+%'\u2019-]++"
_AT = r"(?:\s{1,3}at\s{1,3}|\s{0,3}@\s{0,3}|\s{0,3}[\[({<]\s?(?:at|@)\s?[\])}>]\s{0,3})"
# A written point is one of a host where letters follow it: "at 5.30" is a time.
_HOST = rf"[\w-]+(?:(?:{_SPOKEN_DOT}|\.)[\w-]+)*(?:{_SPOKEN_DOT}[\w-]+|\.[^\W\d_]{{2,}})\b"
# "Look at example.com" and "meet me at example.com" are places; any other word may be the name of an address.
_MEETING = "|".join(rf"(?<=\b{verb} )" for verb in ("meet", "find", "join", "see"))
_NO_ADDRESS = rf"(?!(?:look|looking|it|it's|them|available|(?:{_MEETING})(?:me|us|you|him|her))\sat\s)"
_MEASURE = rf"\d{{1,2}}{_any(MEASURES)}"
_SIGN = rf"(?:[a-z]|\d{{1,2}}|{_any(DIGITS)})"
_I: Final = re.IGNORECASE
_FORMS: Final[tuple[tuple[Kind, re.Pattern[str]], ...]] = (
    # What looks like our own marks would be put back as something else.
    ("TEXT", re.compile(r"\[?\b(?:TEXT|EMAIL|LINK|DATE|ADDRESS|NUMBER|NAME)_\d+\b\]?", _I)),
    ("EMAIL", re.compile(rf"{_LOCAL}@ ?[\w-]+(?:\.[\w-]+)*", _I)),
    # "mail me at ana dot k at host dot org" has two "at": which of them is the sign, nobody can know.
    (
        "EMAIL",
        re.compile(rf"{_NO_ADDRESS}{_LOCAL}{_JOINTS}(?:{_AT}[\w.+-]++{_JOINTS}){{0,3}}{_AT}{_HOST}", _I),
    ),
    ("LINK", re.compile(r"\b(?:https?://|www\.)\S+|(?<!\w)@\w{2,}", _I)),
    ("DATE", re.compile(r"\b\d{1,4}[-/.]\d{1,2}[-/.]\d{1,4}\b")),
    ("DATE", re.compile(rf"\b{_DAY}(?: of)? {_MONTH}\b\.?(?:,? (?:of )?(?:\d{{2,4}}|{_SPOKEN}))?", _I)),
    ("DATE", re.compile(rf"\b{_MONTH}\b\.? {_DAY}\b(?:,? (?:of )?(?:\d{{4}}|{_SPOKEN}))?", _I)),
    ("DATE", re.compile(rf"\b{_MONTH}\b\.?,? (?:of )?\d{{4}}\b", _I)),
    ("ADDRESS", re.compile(rf"\b\d{{1,5}} ?[a-z]?,? (?:[\w'-]+ ){{1,3}}?{_STREET}\b\.?", _I)),
    ("ADDRESS", re.compile(rf"\b{_UNIT}(?:[ -]{_UNIT})* (?:[\w'-]+ ){{1,2}}?(?:street|road|avenue|lane|drive)\b", _I)),
    ("ADDRESS", re.compile(r"\b[A-Z][\w'-]+(?:straße|strasse|weg|allee|platz|gasse) \d+[a-z]?\b", _I)),
    ("ADDRESS", re.compile(r"\b(?:flat|apartment|apt\.?|suite|unit|room|po box|p\.o\. box) ?#?\d+\w?\b", _I)),
    ("ADDRESS", re.compile(r"\b[A-Z]{1,2}\d[A-Z\d]? ?\d[A-Z]{2}\b", _I)),
    # Letters and digits in one word, and in groups: papers, plates, bank accounts.
    ("NUMBER", re.compile(rf"\b(?!{_MEASURE}\b)(?=\w*\d\w*\d)(?=\w*[a-z])[\w]{{5,}}(?: [a-z\d]{{2,4}}(?=\W|$))*", _I)),
    ("NUMBER", re.compile(rf"\b(?!{_MEASURE}\b)(?=\w*\d)(?=\w*[^\W\d_])\w+", _I)),
    # One sign after the other, as people spell.
    (
        "NUMBER",
        re.compile(
            rf"(?<![\w'\u2019.-])(?:(?!{_any(SHORT_WORDS)} )[a-z]{{2}} )?"
            rf"(?!\d+ [ap] m\b){_SIGN}(?: {_SIGN}){{2,}}(?![\w'\u2019])",
            _I,
        ),
    ),
    ("NUMBER", re.compile(rf"\+?\(?\d(?:[\s().,:/\u2013-]*\d){{{_MIN_DIGITS - 1},}}")),
    ("NUMBER", re.compile(rf"\b{_UNIT}(?:[ -](?:and )?{_UNIT}){{{_MIN_DIGITS - 1},}}\b", _I)),
    ("NUMBER", re.compile(rf"\b(?:\d{{1,3}}|{_SPOKEN})(?=[ -](?:years?|months?)[ -]old\b)", _I)),
    ("NUMBER", re.compile(rf"\b(?<=aged )(?:\d{{1,3}}|{_SPOKEN})\b", _I)),
    ("NUMBER", re.compile(r"(?<=\bI am )\d{1,3}\b|(?<=\bI'm )\d{1,3}\b", _I)),
)
_WORD = re.compile(r"[^\W\d_]+(?:['\u2019-][^\W\d_]+)*")
_CUES: Final = (
    re.compile(
        r"\b(?:my (?:full |first |last )?name is|my name's|(?:i am|i'm|he is|she is|is) (?:called|named)|named|speaking"
        r" with|on behalf of|signed|sincerely|regards,?) (?P<name>[\w'\u2019-]+(?: [\w'\u2019-]+)?)",
        _I,
    ),
    re.compile(rf"\b{_any(TITLES)}\.? (?P<name>[\w'\u2019-]+(?: [A-Z][\w'\u2019-]+)?)", _I),
    re.compile(rf"\bmy (?:\w+ )?{_any(RELATIVES)},? (?P<name>[\w'\u2019-]+(?: [A-Z][\w'\u2019-]+)?)", _I),
)


def spans(text: str, names: Iterable[str] = ()) -> list[Span]:
    """What is personal in a text, from left to right, without overlaps: where two overlap, both are hidden as one.

    Args:
        text: Anything, with its accents inside the letters (NFC).
        names: Names and words of the person's own, in whatever case.
    """
    found = [Span(match.start(), match.end(), kind) for kind, form in _FORMS for match in form.finditer(text)]
    found += _known(text, names)
    found += _announced(text)
    found += _capitalised(text)
    return _joined(sorted((span for span in found if span.end > span.start), key=lambda span: (span.start, -span.end)))


def _joined(found: list[Span]) -> list[Span]:
    joined: list[Span] = []
    for span in found:
        if joined and span.start < joined[-1].end:
            last = joined[-1]
            longer = max(last, span, key=lambda one: one.end - one.start)
            joined[-1] = Span(last.start, max(last.end, span.end), longer.kind)
        else:
            joined.append(span)
    return joined


def _known(text: str, names: Iterable[str]) -> Iterator[Span]:
    """Names that the device knows, whole, and the capitalised parts of those that have several."""
    parts: set[str] = set()
    for name in names:
        cleaned = " ".join(unicodedata.normalize("NFC", name).split())
        if sum(letter.isalpha() for letter in cleaned) >= _MIN_NAME_LETTERS:
            parts.add(cleaned)
        parts.update(word for word in cleaned.split() if word[:1].isupper() and word.casefold() not in NO_NAMES)
    wanted = [part for part in parts if len(part) >= _MIN_NAME_LETTERS]
    if wanted:
        for match in re.finditer(rf"(?<!\w){_any(wanted)}(?!\w)", text, _I):
            yield Span(match.start(), match.end(), "NAME")


def _announced(text: str) -> Iterator[Span]:
    for cue in _CUES:
        for match in cue.finditer(text):
            start = match.start("name")
            words = list(_WORD.finditer(match["name"]))
            while words and words[-1][0].casefold() in NOT_BEHIND_A_CUE:
                words.pop()
            if words and words[0][0].casefold() not in NOT_BEHIND_A_CUE:
                yield Span(start, start + words[-1].end(), "NAME")


def _capitalised(text: str) -> Iterator[Span]:
    """Words with a capital letter that are no common ones. In a text of capitals alone each may be a name."""
    for match in _WORD.finditer(text):
        if match[0][0].isupper() and match[0].casefold().replace("\u2019", "'") not in NO_NAMES:
            yield Span(match.start(), match.end(), "NAME")
