"""What a question says, as a row of tokens: two questions with the same row may share an answer.

It is a list of what may differ, not of what may not: case, the shape of quotes and spaces, a full stop, the question
mark of what is a question anyway, contractions, numbers as words, and "please" at the two ends. Every other word,
number and sign counts, in its place. So a negation, a number, a name, an opposite, another unit or another order makes
another row, whether anybody thought of it or not. Raised figures, fractions, the sign of a factorial and the case of a
unit are such signs. Cosine does not: it puts opposites nearer to each other than
paraphrases (docs/adr/0036-no-cosine-in-the-answers-cache.md).
"""

from __future__ import annotations

import re
import unicodedata
from typing import Final

from projectone.assist.generation.cache.unit_symbols import is_case_said


def _words(text: str) -> list[str]:
    return text.split()


_NEGATED: Final = _words("do does did is are was were has have had would could should might must need")
_CONTRACTIONS: Final = (
    {
        "can't": "can not",
        "cannot": "can not",
        "won't": "will not",
        "shan't": "shall not",
        "i'm": "i am",
        "let's": "let us",
        "it's": "it is",
        "that's": "that is",
        "there's": "there is",
        "here's": "here is",
        "what's": "what is",
        "who's": "who is",
        "where's": "where is",
        "when's": "when is",
        "how's": "how is",
        "gonna": "going to",
        "wanna": "want to",
        "ok": "okay",
    }
    | {f"{verb}n't": f"{verb} not" for verb in _NEGATED}
    | {f"{who}'ll": f"{who} will" for who in ("i", "you", "we", "they")}
    | {f"{who}'ve": f"{who} have" for who in ("i", "you", "we", "they")}
    | {f"{who}'re": f"{who} are" for who in ("you", "we", "they")}
)
_UNITS: Final = _words(
    "zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen sixteen seventeen "
    "eighteen nineteen"
)
_SMALL: Final = {word: str(number) for number, word in enumerate(_UNITS)}
_TENS: Final = {
    word: str(10 * number)
    for number, word in enumerate(("twenty", "thirty", "forty", "fifty", "sixty", "seventy", "eighty", "ninety"), 2)
}
# A sign with spaces around it subtracts, and so does a minus. "twenty five-year-olds" are twenty.
_TENS_AND_UNITS: Final = re.compile(
    rf"\b({'|'.join(_TENS)})(?:-({'|'.join(_UNITS[1:10])})|\s+({'|'.join(_UNITS[1:10])})(?!-))\b", re.I
)
# One word alone at the end: of two, "how do you say please" and "how do you say thanks" would be one question.
_POLITE_AFTER: Final = ("please",)
_POLITE_BEFORE: Final[tuple[tuple[str, ...], ...]] = (
    ("please",),
    ("can", "you", "please"),
    ("could", "you", "please"),
    ("would", "you", "please"),
    ("will", "you", "please"),
    # With a comma: without one a greeting can be the beginning of a name, as of a song.
    ("hey", ","),
    ("hi", ","),
    ("hello", ","),
)
_ASKING: Final = frozenset(
    _words(
        "what who whom whose where when why how which is are am was were do does did can could will would shall should "
        "may might must has have had"
    )
)
# Who asks how to say something may ask how to say "please" ("how do you say yes please").
_HOW_TO_SAY: Final = frozenset(
    _words("say says spell spells spelled spelt pronounce translate rhymes sang sings lyrics")
)
# Behind one of these something is missing, so the "please" there was not only polite.
_WANTS_MORE: Final = frozenset(
    _words(
        "a an the of for and or with than like between to is are was does mean word words phrase called named write "
        "type define play :"
    )
)
# Before one of these, "please" itself is what is asked about.
_SAYS_OF_PLEASE: Final = frozenset(_words("in by mean means meaning and or vs versus :"))
_SPELLING: Final = str.maketrans("\u00b5\u2018\u2019\u2032\u201c\u201d\u2013\u2014\u2212", "\u03bc'''\"\"---")
# A number with its points and colons, a word with its apostrophes, or any other sign by itself. A raised figure or a
# fraction is no digit: it is a sign, or a letter of its word.
_TOKEN: Final = re.compile(r"\d+(?:[.,:/]\d+)*|[^\W\d_]+(?:'[^\W\d_]+)*|[^\s\w]|\w")


def content_of(text: str) -> tuple[str, ...]:
    """What a text says; empty if it is nothing but politeness and signs."""
    # Not NFKC, which makes 32 of "3\u00b2"; not casefold, which makes the same of Masse and Ma\u00dfe.
    joined = _TENS_AND_UNITS.sub(_as_digits, unicodedata.normalize("NFC", text))
    words = _without_ends(_plain(_TOKEN.findall(joined.translate(_SPELLING))))
    return tuple(words) if any(word[0].isalnum() for word in words) else ()


def _as_digits(match: re.Match[str]) -> str:
    tens, hyphened, apart = match.groups()
    return str(int(_TENS[tens.lower()]) + int(_SMALL[(hyphened or apart).lower()]))


def _plain(tokens: list[str]) -> list[str]:
    """In small letters but for units, contractions as their words, number words up to 99 as digits."""
    made: list[str] = []
    for token in tokens:
        if is_case_said(token, behind=made[-1] if made else ""):
            made.append(token)
            continue
        for word in _CONTRACTIONS.get(token.lower(), token.lower()).split():
            made.append(_SMALL.get(word) or _TENS.get(word, word))
    return made


def _without_ends(words: list[str]) -> list[str]:
    """Without what is polite at the two ends, and the signs there that change nothing."""
    before: list[str] | None = None
    while words != before:
        before = words
        if words and _is_idle_at_end(words):
            words = words[:-1]
        if words and words[0] == ",":
            words = words[1:]
        for polite in _POLITE_BEFORE:
            if tuple(words[: len(polite)]) == polite and not _is_please_the_subject(words):
                words = words[len(polite) :]
        if words and words[-1] in _POLITE_AFTER and not _is_please_asked_for(words[:-1]):
            words = words[:-1]
    return words


def _is_idle_at_end(words: list[str]) -> bool:
    """Whether the last sign says nothing: behind a number or a letter, "!" is a factorial."""
    if words[-1] != "!":
        return words[-1] in (".", ",") or (words[-1] == "?" and words[0] in _ASKING)
    said = next((word for word in reversed(words) if word != "!"), "")
    return not (said[-1:].isnumeric() or said in (")", "]", "|") or (len(said) == 1 and said.isalpha()))


def _is_please_the_subject(words: list[str]) -> bool:
    """Whether the "please" before these words is what they are about."""
    return words[:1] == ["please"] and ("lyrics" in words or not _SAYS_OF_PLEASE.isdisjoint(words[1:2]))


def _is_please_asked_for(rest: list[str]) -> bool:
    """Whether the "please" behind these words may be what they ask for."""
    said = next((word for word in reversed(rest) if word not in _POLITE_AFTER), "")
    return not _HOW_TO_SAY.isdisjoint(rest) or said in _WANTS_MORE
