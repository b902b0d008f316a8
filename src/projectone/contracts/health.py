"""What a device says about a model in use: counts, and nothing that was said or heard.

No audio, no text, no name: of every field the values are listed or bounded. A report carries a ticket instead of a
signature: it shows that some device of ours speaks, and that it speaks once about this release, and not which one.
"""

from __future__ import annotations

from typing import Annotated, Final, Literal

from pydantic import Field

from projectone.contracts.base import Contract, Name
from projectone.contracts.rollouts import Cohort

MAX_COUNT: Final = 1_000
"""Higher counts are said as this one: how much somebody dictates is nobody's business."""

SPEED_EDGES: Final = (0.1, 0.2, 0.5, 1.0, 2.0)
"""Seconds of computing for a second of sound; a histogram has one bin more than edges."""

_N_SPEEDS: Final = len(SPEED_EDGES) + 1

Phase = Literal["began", "tried", "used"]
"""The release was seen, and nothing was touched; its trial is over; it was in use for a day. Each is said once."""

OwnVerdict = Literal["not-worse", "worse", "untold"]
"""What became of trying a release on the user's own recordings: that alone, and no figure; `untold` where they were too
few. A device that says `worse` kept the model before."""

PHASES: Final[tuple[Phase, ...]] = ("began", "tried", "used")


class HealthCounts(Contract):
    """What happened since the release was seen, on one device.

    Attributes:
        installs: Models that were put in use.
        load_failures: Models that could not be loaded, heard nothing, or heard words in silence.
        crash_loops: Models that ended the app, twice.
        speeds: Transcriptions by seconds of computing for a second of sound (`SPEED_EDGES`).
        empty_transcripts: Transcriptions in which nothing was heard.
        corrections: Transcriptions that the user corrected.
        verdict: What the user's own recordings said of the release; None before the trial, and from older apps.
    """

    installs: int = Field(default=0, ge=0, le=MAX_COUNT)
    load_failures: int = Field(default=0, ge=0, le=MAX_COUNT)
    crash_loops: int = Field(default=0, ge=0, le=MAX_COUNT)
    speeds: tuple[Annotated[int, Field(ge=0, le=MAX_COUNT)], ...] = Field(
        default=(0,) * _N_SPEEDS, min_length=_N_SPEEDS, max_length=_N_SPEEDS
    )
    empty_transcripts: int = Field(default=0, ge=0, le=MAX_COUNT)
    corrections: int = Field(default=0, ge=0, le=MAX_COUNT)
    verdict: OwnVerdict | None = None

    @property
    def transcripts(self) -> int:
        """How many transcriptions there were."""
        return sum(self.speeds)

    @property
    def slow_transcripts(self) -> int:
        """How many of them took longer than the sound."""
        return sum(n for n, edge in zip(self.speeds[1:], SPEED_EDGES, strict=True) if edge >= 1.0)


class HealthTicket(Contract):
    """A device's right to report on one release: a number that it drew, and a signature that was made blindly."""

    serial: str = Field(pattern=r"^[0-9a-f]{64}$")
    signature: str = Field(pattern=r"^[A-Za-z0-9+/]{340,800}={0,2}$")


class TicketRequest(Contract):
    """A device asks for its ticket: the server signs without seeing what, once for each device, release and side."""

    channel: Name
    seq: int = Field(ge=1)
    side: Literal["with", "without"]
    blinded: str = Field(pattern=r"^[A-Za-z0-9+/]{340,800}={0,2}$")


class TicketAnswer(Contract):
    """What the server signed, still blinded."""

    blind_signature: str = Field(pattern=r"^[A-Za-z0-9+/]{340,800}={0,2}$")


class HealthReport(Contract):
    """What one device says about one release, in one phase. Counts only grow from phase to phase."""

    schema_version: Literal[1] = 1
    channel: Name
    seq: int = Field(ge=1)
    tier: Name
    app_version: str = Field(pattern=r"^\d{1,4}\.\d{1,4}\.\d{1,4}$")
    cohort: Cohort
    phase: Phase
    counts: HealthCounts = HealthCounts()
    ticket: HealthTicket


def ticket_message(channel: str, seq: int, serial: str) -> bytes:
    """What a ticket's signature is over."""
    return f"projectone-health-ticket-v1:{channel}:{seq}:{serial}".encode()


def speed_bin(computing_s: float, sound_s: float) -> int:
    """The bin of `speeds` for one transcription."""
    factor = computing_s / max(sound_s, 1e-9)
    return sum(factor >= edge for edge in SPEED_EDGES)
