"""What people say in the starter's closed domain: names spelled out, digits, numbers, dates, command words."""

from __future__ import annotations

import random
from collections.abc import Sequence

DIGITS = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine")
TEENS = (
    "ten", "eleven", "twelve", "thirteen", "fourteen", "fifteen", "sixteen", "seventeen", "eighteen", "nineteen",
)  # fmt: skip
TENS = ("twenty", "thirty", "forty", "fifty", "sixty", "seventy", "eighty", "ninety")
ORDINALS = (
    "first", "second", "third", "fourth", "fifth", "sixth", "seventh", "eighth", "ninth", "tenth", "eleventh",
    "twelfth", "thirteenth", "fourteenth", "fifteenth", "sixteenth", "seventeenth", "eighteenth", "nineteenth",
    "twentieth", "thirtieth",
)  # fmt: skip
MONTHS = (
    "january", "february", "march", "april", "may", "june", "july", "august", "september", "october", "november",
    "december",
)  # fmt: skip
COMMANDS = ("yes", "no", "stop", "start", "go", "help", "repeat", "erase", "rubout", "enter")
OTHERS = ("hundred", "thousand", "and", "oh", "half", "of", "area", "code", "apostrophe", "double", "point")
LETTERS = tuple("abcdefghijklmnopqrstuvwxyz")
# The digits as a reader of another language would spell what English speakers say: read by that language's voices, they
# are the digits of learners.
ACCENTED_DIGITS = {
    "de": "siro wann tu sri foor faif sicks sewwen eht nain",
    "fr": "ziro ouane tou sri faur faïve sixe sévène éïte naïne",
    "it": "siro uan tu tri for faiv sics seven eit nain",
    "es": "siro uan tu tri for faif sics seven eit nain",
    "el": "ζίρο ουάν του θρι φορ φάιβ σιξ σέβεν έιτ νάιν",
    "nl": "ziero wan toe srie foor faaiv siks sevven eet nain",
    "pl": "ziro łan tu tri for fajw siks sewen ejt najn",
    "ru": "зиро уан ту сри фор файв сикс сэвэн эйт найн",
}
CLOSED_WORDS = (*DIGITS, *TEENS, *TENS, *ORDINALS, *MONTHS, *COMMANDS, *OTHERS, *LETTERS)


def _below_hundred(rng: random.Random) -> list[str]:
    kind = rng.random()
    if kind < 0.3:
        return [rng.choice(TEENS)]
    tens = rng.choice(TENS)
    return [tens] if kind < 0.5 else [tens, rng.choice(DIGITS[1:])]


def _digits(rng: random.Random, n_digits: int) -> list[str]:
    zero = rng.choice(("zero", "oh"))
    return [zero if digit == "zero" else digit for digit in rng.choices(DIGITS, k=n_digits)]


def _number(rng: random.Random) -> list[str]:
    kind = rng.random()
    if kind < 0.35:
        return _below_hundred(rng)
    if kind < 0.7:
        return [*_below_hundred(rng), *_below_hundred(rng)]
    if kind < 0.8:
        return [rng.choice(DIGITS[1:]), *_below_hundred(rng)]
    if kind < 0.9:
        joint = ["and"] if rng.random() < 0.3 else []
        return [rng.choice(DIGITS[1:]), "hundred", *joint, *_below_hundred(rng)]
    return [rng.choice(DIGITS[1:]), "thousand", *(_below_hundred(rng) if rng.random() < 0.5 else [])]


def _date(rng: random.Random) -> list[str]:
    day = [rng.choice(ORDINALS)] if rng.random() < 0.7 else ["twenty", rng.choice(ORDINALS[:9])]
    parts = [rng.choice(MONTHS), *day]
    if rng.random() < 0.6:
        parts += ["nineteen", *_below_hundred(rng)]
    return parts


def _spelled(rng: random.Random, names: Sequence[str]) -> list[str]:
    if rng.random() < 0.5:
        return list(rng.choice(names))
    return rng.choices(LETTERS, k=rng.randint(2, 8))


def domain_sentence(rng: random.Random, names: Sequence[str]) -> str:
    """One utterance of the closed domain; `names` are lower-case words that may be spelled out."""
    kind = rng.random()
    if kind < 0.24:
        words = _digits(rng, rng.randint(2, 9))
    elif kind < 0.48:
        words = _spelled(rng, names)
    elif kind < 0.66:
        words = [rng.choice(("rubout", "erase", "enter")), *_spelled(rng, names)[:5], *_number(rng)]
    elif kind < 0.74:
        words = [*([rng.choice(("enter", "go", "repeat"))] if rng.random() < 0.5 else []), *_number(rng)]
    elif kind < 0.82:
        words = _date(rng)
    elif kind < 0.88:
        words = [*list(rng.choice(MONTHS)), *_digits(rng, rng.randint(2, 5))]
    elif kind < 0.94:
        words = [rng.choice(CLOSED_WORDS) for _ in range(rng.randint(1, 6))]
    else:
        words = [rng.choice(COMMANDS)]
    return " ".join(words)
