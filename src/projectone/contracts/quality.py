"""What a device says once a week about how well the model hears there: one class of eight, by the toss of a coin.

A device counts its recordings in seven histograms. Of a week it says one thing: it draws one histogram and one of that
week's recordings, and a coin decides whether the true class is said or any of the eight. Whatever it says is at most
nine times likelier for one week of recordings than for any other: a guarantee about every single report, kept on the
device, whatever the server does. The report carries a ticket that was signed unseen, over these very bytes.
"""

from __future__ import annotations

import math
import random
import re
from collections.abc import Mapping, Sequence
from datetime import UTC, date, datetime, timedelta
from itertools import pairwise
from typing import Annotated, Final, Literal, get_args

from pydantic import AfterValidator, Field

from projectone.contracts.base import Contract, Name, Sha256, sha256_hex

Histogram = Literal[
    "log_probability", "compression", "no_speech", "duration", "signal_to_noise", "edit_rate", "real_time"
]
"""What is counted; the names are fixed, as a change of what one means is a new version of `EDGES`."""

HISTOGRAMS: Final[tuple[Histogram, ...]] = get_args(Histogram)
N_BINS: Final = 8
EDGES_VERSION: Final = 1

EDGES: Final[Mapping[Histogram, tuple[float, ...]]] = {
    "log_probability": (-5.0, -1.0, -0.5, -0.25, -0.15, -0.1, -0.08),
    "compression": (0.5, 0.65, 0.75, 0.85, 1.0, 1.5, 2.4),
    "no_speech": (0.001, 0.01, 0.1, 0.3, 0.6, 0.8, 0.95),
    "duration": (1.0, 2.0, 2.5, 3.5, 5.0, 10.0, 30.0),
    "signal_to_noise": (10.0, 16.0, 22.0, 28.0, 34.0, 38.0, 43.0),
    "edit_rate": (0.01, 0.1, 0.2, 0.35, 0.5, 0.75, 1.0),
    "real_time": (0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0),
}
"""Where one class ends and the next begins (it holds its lower edge).

Chosen once, from 400 clips of AN4, Kathleen's Arctic and other English under the starter model, so that ordinary speech
falls into several classes and the ends are left for what goes wrong; -1, 2.4 and 0.6 are Whisper's own limits. Nats per
token; characters per compressed byte; a probability; seconds; decibels between loud and quiet frames; changed words per
word; seconds of computing per second of sound.
"""

TITLES: Final[Mapping[Histogram, str]] = {
    "log_probability": "how sure the model was",
    "compression": "how much the text repeats itself",
    "no_speech": "how likely nobody spoke",
    "duration": "how long a recording was",
    "signal_to_noise": "how far speech stands out from noise",
    "edit_rate": "how many words a correction changed",
    "real_time": "how long transcribing took",
}
UNITS: Final[Mapping[Histogram, str]] = {
    "log_probability": "nats per token",
    "compression": "characters per compressed byte",
    "no_speech": "probability",
    "duration": "s",
    "signal_to_noise": "dB",
    "edit_rate": "share of words",
    "real_time": "s of computing per s of sound",
}

WORSE: Final[Mapping[Histogram, int]] = {
    "log_probability": -1,
    "compression": 1,
    "no_speech": 1,
    "duration": 0,
    "signal_to_noise": 0,
    "edit_rate": 1,
    "real_time": 1,
}
"""On which side a model is worse: lower (-1) or higher (1) classes; 0 where the recordings decide, and no model."""

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
        channel: Release channel.
        model_version: The model that heard the recording.
        tier: Its size.
        app_version: Of this app.
        edges_version: Which `EDGES` the answer means.
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
    edges_version: Literal[1] = 1
    histogram: Histogram
    answer: int = Field(ge=0, lt=N_BINS)
    nonce: Sha256


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


def bin_of(histogram: Histogram, value: float) -> int:
    """The class of a value, 0 to 7."""
    return sum(value >= edge for edge in EDGES[histogram])


def class_names(histogram: Histogram) -> tuple[str, ...]:
    """Each class in words, in order."""
    edges = EDGES[histogram]
    middle = (f"{low:g} to {high:g}" for low, high in pairwise(edges))
    return (f"under {edges[0]:g}", *middle, f"{edges[-1]:g} or more")


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
