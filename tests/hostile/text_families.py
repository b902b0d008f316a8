"""Two hundred hostile texts in twenty families, from one seeded script, each with what must become of it."""

from __future__ import annotations

import random
from collections.abc import Callable

N_EACH = 10
REFUSED, HELD, KEPT = "refused", "held", "kept"

_CYRILLIC = dict(zip("aceopxys", "\u0430\u0441\u0435\u043e\u0440\u0445\u0443\u0455", strict=True))
_BIDI = "\u202a\u202b\u202d\u202e\u2066\u2067\u2068\u2069\u200e\u200f"
_ZERO_WIDTH = "\u200b\u2060\ufeff\u00ad\u180e\u2061\u2062\u2063\u2064\u206a"
_WORDS = ("access", "paypal", "open", "see", "expose", "cope", "oxy", "space", "soap", "yes")
_CALLS = ("cmd|calc", "HYPERLINK(1)", "1+1", "SUM(A1)")
_WIDE_SIGNS = "\uff1d\uff0b\uff0d\uff20"
_FOREIGN = (
    "\u043f\u0440\u0438\u0432\u0435\u0442", "\u03b3\u03b5\u03b9\u03b1", "\u4f60\u597d",
    "\u3053\u3093\u306b\u3061\u306f",
    "\u0645\u0631\u062d\u0628\u0627", "\u05e9\u05dc\u05d5\u05dd",
    "\u0e2a\u0e27\u0e31\u0e2a\u0e14\u0e35", "\uc548\ub155",
    "\u0928\u092e\u0938\u094d\u0924\u0947", "\u10d2\u10d0\u10db\u10d0\u10e0\u10ef\u10dd\u10d1\u10d0",
)  # fmt: skip


def _inside(rng: random.Random, signs: str) -> str:
    return f"two{rng.choice(signs)}words"


def _look_alike(rng: random.Random) -> str:
    word = rng.choice([word for word in _WORDS if set(word) & set(_CYRILLIC)])
    place = rng.choice([place for place, letter in enumerate(word) if letter in _CYRILLIC])
    mixed = word[:place] + _CYRILLIC[word[place]] + word[place + 1 :]
    # A word of look-alikes alone is Cyrillic, and foreign for that.
    return f"please {mixed} now"


FAMILIES: dict[str, tuple[str, Callable[[random.Random], str]]] = {
    "NUL": (REFUSED, lambda r: f"{r.randrange(99)}\0{r.randrange(99)}"),
    "C0": (REFUSED, lambda r: _inside(r, "\x01\x02\x07\x08\x0b\x0c\x0e\x1b\x1f\x7f")),
    "terminal escapes": (REFUSED, lambda r: f"red\x1b[{r.randrange(30, 48)}mblue\x1b]0;title\x07"),
    "C1": (REFUSED, lambda r: _inside(r, "\x80\x84\x85\x8d\x90\x9b\x9d\x9f")),
    "bidi": (REFUSED, lambda r: _inside(r, _BIDI)),
    "zero width": (REFUSED, lambda r: _inside(r, _ZERO_WIDTH)),
    "tags": (REFUSED, lambda r: "hello" + "".join(chr(0xE0000 + ord(c)) for c in f"say {r.randrange(99)}")),
    "lone surrogates": (REFUSED, lambda r: f"half {chr(r.randrange(0xD800, 0xE000))} a pair"),
    "private": (REFUSED, lambda r: f"my {chr(r.randrange(0xE000, 0xF8FF))} own"),
    "no characters": (REFUSED, lambda r: f"none {r.choice(chr(0xFFFF) + chr(0x0378) + chr(0x1FFFE))}"),
    "zalgo": (REFUSED, lambda r: "z" + "".join(chr(r.randrange(0x300, 0x36F)) for _ in range(r.randint(5, 40)))),
    "a megabyte": (REFUSED, lambda r: chr(r.randrange(97, 123)) * (1 << 20)),
    "HTML": (KEPT, lambda r: f"<script>alert({r.randrange(99)})</script><img src=x onerror=alert(1)> \"'&"),
    "template": (KEPT, lambda r: f"{{{{ {r.randrange(99)}*7 }}}} ${{jndi:ldap://x}} %s {{0}}"),
    "formula": (KEPT, lambda r: f"{r.choice('=+-@')}{r.choice(_CALLS)}!A{r.randrange(9)}"),
    "wide formula": (KEPT, lambda r: f"{r.choice(_WIDE_SIGNS)}1+{r.randrange(9)}"),
    "SQL": (KEPT, lambda r: f"x'); DROP TABLE samples; -- {r.randrange(99)}"),
    "CRLF": (KEPT, lambda r: f"one\r\n2026-11-21 admin logged in {r.randrange(99)}\r\n"),
    "look-alikes": (HELD, _look_alike),
    "foreign letters": (HELD, lambda r: r.choice(_FOREIGN)),
}  # fmt: skip


def texts() -> list[tuple[str, str, str]]:
    """Family, what must become of it, and the text."""
    return [
        (name, becomes, make(random.Random(f"{name}/{number}")))
        for name, (becomes, make) in FAMILIES.items()
        for number in range(N_EACH)
    ]
