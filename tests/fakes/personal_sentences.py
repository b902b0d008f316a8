"""Sentences with personal data in them, and what of them must not leave. Drawn by seed; nobody in them is real.

`tuned` ones were looked at while the search was written; `held_out` ones have other names, places and frames, and were
first run when it was done.
"""

from __future__ import annotations

import random
from dataclasses import dataclass
from typing import Final, Literal

Set = Literal["tuned", "held_out"]


@dataclass(frozen=True)
class Sentence:
    """A text, its personal parts, and the names that this device knows."""

    text: str
    personal: tuple[str, ...]
    known: tuple[str, ...] = ()


_FIRST: Final[dict[Set, tuple[str, ...]]] = {
    "tuned": ("Anna", "Omar", "Priya", "Lukas", "Chloe", "Kwame", "Ingrid", "Mateo", "Yuki", "Siobhan"),
    "held_out": ("Beatrix", "Tunde", "Wei", "Marguerite", "Dmitri", "Aoife", "Rahul", "Zeynep", "Callum", "Nkechi"),
}
_LAST: Final[dict[Set, tuple[str, ...]]] = {
    "tuned": ("Schmidt", "Haddad", "Nair", "O'Brien", "Okafor", "Larsen", "Garcia", "Tanaka", "Smith-Jones", "Novak"),
    "held_out": ("Fitzgerald", "Adeyemi", "Zhang", "Dubois", "Volkov", "Byrne", "Kapoor", "Yilmaz", "Drummond", "Eze"),
}
_STREETS: Final[dict[Set, tuple[str, ...]]] = {
    "tuned": ("Baker Street", "Rose Lane", "Mill Road", "Station Avenue", "Church Hill"),
    "held_out": ("Larkspur Close", "Old Kent Road", "Maple Grove", "Victoria Crescent", "Harbour Drive"),
}
_MONTHS: Final = ("January", "March", "May", "August", "October", "December")
_SPOKEN: Final = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine")

# {name} as written, {spoken} in small letters behind a cue, {known} in small letters and known to the device.
_FRAMES: Final[dict[Set, tuple[str, ...]]] = {
    "tuned": (
        "My name is {name} and I want to cancel my order.",
        "Please write a letter to {name} at {address} about the rent.",
        "my wife {spoken} has a rash, what could that be",
        "tell {known} that i will be late for dinner",
        "Call me back on {phone} before noon.",
        "send the invoice to {email} and a copy to my boss",
        "was the payment of {date} from account {number} booked already",
        "I was born on {date} in a small village by the sea",
        "my card number is {digits} and it was stolen",
        "i live at {address} and the heating is broken again",
        "Dr. {last} told me to stop taking the tablets on {date}.",
        "what should {known} know about passport {paper} before travelling",
    ),
    "held_out": (
        "Hello, this letter is for {name}, who moved to {address} last week.",
        "Could you rephrase my complaint to Mrs {last} in a friendly way?",
        "my brother {spoken} lost his job, how can i help him",
        "is it fair that {known} never does the dishes at home",
        "The plumber's number was {phone}, please put it on my list.",
        "forward everything from {email} to my other inbox",
        "between {date} and today nobody answered my letter number {number}",
        "the appointment is on {date} with Professor {last} in the clinic",
        "the code they read to me was {digits} i think",
        "Deliver the parcel to {address}, not to the shop.",
        "Compare the offers that {name} sent on {date} for me.",
        "the licence {paper} belongs to {known} and expires soon",
    ),
}


def sentences(which: Set, n: int, *, seed: int = 0) -> list[Sentence]:
    """So many sentences, every frame in turn."""
    draw = random.Random(f"{which} {seed}")
    frames = _FRAMES[which]
    return [_filled(frames[place % len(frames)], which, draw) for place in range(n)]


def _filled(frame: str, which: Set, draw: random.Random) -> Sentence:
    first, last = draw.choice(_FIRST[which]), draw.choice(_LAST[which])
    other = draw.choice([name for name in _FIRST[which] if name != first])
    digits = "".join(draw.choice("0123456789") for _ in range(16))
    values = {
        "name": f"{first} {last}",
        "last": last,
        "spoken": first.lower(),
        "known": other.lower(),
        "address": f"{draw.randint(1, 299)} {draw.choice(_STREETS[which])}",
        "phone": draw.choice(_phones(digits)),
        "email": f"{first}.{last}@example.org".lower().replace("'", ""),
        "date": _date(draw),
        "number": digits[:9],
        "digits": draw.choice((digits, " ".join(_SPOKEN[int(digit)] for digit in digits[:12]))),
        "paper": f"{draw.choice('CDEFG')}{digits[:2]}X{digits[2:4]}T{digits[4:6]}",
    }
    used = [name for name in values if f"{{{name}}}" in frame]
    known = (values["known"].capitalize(),) if "known" in used else ()
    return Sentence(frame.format(**values), tuple(values[name] for name in used), known)


def _phones(digits: str) -> tuple[str, ...]:
    return (
        f"+44 20 {digits[:4]} {digits[4:8]}",
        f"0{digits[:3]} {digits[3:9]}",
        f"({digits[:3]}) {digits[3:6]}-{digits[6:10]}",
    )


def _date(draw: random.Random) -> str:
    year, month = draw.randint(1940, 2025), draw.choice(_MONTHS)
    said = draw.choice(("third", "twelfth", "twenty first"))
    written = (f"{draw.randint(1, 28)} {month} {year}", f"{draw.randint(10, 28)}/{draw.randint(10, 12)}/{year}")
    return draw.choice((*written, f"{month.lower()} the {said}"))
