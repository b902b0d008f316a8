"""Number words as the digits that they dictate: "four one two" is 412, "vingt et un" 21, "dreiundvierzig" 43."""

from __future__ import annotations

import re
from functools import cache
from typing import Final

_UNITS: Final[dict[str, str]] = {
    "en": "zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen sixteen "
    "seventeen eighteen nineteen",
    "de": "null eins zwei drei vier fünf sechs sieben acht neun zehn elf zwölf dreizehn vierzehn fünfzehn sechzehn "
    "siebzehn achtzehn neunzehn",
    "fr": "zéro un deux trois quatre cinq six sept huit neuf dix onze douze treize quatorze quinze seize",
}
_TENS: Final[dict[str, str]] = {
    "en": "twenty thirty forty fifty sixty seventy eighty ninety",
    "de": "zwanzig dreißig vierzig fünfzig sechzig siebzig achtzig neunzig",
    "fr": "vingt trente quarante cinquante soixante",
}
_ALSO: Final[dict[str, dict[str, int]]] = {
    "en": {"oh": 0, "o": 0, "nought": 0, "naught": 0, "nil": 0},
    "de": {"zwo": 2, "ein": 1, "fuenf": 5, "zwoelf": 12},
    "fr": {"zero": 0, "une": 1},
}
_REPEATS: Final[dict[str, int]] = {"double": 2, "doppel": 2, "triple": 3, "dreifach": 3}
_WORD = re.compile(r"\d+|[^\W\d_]+|[+\-./():\N{EN DASH}]")


def digits_of_words(text: str, language: str) -> list[str]:
    """The words of a lower-case text, numbers as digits; signs are words of their own.

    Tens and units that follow each other are one number, as people dictate them. A word with digits inside is cut
    between letters and digits; in a language whose number words are not known, the words stay.
    """
    words = _WORD.findall(text)
    if language not in _UNITS:
        return words
    values = _values(language)
    said: list[str] = []
    place, n_times = 0, 1
    while place < len(words):
        value, end = _number(words, place, values, language)
        if end > place:
            said += [str(value)] * n_times
            place, n_times = end, 1
            continue
        n_times = _REPEATS.get(words[place], 1)
        if n_times == 1:
            said.append(words[place])
        place += 1
    return said


@cache
def _values(language: str) -> dict[str, int]:
    units = _UNITS[language].split()
    tens = _TENS[language].split()
    values = {word: number for number, word in enumerate(units)} | _ALSO[language]
    values |= {word: 10 * number for number, word in enumerate(tens, start=2)}
    if language == "de":
        ones = {"ein": 1, **{word: number for number, word in enumerate(units[2:10], start=2)}}
        values |= {f"{one}und{ten}": values[ten] + number for one, number in ones.items() for ten in tens}
    return values


def _number(words: list[str], place: int, values: dict[str, int], language: str) -> tuple[int, int]:
    """The number below 100 that begins here and the place behind it; the same place if there is none."""
    first = values.get(_at(words, place))
    if first is None:
        return 0, place
    end = place + 1
    if language == "fr" and first == 4 and _at(words, _past_hyphen(words, end)) in ("vingt", "vingts"):
        first, end = 80, _past_hyphen(words, end) + 1
    if language == "fr" and first == 10:  # dix-sept, dix-huit, dix-neuf
        unit = values.get(_at(words, _past_hyphen(words, end)), 0)
        return (10 + unit, _past_hyphen(words, end) + 1) if 7 <= unit <= 9 else (first, end)
    if first < 20 or language == "de":
        return first, end
    following = _past_hyphen(words, end)
    if language == "fr" and _at(words, following) == "et":
        following = _past_hyphen(words, following + 1)
    rest, end_of_rest = _number(words, following, values, language)
    # Seventy and ninety are "soixante-dix" and "quatre-vingt-dix" in French: there, ten to nineteen may follow.
    limit = 20 if language == "fr" and first in (60, 80) else 10
    return (first + rest, end_of_rest) if end_of_rest > following and 1 <= rest < limit else (first, end)


def _past_hyphen(words: list[str], place: int) -> int:
    return place + 1 if _at(words, place) == "-" else place


def _at(words: list[str], place: int) -> str:
    return words[place] if place < len(words) else ""
