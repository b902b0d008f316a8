"""Words whose case says something: "MW" is a thousand million times "mW"."""

from __future__ import annotations

from typing import Final

# Of bits and bytes the unit itself has two cases, of the others the prefix: milli or mega.
_SYMBOLS: Final = frozenset(prefix + unit for unit in ("b", "bps", "bit") for prefix in "kmgtp") | frozenset(
    prefix + unit
    for unit in (
        "a",
        "bar",
        "cal",
        "ev",
        "g",
        "hz",
        "j",
        "l",
        "m",
        "mol",
        "n",
        "ohm",
        "pa",
        "s",
        "v",
        "w",
        "wh",
        "\u03c9",
    )
    for prefix in "mp"
)
_OF_A_DAY: Final = frozenset(("AM", "PM"))  # no unit is written so: an attometre is "am", a petametre "Pm"
_LONGEST_BEHIND_A_FIGURE: Final = 3  # longer ones are words ("50 Shades") or stand in the list


def is_case_said(word: str, *, behind: str) -> bool:
    """Whether a word may be a unit that another case makes another one.

    Args:
        word: As it is written.
        behind: What stands before it: behind a figure every short word may be a unit.
    """
    if word in _OF_A_DAY or not word.isalpha():
        return False
    is_behind_a_figure = behind[-1:].isnumeric() and len(word) <= _LONGEST_BEHIND_A_FIGURE
    return is_behind_a_figure or (word.lower() in _SYMBOLS and word.lower() != "pm")
