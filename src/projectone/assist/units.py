"""What is counted: the units that stand beside a number, each under one name."""

from __future__ import annotations

import re

_SPELLINGS = {
    "minute": "min mins minute minutes",
    "hour": "h hr hrs hour hours",
    "day": "d day days",
    "week": "wk wks week weeks",
    "month": "month months",
    "year": "yr yrs year years",
    "milligram": "mg milligram milligrams",
    "gram": "gram grams gramme grammes",
    "kilogram": "kg kilo kilos kilogram kilograms",
    "millilitre": "ml millilitre millilitres milliliter milliliters",
    "litre": "litre litres liter liters",
    "kilometre": "km kilometre kilometres kilometer kilometers",
    "metre": "metre metres meter meters",
    "mile": "mile miles",
    "degree": "degree degrees",
    "percent": "% percent",
    "euro": "\u20ac eur euro euros",
    "dollar": "$ usd dollar dollars",
    "pound": "\u00a3 gbp pound pounds",
}
_NAMES = {spelling: name for name, spellings in _SPELLINGS.items() for spelling in spellings.split(" ")}
_AFTER = re.compile(r"[ -]?([a-z]{1,12}(?![a-z])|[%\u20ac$\u00a3])", re.I)


def unit_beside(text: str, start: int, end: int) -> str | None:
    """The unit of the number that stands there, by its one name; None where there is none that is known.

    Args:
        text: Where the number stands.
        start: Where it begins: a currency may stand before it.
        end: Where it ends.
    """
    if start and text[start - 1] in "\u20ac$\u00a3":
        return _NAMES[text[start - 1]]
    match = _AFTER.match(text, end)
    return _NAMES.get(match[1].lower()) if match else None
