"""What the synthetic people of the demo say: digits, spelled names, dates, times of day and command words."""

from __future__ import annotations

import random

DIGITS = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine")
TEENS = (
    "ten", "eleven", "twelve", "thirteen", "fourteen", "fifteen", "sixteen", "seventeen", "eighteen", "nineteen",
)  # fmt: skip
TENS = ("twenty", "thirty", "forty", "fifty", "sixty", "seventy", "eighty", "ninety")
ORDINALS = ("first", "second", "third", "fourth", "fifth", "sixth", "seventh", "eighth", "ninth", "tenth", "twelfth")
MONTHS = (
    "january", "february", "march", "april", "may", "june", "july", "august", "september", "october", "november",
    "december",
)  # fmt: skip
COMMANDS = ("yes", "no", "stop", "start", "go", "help", "repeat", "erase", "rubout", "enter")
NAMES = (
    "anna", "boris", "carla", "david", "elena", "frank", "greta", "hugo", "ines", "jacob", "karin", "louis", "maria",
    "nadia", "oscar", "paula", "quinn", "ruben", "sofia", "tariq", "ursula", "victor", "wanda", "xenia", "yusuf",
    "zelda",
)  # fmt: skip


def sentence(rng: random.Random) -> str:
    """One utterance of a few words, as in the AN4 recordings."""
    kind = rng.random()
    if kind < 0.35:
        return " ".join(rng.choices(DIGITS, k=rng.randint(1, 5)))
    if kind < 0.55:
        return " ".join(rng.choice(NAMES))
    if kind < 0.70:
        return f"{rng.choice(MONTHS)} {_day(rng)}"
    if kind < 0.85:
        return f"{rng.choice(('enter', 'erase', 'rubout', 'go'))} {_number(rng)}"
    if kind < 0.93:
        return _number(rng)
    return rng.choice(COMMANDS)


def _day(rng: random.Random) -> str:
    return rng.choice(ORDINALS) if rng.random() < 0.7 else f"twenty {rng.choice(ORDINALS[:9])}"


def _number(rng: random.Random) -> str:
    kind = rng.random()
    if kind < 0.4:
        return rng.choice(TEENS)
    tens = f"{rng.choice(TENS)} {rng.choice(DIGITS[1:])}"
    return tens if kind < 0.8 else f"{rng.choice(DIGITS[1:])} hundred {tens}"
