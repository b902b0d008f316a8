"""Amounts in words, as English says them: numerals with the symbol, the separators or the point beside them.

Whisper's normaliser keeps currencies, percent and decimal points beside numerals, or "$5" and "5%" would be one text.
Here numerals become words, and so do these: "$5" is "five dollars", "1,000,000" is "one million". What is read so is an
amount, so that its numeral is a number however long it is. Everything else is left as it is; its numerals are those of
`number_words`.
"""

from __future__ import annotations

import re

_UNITS = (
    *("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten", "eleven", "twelve"),
    *("thirteen", "fourteen", "fifteen", "sixteen", "seventeen", "eighteen", "nineteen"),
)
_TENS = ("zero", "ten", "twenty", "thirty", "forty", "fifty", "sixty", "seventy", "eighty", "ninety")
_SCALES = ("", "thousand", "million", "billion", "trillion")

# One of it, many, and the hundredth part: one and many; None where amounts have none.
_CURRENCIES: dict[str, tuple[str, str, tuple[str, str] | None]] = {
    "$": ("dollar", "dollars", ("cent", "cents")),
    "€": ("euro", "euros", ("cent", "cents")),
    "£": ("pound", "pounds", ("penny", "pence")),
    "¢": ("cent", "cents", None),
    "¥": ("yen", "yen", None),
    "₹": ("rupee", "rupees", None),
}
_SIGN = f"[{''.join(_CURRENCIES)}]"
_GROUPED = r"[1-9]\d{0,2}(?:,\d{3})+"
# Neither part of a word, nor of a date, a version or a list such as "1,2,3".
_NUMBER = rf"(?<![\w.])(?<!\d,)(?P<number>(?:{_GROUPED}|\d+)(?:\.\d+)?|\.\d+)(?![\w])(?![.,]\d)"
_SCALE = r"(?P<scale>\s+(?:hundred|thousand|million|billion|trillion)\b)?"
_BEFORE = re.compile(rf"(?P<sign>{_SIGN})\s?{_NUMBER}{_SCALE}")
_AFTER = re.compile(rf"{_NUMBER}{_SCALE}\s?(?P<sign>{_SIGN})(?!\s?\.?\d)")
_PERCENT = re.compile(rf"{_NUMBER}\s?%")
_PLAIN = re.compile(rf"{_NUMBER}")


def amounts_in_words(text: str) -> str:
    """The text with its amounts written out; without symbols or separators beside digits it stays as it is."""
    for pattern in (_BEFORE, _AFTER):
        text = pattern.sub(lambda match: f" {_money(match['sign'], match['number'], match['scale'])} ", text)
    text = _PERCENT.sub(lambda match: f" {_quantity(match['number'])} percent ", text)
    return _PLAIN.sub(lambda match: match[0] if match[0].isdecimal() else f" {_quantity(match[0])} ", text)


def number_words(digits: str) -> str:
    """A numeral as it is read: up to four digits as a number, longer ones and those with a leading zero by digit."""
    if len(digits) > 4:
        return _digit_by_digit(digits)
    return _amount_words(digits)


def _money(sign: str, number: str, scale: str | None) -> str:
    one, many, part = _CURRENCIES[sign]
    if scale is not None:
        return f"{_quantity(number)}{scale} {many}"
    whole, _, rest = number.partition(".")
    if part is None or len(rest) != 2:
        return f"{_quantity(number)} {one if number == '1' else many}"
    n_whole, n_rest = int(whole.replace(",", "") or "0"), int(rest)
    said = [f"{_quantity(whole)} {one if n_whole == 1 else many}"] if n_whole or not n_rest else []
    if n_rest:
        said.append(f"{_amount_words(str(n_rest))} {part[0] if n_rest == 1 else part[1]}")
    return " and ".join(said)


def _quantity(number: str) -> str:
    whole, point, rest = number.partition(".")
    said = [_amount_words(whole.replace(",", ""))] if whole else []
    return " ".join([*said, *(["point", _digit_by_digit(rest)] if point else [])])


def _amount_words(digits: str) -> str:
    """A number in thousands, millions and so on; by digit what starts with a zero or is longer than any scale."""
    digits = "".join(str(int(digit)) for digit in digits)
    if len(digits) > 3 * len(_SCALES) or (digits[0] == "0" and len(digits) > 1):
        return _digit_by_digit(digits)
    said: list[str] = []
    value, scale = int(digits), 0
    while value or not scale:
        value, group = divmod(value, 1000)
        if group or digits == "0":
            said.insert(0, f"{_below_thousand(group)} {_SCALES[scale]}".strip())
        scale += 1
    return " ".join(said)


def _below_thousand(value: int) -> str:
    hundreds, rest = divmod(value, 100)
    words = [_UNITS[hundreds], "hundred"] if hundreds else []
    if rest >= 20:
        words += [_TENS[rest // 10]] + ([_UNITS[rest % 10]] if rest % 10 else [])
    elif rest or not words:
        words.append(_UNITS[rest])
    return " ".join(words)


def _digit_by_digit(digits: str) -> str:
    return " ".join(_UNITS[int(digit)] for digit in digits)
