"""Which names, numbers and dates of an answer none of its sources has. Rules alone: no model judges an answer.

It finds what was made up or mixed up among the things that can be looked up. It does not find a false statement that is
made of true words ("not" left out, two persons exchanged).
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation
from typing import Literal, cast

from projectone.assist.number_words import numbers_in_words
from projectone.assist.units import unit_beside

ClaimKind = Literal["name", "number", "date"]

_MONTHS = (
    "january", "february", "march", "april", "may", "june", "july", "august", "september", "october", "november",
    "december",
)  # fmt: skip
_WEEKDAYS = ("monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday")
_MONTH = "|".join((*(month[:3] + r"\.?(?![a-z])" for month in _MONTHS), "sept", *_MONTHS))
_DAY, _YEAR = r"(?P<day>[0-3]?\d)(?:st|nd|rd|th)?", r"(?P<year>(?:19|20)\d\d)"
_DATES = (
    re.compile(r"\b(?P<year>(?:19|20)\d\d)-(?P<month>[01]\d)-(?P<day>[0-3]\d)\b"),
    re.compile(rf"\b{_DAY}(?: of)? (?P<name>{_MONTH})(?:,? {_YEAR})?\b", re.I),
    re.compile(rf"\b(?P<name>{_MONTH}) {_DAY}(?:,? {_YEAR})?\b", re.I),
    re.compile(rf"\b(?P<name>{_MONTH}),? {_YEAR}\b", re.I),
    # A month alone: "may" is a verb more often than not, and so is "march".
    re.compile(r"\b(?P<name>January|February|April|June|July|August|September|October|November|December)\b"),
    re.compile(rf"\b(?P<weekday>{'|'.join(_WEEKDAYS)})s?\b", re.I),
)
_CLOCK = re.compile(r"\b([01]?\d|2[0-3])[:.]([0-5]\d)(?::[0-5]\d)?\b(?! ?%)")
_NUMBER = re.compile(
    r"(?<![\w.,])[-\u2212]?\d+(?:[., \u00a0]\d{3})*(?:[.,]\d+)?(?!\d)|(?<=[/-])\d+(?:\.\d+)?|(?<=\bx)\d+"
)
_LIST_NUMBER = re.compile(r"^[ \t]{0,9}\d{1,2}[.)](?=\s|$)", re.M)
# Every repetition has an end: a text of strangers may be made so that a pattern tries all ways.
_ADDRESS = re.compile(r"(?<!\S)\S{1,64}@\S{1,255}\.\w{2,20}|https?://\S+|www\.\S+")
_SENTENCE = re.compile(r"(?:^|[.!?\n\u2022]\s{0,9}|^\s{0,9}[-*]\s{1,9})([A-Z][\w'-]*)", re.M)
_CAPITALISED = re.compile(r"\b[A-Z][\w'-]*(?:\s+(?:of|de|van|von|du|la|der)(?=\s+[A-Z])|\s+[A-Z][\w'-]*)*")
_VERBS = "is was has had will can could would did does said says called asked told wrote lives works wants"
_ORDINARY = (
    "i i'm i'll i've i'd it it's he she they we you your you're my our his her their its this that these those there "
    "here the a an what who when where why how which nothing everything something nobody somebody someone everyone no "
    "yes ok okay not and but or if so please today tomorrow yesterday tonight now mr mrs ms dr sir madam am pm"
)
_SAYS, _NO_NAMES = frozenset(_VERBS.split(" ")), frozenset(_ORDINARY.split(" "))


@dataclass(frozen=True)
class Claim:
    """Something in an answer that can be looked up.

    Attributes:
        kind: What it is.
        text: As the answer writes it.
    """

    kind: ClaimKind
    text: str


def claims(answer: str) -> tuple[Claim, ...]:
    """Every name, number and date of a text, each once."""
    return tuple(dict.fromkeys(claim for claim, _ in _found(answer)))


def unsupported(answer: str, sources: Sequence[str]) -> tuple[Claim, ...]:
    """The claims of an answer that no source has; nothing where all is grounded.

    Args:
        answer: What was generated.
        sources: What it may draw on: the facts, the documents, the question itself.
    """
    return Sources(sources).lack(answer)


Date = tuple[int | None, int | None, int | None]  # year, month, day
Quantity = tuple[Decimal, str | None]  # of what, if that is said
Value = Date | Quantity | str


class Sources:
    """What answers may draw on, read once for many answers.

    Args:
        texts: The facts, the documents, the question itself.
    """

    def __init__(self, texts: Sequence[str]) -> None:
        self._words: set[str] = set()
        self._quantities: set[Quantity] = set()
        self._dates: set[Date] = set()
        self._others: set[str] = set()
        for source in texts:
            self._words |= {_plain(word) for word in re.findall(r"[\w'-]+", source)}
            for claim, value in _found(source):
                if claim.kind == "number":
                    self._quantities |= {cast(Quantity, value)} if isinstance(value, tuple) else set()
                    self._others |= {value} if isinstance(value, str) else set()
                elif claim.kind == "date":
                    self._dates |= {cast(Date, value)} if isinstance(value, tuple) else set()
                    self._others |= {value} if isinstance(value, str) else set()
                    # The year of a date and the hours of a clock are numbers too.
                    self._quantities |= {(Decimal(digits), None) for digits in re.findall(r"\d+", claim.text)}
            ones = (written for written in numbers_in_words(source, is_one_a_number=True) if written.value == 1)
            self._quantities |= {(Decimal(1), unit_beside(source, 0, written.end)) for written in ones}
        self._words |= {part for word in tuple(self._words) for part in word.split("-")}

    def lack(self, answer: str) -> tuple[Claim, ...]:
        """The claims of an answer that they do not have."""
        return tuple(dict.fromkeys(claim for claim, value in _found(answer) if not self._has(claim, value)))

    def _has(self, claim: Claim, value: Value) -> bool:
        if claim.kind == "number" and isinstance(value, tuple):
            number, unit = cast(Quantity, value)
            # "5" may be said of what a source has five days of, "5 days" of a bare "5"; "5 mg" of five days may not.
            units = {known for other, known in self._quantities if other == number}
            return bool(units) and (unit is None or None in units or unit in units)
        if isinstance(value, tuple):
            return any(_is_within(cast(Date, value), other) for other in self._dates)
        if claim.kind == "name":
            return all(part in self._words for part in value.split())
        return value in self._others


def _is_within(claimed: Date, known: Date) -> bool:
    """Whether the source says all that the answer says."""
    return all(own is None or own == other for own, other in zip(claimed, known, strict=True))


def _found(text: str) -> Iterator[tuple[Claim, Value]]:
    rest = text
    for pattern in _DATES:
        for match in pattern.finditer(rest):
            yield Claim("date", match.group()), _date(match.groupdict())
        rest = pattern.sub(lambda match: " " * len(match.group()), rest)
    for match in _CLOCK.finditer(rest):
        yield Claim("date", match.group()), f"{int(match[1])}:{match[2]}"
    rest = _CLOCK.sub(lambda match: " " * len(match.group()), rest)
    for match in _ADDRESS.finditer(rest):
        yield Claim("name", match.group()), " ".join(_plain(part) for part in re.findall(r"[\w'-]+", match.group()))
    rest = _ADDRESS.sub(lambda match: " " * len(match.group()), rest)
    rest = _LIST_NUMBER.sub(lambda match: " " * len(match.group()), rest)
    for match in _NUMBER.finditer(rest):
        yield from _in_figures(rest, match.start(), match.end())
    for written in numbers_in_words(rest):
        yield Claim("number", written.said), (Decimal(written.value), unit_beside(rest, 0, written.end))
    for name in _names(rest):
        yield Claim("name", name), " ".join(_plain(part) for part in name.split() if part[0].isupper())


def _in_figures(text: str, start: int, end: int) -> Iterator[tuple[Claim, Value]]:
    """The number that stands there, or those between its spaces ("in 2020 300 people"); else as it is written."""
    said = text[start:end]
    pieces = list(re.finditer(r"[^ \u00a0]+", said))
    if (number := _number(said)) is not None:
        yield Claim("number", said), (number, unit_beside(text, start, end))
    elif len(pieces) > 1:
        for piece in pieces:
            yield from _in_figures(text, start + piece.start(), start + piece.end())
    else:
        yield Claim("number", said), said


def _names(text: str) -> Iterator[str]:
    openers = {match.start(1) for match in _SENTENCE.finditer(text)}
    runs = list(_CAPITALISED.finditer(text))
    inside = {_plain(word) for run in runs if run.start() not in openers for word in run.group().split()}
    for run in runs:
        words = run.group().split()
        if run.start() in openers and not _is_name_at_start(words, text[run.end() :], inside):
            words = words[1:]
        while words and _plain(words[0]) in _NO_NAMES:
            words = words[1:]
        if words and any(len(_plain(word)) > 1 for word in words):
            yield " ".join(words)


def _is_name_at_start(words: Sequence[str], after: str, inside: set[str]) -> bool:
    """A sentence begins with a capital anyway: it is a name where something else says so."""
    first = _plain(words[0])
    following = re.match(r"[ \t]+([a-z]+)", after)
    is_subject = len(words) == 1 and following is not None and following[1] in _SAYS
    is_spelled_out = len(words[0]) > 1 and words[0].isupper()
    has_owner_mark = words[0].endswith(("'s", "\u2019s"))
    if re.match(r" ?:", after):  # a heading
        return False
    return first not in _NO_NAMES and (first in inside or is_subject or is_spelled_out or has_owner_mark)


def _plain(word: str) -> str:
    return re.sub(r"['\u2019]s$|['\u2019]$", "", word.lower())


def _number(text: str) -> Decimal | None:
    digits = text.replace("\u2212", "-").replace("\u00a0", " ")
    if re.fullmatch(r"-?\d{1,3}(?:[, ]\d{3})+(?:\.\d+)?", digits):
        digits = re.sub("[, ]", "", digits)
    elif re.fullmatch(r"-?\d{1,3}(?:\.\d{3}){2,}", digits):
        digits = digits.replace(".", "")
    elif re.fullmatch(r"-?\d{1,3}(?:[. ]\d{3})+,\d+|-?\d+,\d+", digits):
        digits = re.sub("[. ]", "", digits).replace(",", ".")
    try:
        return Decimal(digits.strip()).normalize()
    except InvalidOperation:
        return None


def _date(parts: dict[str, str | None]) -> Date | str:
    if weekday := parts.get("weekday"):
        return weekday.lower()
    name, day, year = parts.get("name"), parts.get("day"), parts.get("year")
    month = parts.get("month") or (_month(name) if name else None)
    return (int(year) if year else None, int(month) if month else None, int(day) if day else None)


def _month(name: str) -> int:
    return next(number for number, month in enumerate(_MONTHS, start=1) if month.startswith(name.lower()[:3]))
