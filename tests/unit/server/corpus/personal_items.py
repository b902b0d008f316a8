"""Three hundred texts with something personal in them: five kinds, three languages, written and spoken, seeded."""

from __future__ import annotations

import random
from collections.abc import Callable

LANGUAGES = ("en", "de", "fr")
KINDS = ("card", "iban", "email", "phone", "id")
N_EACH = 20  # 5 kinds x 3 languages x 20 = 300

CARRIERS = {
    "en": ("my {kind} is {item}", "{item}", "please note {item} thank you", "it is {item} for the {kind}"),
    "de": ("meine {kind} ist {item}", "{item}", "bitte notieren sie {item} danke", "das ist {item} als {kind}"),
    "fr": ("mon {kind} est {item}", "{item}", "notez {item} merci", "c'est {item} pour le {kind}"),
}
CALLED = {
    "en": ("card", "account", "address", "phone number", "social security number"),
    "de": ("Karte", "Kontonummer", "Adresse", "Telefonnummer", "Steuernummer"),
    "fr": ("carte", "compte", "adresse", "numéro de téléphone", "numéro de sécurité sociale"),
}
DIGITS = {
    "en": ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine"),
    "de": ("null", "eins", "zwei", "drei", "vier", "fünf", "sechs", "sieben", "acht", "neun"),
    "fr": ("zéro", "un", "deux", "trois", "quatre", "cinq", "six", "sept", "huit", "neuf"),
}
PAIRS_FR = {
    11: "onze",
    12: "douze",
    17: "dix-sept",
    21: "vingt et un",
    34: "trente-quatre",
    56: "cinquante-six",
    62: "soixante-deux",
    71: "soixante et onze",
    78: "soixante-dix-huit",
    84: "quatre-vingt-quatre",
    90: "quatre-vingt-dix",
    97: "quatre-vingt-dix-sept",
    45: "quarante-cinq",
    50: "cinquante",
}
AT, DOT = {"en": "at", "de": "ät", "fr": "arobase"}, {"en": "dot", "de": "punkt", "fr": "point"}


def items(seed: int = 0) -> list[tuple[str, str, str]]:
    """Language, kind and text of each."""
    rng = random.Random(seed)
    makers: dict[str, Callable[[random.Random, str, bool], str]] = {
        "card": _card, "iban": _iban, "email": _email, "phone": _phone, "id": _id,
    }  # fmt: skip
    made = []
    for language in LANGUAGES:
        for kind, called in zip(KINDS, CALLED[language], strict=True):
            for number in range(N_EACH):
                item = makers[kind](rng, language, number % 2 == 1)
                carrier = rng.choice(CARRIERS[language])
                made.append((language, kind, carrier.format(kind=called, item=item)))
    return made


def _digits(rng: random.Random, n: int) -> str:
    return "".join(str(rng.randrange(10)) for _ in range(n))


def _say(digits: str, language: str) -> str:
    return " ".join(DIGITS[language][int(digit)] for digit in digits)


def _group(digits: str, size: int, sign: str) -> str:
    return sign.join(digits[start : start + size] for start in range(0, len(digits), size))


def _card(rng: random.Random, language: str, is_spoken: bool) -> str:
    body = rng.choice("456") + _digits(rng, 14)
    for check in "0123456789":
        total = sum(int(d) if place % 2 == 0 else (2 * int(d)) // 10 + (2 * int(d)) % 10
                    for place, d in enumerate(reversed(body + check)))  # fmt: skip
        if total % 10 == 0:
            number = body + check
    return _say(number, language) if is_spoken else _group(number, 4, rng.choice(" -") if rng.random() < 0.8 else "")


def _iban(rng: random.Random, language: str, is_spoken: bool) -> str:
    country, account = {
        "en": ("GB", rng.choice(("NWBK", "BARC", "LOYD")) + _digits(rng, 14)),
        "de": ("DE", _digits(rng, 18)),
        "fr": ("FR", _digits(rng, 23)),
    }[language]
    as_number = "".join(str(ord(c) - 55) if c.isalpha() else c for c in account + country + "00")
    whole = f"{country}{98 - int(as_number) % 97:02d}{account}"
    if is_spoken:
        return " ".join(c.lower() if c.isalpha() else DIGITS[language][int(c)] for c in whole)
    return _group(whole, 4, " ") if rng.random() < 0.7 else whole


def _email(rng: random.Random, language: str, is_spoken: bool) -> str:
    name, family = rng.choice(("ada", "grace", "emil", "zoe")), rng.choice(("meyer", "dupont", "smith", "lee"))
    host, tld = rng.choice(("example", "gmail", "web", "orange")), rng.choice(("com", "org", "de", "fr", "net"))
    if is_spoken:
        return f"{name} {DOT[language]} {family} {AT[language]} {host} {DOT[language]} {tld}"
    return f"{name}{rng.choice(('.', '_', '-', ''))}{family}@{host}.{tld}"


def _phone(rng: random.Random, language: str, is_spoken: bool) -> str:
    if language == "en":
        number = f"{rng.randint(2, 9)}{_digits(rng, 2)}{rng.randint(2, 9)}{_digits(rng, 6)}"
        forms = (f"({number[:3]}) {number[3:6]}-{number[6:]}", f"+1 {number[:3]} {number[3:6]} {number[6:]}", number)
        return _say(number, language) if is_spoken else rng.choice(forms)
    if language == "de":
        number = f"01{rng.choice('567')}{_digits(rng, 8)}"
        forms = (f"{number[:4]} {number[4:]}", f"+49 {number[1:4]} {number[4:]}", f"0049 {number[1:4]} / {number[4:]}")
        return _say(number, language) if is_spoken else rng.choice(forms)
    pairs = [rng.choice(list(PAIRS_FR)) for _ in range(4)]
    number = "06" + "".join(map(str, pairs))
    if is_spoken:
        return " ".join(["zéro six", *(PAIRS_FR[pair] for pair in pairs)])
    return rng.choice((_group(number, 2, " "), _group(number, 2, "."), f"+33 6 {_group(number[2:], 2, ' ')}"))


def _id(rng: random.Random, language: str, is_spoken: bool) -> str:
    if language == "en":
        if is_spoken:
            area = f"{rng.randint(100, 599)}"
            return f"social security {_say(area + '12' + str(rng.randint(1000, 9999)), language)}"
        if rng.random() < 0.5:
            return f"{rng.randint(100, 599)}-{rng.randint(10, 99)}-{rng.randint(1000, 9999)}"
        return f"AB {_group(_digits(rng, 6), 2, ' ')} {rng.choice('ABCD')}"
    if language == "de":
        body = str(rng.randint(1, 9)) + _digits(rng, 9)
        rest = 10
        for digit in body:
            rest = 2 * ((int(digit) + rest) % 10 or 10) % 11
        number = body + str((11 - rest) % 10)
        return _say(number, language) if is_spoken else rng.choice((number, _group(number, 3, " ")))
    body = f"{rng.randint(1, 2)}{_digits(rng, 2)}{rng.randint(1, 12):02d}{rng.randint(10, 95)}{_digits(rng, 6)}"
    number = f"{body}{97 - int(body) % 97:02d}"
    return _say(number, language) if is_spoken else rng.choice((number, f"{body[0]} {_group(number[1:], 2, ' ')}"))
