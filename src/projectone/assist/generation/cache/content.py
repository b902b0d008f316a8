"""What a question says, as a row of tokens: two questions with the same row may share an answer.

It is a list of what may differ, not of what may not: case, the shape of quotes and spaces, a full stop, the question
mark of what is a question anyway, contractions, numbers as words, and "please" at the two ends. Every other word,
number and sign counts, in its place. So a negation, a number, a name, an opposite, another unit or another order makes
another row, whether anybody thought of it or not. Cosine does not: it puts opposites nearer to each other than
paraphrases (docs/adr/0036-no-cosine-in-the-answers-cache.md).
"""

from __future__ import annotations

import re
import unicodedata
from typing import Final


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
    word: 10 * number
    for number, word in enumerate(("twenty", "thirty", "forty", "fifty", "sixty", "seventy", "eighty", "ninety"), 2)
}
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
_SPELLING: Final = str.maketrans("\u2018\u2019\u2032\u201c\u201d\u2013\u2014\u2212", "'''\"\"---")
# A number with its points and colons, a word with its apostrophes, or any other sign by itself.
_TOKEN: Final = re.compile(r"\d+(?:[.,:/]\d+)*|[^\W\d_]+(?:'[^\W\d_]+)*|[^\s\w]|\w")


def content_of(text: str) -> tuple[str, ...]:
    """What a text says; empty if it is nothing but politeness and signs."""
    plain = unicodedata.normalize("NFKC", text).translate(_SPELLING).casefold()
    words = [word for token in _TOKEN.findall(plain) for word in _CONTRACTIONS.get(token, token).split()]
    words = _without_ends(_numbers(words))
    return tuple(words) if any(word[0].isalnum() for word in words) else ()


def _numbers(words: list[str]) -> list[str]:
    """Number words up to 99 as digits; a hyphen inside one goes."""
    made: list[str] = []
    place = 0
    while place < len(words):
        word = words[place]
        if word in _TENS:
            skip = 2 if words[place + 1 : place + 2] == ["-"] else 1
            unit = _SMALL.get(words[place + skip], "") if place + skip < len(words) else ""
            if len(unit) == 1 and unit != "0":
                made.append(str(_TENS[word] + int(unit)))
                place += skip + 1
                continue
            made.append(str(_TENS[word]))
        else:
            made.append(_SMALL.get(word, word))
        place += 1
    return made


def _without_ends(words: list[str]) -> list[str]:
    """Without what is polite at the two ends, and the signs there that change nothing."""
    before: list[str] | None = None
    while words != before:
        before = words
        is_question = bool(words) and words[0] in _ASKING
        if words and (words[-1] in (".", "!", ",") or (words[-1] == "?" and is_question)):
            words = words[:-1]
        if words and words[0] == ",":
            words = words[1:]
        for polite in _POLITE_BEFORE:
            if tuple(words[: len(polite)]) == polite:
                words = words[len(polite) :]
        if words and words[-1] in _POLITE_AFTER:
            words = words[:-1]
    return words
