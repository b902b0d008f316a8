"""Numbers that are written out: "twenty five", "two hundred and three", "third"."""

from __future__ import annotations

import re
from typing import NamedTuple

_UNITS = (
    "zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten", "eleven", "twelve",
    "thirteen", "fourteen", "fifteen", "sixteen", "seventeen", "eighteen", "nineteen",
)  # fmt: skip
_TENS = ("twenty", "thirty", "forty", "fifty", "sixty", "seventy", "eighty", "ninety")
_ORDINALS = {
    "third": 3, "fourth": 4, "fifth": 5, "sixth": 6, "seventh": 7, "eighth": 8, "ninth": 9, "tenth": 10,
    "eleventh": 11, "twelfth": 12, "twentieth": 20, "thirtieth": 30, "twice": 2, "couple": 2, "dozen": 12,
}  # fmt: skip
_SCALES = {"hundred": 100, "thousand": 1000, "million": 10**6, "billion": 10**9}
_VALUES = (
    {word: value for value, word in enumerate(_UNITS)}
    | {word: 20 + 10 * place for place, word in enumerate(_TENS)}
    | {f"{word}th": value for value, word in enumerate(_UNITS) if value > 12}
    | _ORDINALS
)
_WORD = "|".join(sorted({*_VALUES, *_SCALES}, key=len, reverse=True))
_RUN = re.compile(rf"\b(?:a )?(?:{_WORD})(?:(?:[ -]| and )(?:{_WORD}))*\b", re.I)


class WrittenNumber(NamedTuple):
    """A number in words: as it stands there, its value, and where in the text it ends."""

    said: str
    value: int
    end: int


def numbers_in_words(text: str, *, is_one_a_number: bool = False) -> list[WrittenNumber]:
    """What stands there, in order.

    Args:
        text: To look through.
        is_one_a_number: Whether "one" alone counts: it is a pronoun more often than a number.
    """
    found = []
    for match in _RUN.finditer(text):
        words = [word for word in re.split(r"[ -]", match.group().lower()) if word != "a"]
        if words != ["one"] or is_one_a_number:
            found += [WrittenNumber(match.group(), value, match.end()) for value in _values(words)]
    return found


def _values(words: list[str]) -> list[int]:
    """Numbers side by side ("two three") are each their own; "twenty three" is one, "twenty and three" are two."""
    values: list[int] = []
    whole = part = 0
    last = 0
    for before, word in zip(["", *words], words, strict=False):
        if word == "and":
            continue
        if word in _SCALES:
            part = max(1, part) * _SCALES[word]
            if _SCALES[word] > 100:
                whole, part = whole + part, 0
            last = _SCALES[word]
            continue
        value = _VALUES[word]
        is_unit_of_tens = before != "and" and 20 <= last < 100 and 0 < value < 10
        fits = not last or is_unit_of_tens or last in _SCALES.values()
        if not fits:
            values.append(whole + part)
            whole = part = 0
        part += value
        last = value or 1
    return [*values, whole + part]
