"""Personal data in a text: cards, bank accounts, e-mail addresses, telephone numbers, numbers of identity papers.

Written or spoken: transcripts hold "four one two" where a form holds 412. Numbers that carry a check digit are believed
only if it is right. Names are not looked for: nobody can tell one from a word without listening. What is found holds a
sample for a person; nothing is dropped or changed.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final, Literal

from projectone.server.corpus.spoken_numbers import digits_of_words

Kind = Literal["card", "iban", "email", "phone", "id"]

_MIN_RUN_DIGITS = 7
_CUE_WORDS = 6

_TLDS = r"(?:com|org|net|edu|gov|info|io|co|uk|eu|de|at|ch|fr|be|ca|us|nl|es|it|se|dk|no|fi|pl)"
_DIGIT = re.compile(r"\d")  # in everything below but addresses
_EMAIL = re.compile(r"[\w.+-]+@[\w-]+(?:\.[\w-]+)+")
# Hardly any text has this; what holds it is asked for a whole address.
_SPOKEN_AT = re.compile(r"\s(?:at|ät|klammeraffe|arobase|arrobase)\s")
_SPOKEN_EMAIL = re.compile(
    r"\w+(?:\s(?:dot|punkt|point|dash|minus|tiret|underscore|unterstrich)\s\w+)*"
    rf"{_SPOKEN_AT.pattern}\w+(?:\s(?:dash|minus|tiret)\s\w+)*(?:\s(?:dot|punkt|point)\s\w+)*"
    rf"\s(?:dot|punkt|point)\s{_TLDS}\b"
)
_PHONE_CUE = re.compile(
    r"\b(?:tele)?(?:phone|call|mobile|cell|tel|fax|dial|area code|number is|telefon\w*|handy\w*|rufnummer|vorwahl"
    r"|anrufen|rufen|nummer|téléphone\w*|numéro|portable|appele[rz]|joindre)\b"
)
_ID_CUE = re.compile(
    r"\b(?:social security|ssn|passport|licen[cs]e number|driver'?s licen[cs]e|national insurance|tax id"
    r"|insurance number|member number|steuer-?(?:id|nummer|identifikationsnummer)"
    r"|ausweis\w*|reisepass\w*|sozialversicherung\w*|versichertennummer|führerschein\w*"
    r"|sécurité sociale|passeport|carte d'identité|numéro fiscal|permis)\b"
)
_UK_INSURANCE = re.compile(r"\b[a-ceghj-prstw-z][a-ceghj-nprstw-z] ?\d{2} ?\d{2} ?\d{2} ?[a-d]\b")
_US_SECURITY = re.compile(r"\b(?!000|666|9\d\d)\d{3}-\d{2}-(?!0000)\d{4}\b")

# Digits of an account number by country (ISO 13616 registry); others are not believed.
_IBAN_LENGTHS: Final[dict[str, int]] = {
    "AD": 24, "AE": 23, "AT": 20, "BE": 16, "BG": 22, "CH": 21, "CY": 28, "CZ": 24, "DE": 22, "DK": 18, "EE": 20,
    "ES": 24, "FI": 18, "FR": 27, "GB": 22, "GR": 27, "HR": 21, "HU": 28, "IE": 22, "IS": 26, "IT": 27, "LI": 21,
    "LT": 20, "LU": 20, "LV": 21, "MC": 27, "MT": 31, "NL": 18, "NO": 15, "PL": 28, "PT": 25, "RO": 24, "SE": 24,
    "SI": 19, "SK": 24, "TR": 26,
}  # fmt: skip
_IBAN = re.compile(r"[A-Z]{2}\d{2}[A-Z0-9]{11,27}")


@dataclass(frozen=True)
class _Run:
    """Digits said or written in a row, and the words before them."""

    digits: str
    before: str
    is_international: bool


def find_personal(text: str, language: str = "en") -> tuple[Kind, ...]:
    """What personal data a text seems to hold, each kind once.

    Args:
        text: As `clean_transcript` gives it.
        language: Whose number words are understood: ``en``, ``de`` and ``fr``. Digits are understood in all.
    """
    lowered = text.lower()
    words = digits_of_words(lowered, language)
    found: list[Kind] = []
    if ("@" in lowered and _EMAIL.search(lowered)) or (_SPOKEN_AT.search(lowered) and _SPOKEN_EMAIL.search(lowered)):
        found.append("email")
    if not _DIGIT.search(" ".join(words)):
        return tuple(found)
    if _has_iban(words):
        found.append("iban")
    elif kinds := {kind for run in _runs(words) if (kind := _kind_of(run))}:
        found += sorted(kinds)
    if "id" not in found and (_UK_INSURANCE.search(" ".join(words)) or _US_SECURITY.search(lowered)):
        found.append("id")
    return tuple(found)


def _kind_of(run: _Run) -> Kind | None:
    digits, n = run.digits, len(run.digits)
    if run.is_international and _is_phone(run):
        return "phone"
    if 13 <= n <= 19 and digits[0] in "23456" and _luhn(digits):
        return "card"
    if _ID_CUE.search(run.before) or (n == 11 and _is_german_tax_id(digits)) or (n == 15 and _is_french_number(digits)):
        return "id"
    return "phone" if _is_phone(run) else None


def _is_phone(run: _Run) -> bool:
    n = len(run.digits)
    if run.is_international or run.digits.startswith("00"):
        return 8 <= n <= 17
    if _PHONE_CUE.search(run.before) and 7 <= n <= 15:
        return True
    if run.digits[0] == "0":
        return 9 <= n <= 12
    national = run.digits[1:] if n == 11 and run.digits[0] == "1" else run.digits
    # North America: area and exchange begin with 2 to 9.
    return len(national) == 10 and national[0] in "23456789" and national[3] in "23456789"


def _runs(words: list[str]) -> list[_Run]:
    """Rows of words that are digits; a sign or a word for one does not end a row."""
    runs: list[_Run] = []
    digits, start, is_international = "", 0, False
    for place, word in enumerate([*words, "end"]):
        if word.isascii() and word.isdigit():
            if not digits:
                start = place
            digits += word
        elif digits and word in _JOINERS:
            continue
        else:
            if len(digits) >= _MIN_RUN_DIGITS:
                runs.append(_Run(digits, " ".join(words[max(0, start - _CUE_WORDS) : start]), is_international))
            digits = ""
            is_international = word in ("+", "plus")
    return runs


_JOINERS = frozenset(
    ["-", ".", "/", "(", ")", "\N{EN DASH}", "dash", "hyphen", "minus", "slash", "tiret", "bindestrich", "strich"]
)


def _has_iban(words: list[str]) -> bool:
    """Letters and digits that make an account number together, in groups or one by one."""
    row = ""
    for word in [*words, "-end-"]:
        # A bank's four letters stand alone behind the check digits; words behind the number do no harm.
        is_part = (
            len(word) == 1 or word.isdigit() or word.upper() in _IBAN_LENGTHS or (len(word) <= 4 and len(row) >= 4)
        )
        if word.isascii() and word.isalnum() and is_part:
            row += word.upper()
            continue
        for start in range(len(row)):
            length = _IBAN_LENGTHS.get(row[start : start + 2], 0)
            # The letter O of a bank is said like the digit.
            end = start + length
            bank = row[start : start + 4] + row[start + 4 : start + 8].replace("0", "O") + row[start + 8 : end]
            if length and (_is_iban(row[start:end], length) or _is_iban(bank, length)):
                return True
        row = ""
    return False


def _is_iban(candidate: str, length: int) -> bool:
    if len(candidate) != length or not _IBAN.fullmatch(candidate):
        return False
    return int("".join(str(int(c, 36)) for c in candidate[4:] + candidate[:4])) % 97 == 1


def _luhn(digits: str) -> bool:
    doubled = [sum(divmod(2 * int(digit), 10)) for digit in digits[-2::-2]]
    return (sum(doubled) + sum(map(int, digits[-1::-2]))) % 10 == 0


def _is_german_tax_id(digits: str) -> bool:
    """ISO 7064, modulus 11,10."""
    product = 10
    for digit in digits[:10]:
        total = (int(digit) + product) % 10 or 10
        product = total * 2 % 11
    return digits[0] != "0" and (11 - product) % 10 == int(digits[10])


def _is_french_number(digits: str) -> bool:
    """The number of the social security: sex, year, month, place and order, then 97 minus their remainder."""
    return digits[0] in "12" and 97 - int(digits[:13]) % 97 == int(digits[13:])
