"""What a device says once a week about how well its models do there: one class of eight, by the toss of a coin.

A device counts recordings, and what was understood of them, in histograms (`questions`). Of a week it says one thing:
it draws one family of its models, one histogram, and one of what was counted in it, and a coin decides whether the
true class is said or any of the eight. Whatever it says is at most nine times likelier for one week than for any other:
a guarantee about every single report, kept on the device, whatever the server does. The report carries a ticket that
was signed unseen, over these very bytes.
"""

from __future__ import annotations

import math
import random
import re
from collections.abc import Sequence
from datetime import UTC, date, datetime, timedelta
from typing import Annotated, Final, Literal, Self

from pydantic import AfterValidator, Field, model_validator

from projectone.contracts.base import Contract, Name, Sha256, sha256_hex
from projectone.contracts.questions import N_BINS, Histogram, edges_version, family_asked
from projectone.contracts.releases import family_of

TRUTH_SHARE: Final = 0.5
"""How often the coin lets the truth through. Else all classes are equally likely, the true one too."""

MAX_RATIO: Final = round(1 + N_BINS * TRUTH_SHARE / (1 - TRUTH_SHARE))
"""How many times likelier an answer can be for one person's week than for any other: 9."""

EPSILON: Final = math.log(MAX_RATIO)
"""The same as local differential privacy counts it: ln 9, about 2.2, for one person and one week."""

_WEEK = re.compile(r"^(\d{4})-W(\d{2})$")


def _checked_week(text: str) -> str:
    monday_of(text)
    return text


Week = Annotated[str, AfterValidator(_checked_week)]
"""A week of ISO 8601 in UTC, such as `2026-W47`; in the order of time, as text, too."""


class QualityReport(Contract):
    """All that leaves, byte for byte.

    Attributes:
        week: Of which it tells.
        channel: The line of releases that the model came by: its channel, and for classifiers their family.
        model_version: The model that heard the recording, or understood what was said.
        tier: Its size.
        app_version: Of this app.
        edges_version: Which `EDGES` the answer means; the one with which the question came.
        histogram: What the question was: drawn, whatever there is to tell.
        answer: A class, counted from 0. True with a share of `TRUTH_SHARE`; drawn where there is nothing to tell.
        nonce: A random number, so that no two reports are the same bytes.
    """

    schema_version: Literal[1] = 1
    week: Week
    channel: Name
    model_version: Name
    tier: Name
    app_version: str = Field(pattern=r"^\d{1,4}\.\d{1,4}\.\d{1,4}$")
    edges_version: Literal[1, 2, 3, 4] = 1
    histogram: Histogram
    answer: int = Field(ge=0, lt=N_BINS)
    nonce: Sha256

    @model_validator(mode="after")
    def _check_family(self) -> Self:
        family = family_asked(self.histogram)
        if family != family_of(self.channel):
            raise ValueError(f"histogram: expected a question about {family_of(self.channel)}, got {self.histogram!r}")
        if self.edges_version != edges_version(self.histogram):
            raise ValueError(f"edges_version: expected {edges_version(self.histogram)} for {self.histogram!r}")
        return self


class QualityWeek(Contract):
    """What the server signs reports about a week with; the same for everybody.

    Attributes:
        ticket_key: Public RSA key (DER, base64).
    """

    week: Week
    ticket_key: str = Field(max_length=1_200, pattern=r"^[A-Za-z0-9+/]+={0,2}$")


class QualityTicketRequest(Contract):
    """A device asks for its ticket of a week: the server signs without seeing what, once for each device and week."""

    week: Week
    blinded: str = Field(pattern=r"^[A-Za-z0-9+/]{340,800}={0,2}$")


def quality_ticket_message(body: bytes) -> bytes:
    """What the ticket of a report is signed over: its very bytes, so that it is good for nothing else."""
    return f"projectone-quality-ticket-v1:{sha256_hex(body)}".encode()


def week_of(moment: datetime) -> str:
    """The week in which a moment lies."""
    year, week, _ = moment.astimezone(UTC).isocalendar()
    return f"{year:04}-W{week:02}"


def monday_of(week: str) -> datetime:
    """When a week begins.

    Raises:
        ValueError: if it is none.
    """
    found = _WEEK.match(week)
    if found is None:
        raise ValueError(f"week: expected one such as 2026-W47, got {week[:20]!r}")
    day = date.fromisocalendar(int(found[1]), int(found[2]), 1)
    return datetime(day.year, day.month, day.day, tzinfo=UTC)


def weeks_before(week: str, n: int) -> str:
    """The week `n` weeks earlier; later where `n` is negative."""
    return week_of(monday_of(week) - timedelta(weeks=n))


def draw_answer(counts: Sequence[int], source: random.Random) -> int:
    """What is said of a histogram: of one recording that is drawn, the true class or any, as the coin falls.

    Args:
        counts: Recordings in each class; all 0 where there is nothing to tell, and any class is said then.
        source: Where chance comes from; `random.SystemRandom` outside of tests.
    """
    is_true = source.random() < TRUTH_SHARE
    anything = source.randrange(N_BINS)
    if not is_true or not any(counts):
        return anything
    return source.choices(range(N_BINS), weights=counts)[0]


def estimated_shares(answers: Sequence[int]) -> tuple[float, ...]:
    """What the answers of many say of the true shares: the drawn ones taken out, none below 0, together 1."""
    total = sum(answers)
    if not total:
        return (1 / N_BINS,) * N_BINS
    raw = [max(0.0, (n / total - (1 - TRUTH_SHARE) / N_BINS) / TRUTH_SHARE) for n in answers]
    return tuple(share / sum(raw) for share in raw)
