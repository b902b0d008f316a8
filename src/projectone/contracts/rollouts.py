"""Who gets a release, and when: what is signed with it, what is said while it goes out, and a device's turn.

Two documents, and a device takes the smaller share of both. The plan is signed with the release, by keys that are not
on the web: it says how far the release may have gone by which moment. The state is signed by a key that is online: it
says how far it has gone, or that it is stopped. Whoever steals that key can delay a release or stop it, and never
widen it.

Shares are counted in buckets, ten thousand of them: whole numbers have one spelling in every language.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final, Literal, Self

from pydantic import Field, model_validator

from projectone.contracts.base import Contract, Moment, Name

N_BUCKETS: Final = 10_000
"""A bucket is a hundredth of a percent of all devices."""

CONTROLS_PER_TREATED: Final = 10
"""Devices beside each one that has the release, who report on the model before it: cheap, and they halve the wait."""

Cohort = Literal["treated", "control", "canary"]
"""Whose turn it is; who is compared with them; who asked for it before their turn (and is compared with nobody)."""

StopReason = Literal[
    "crash-loops", "crash-looped", "load-failed", "silent", "slow", "empty", "corrected", "person", "replaced"
]
"""Why a release is stopped: what devices reported, a person, or a release that took its place."""


class RolloutStage(Contract):
    """From a moment on, at most so many buckets."""

    not_before: Moment
    max_buckets: int = Field(ge=0, le=N_BUCKETS)


class RolloutPlan(Contract):
    """How far a release may have gone by when; part of what is signed with it.

    Attributes:
        salt: Another one for each release, so that other people are first each time.
        stages: In the order of their moments; none is smaller than the one before.
        ticket_key: Public RSA key (DER, base64) of this release: a ticket signed with it is one device's right to
            report once. It stands here so that a server cannot give each device a key of its own and know it again.
    """

    salt: str = Field(pattern=r"^[0-9a-f]{32}$")
    stages: tuple[RolloutStage, ...] = Field(min_length=1, max_length=16)
    ticket_key: str = Field(default="", max_length=1_200, pattern=r"^[A-Za-z0-9+/=]*$")

    @model_validator(mode="after")
    def _check_order(self) -> Self:
        for before, after in zip(self.stages, self.stages[1:], strict=False):
            if after.not_before < before.not_before or after.max_buckets < before.max_buckets:
                raise ValueError("stages: expected each one later and no smaller than the one before")
        return self

    def most_buckets(self, now: datetime) -> int:
        """The largest share that the release may have now."""
        return max((stage.max_buckets for stage in self.stages if stage.not_before <= now), default=0)


class RolloutState(Contract):
    """How far a release has gone. Short-lived, signed online.

    Attributes:
        seq: The release that is meant; nothing is said about any other.
        buckets: Whose turn it is; nobody's while `is_halted`.
    """

    schema_version: Literal[1] = 1
    channel: Name
    seq: int = Field(ge=1)
    buckets: int = Field(ge=0, le=N_BUCKETS)
    is_halted: bool = False
    reason: StopReason | None = None


@dataclass(frozen=True)
class Turn:
    """Where a device stands with a release.

    Attributes:
        cohort: None if nothing is asked of this device yet.
        open_buckets: How far the release has gone.
        is_halted: Nobody gets it, whoever asks.
        reason: Why it is stopped.
    """

    cohort: Cohort | None
    open_buckets: int
    is_halted: bool = False
    reason: StopReason | None = None

    @property
    def may_install(self) -> bool:
        """Whether this device takes the release now."""
        return self.cohort in ("treated", "canary")

    @property
    def percent(self) -> float:
        """How far the release has gone, in percent of all devices."""
        return percent_of(self.open_buckets)


class SeenTurn(Contract):
    """A release that was seen and not taken: what `status` says without asking the server.

    Attributes:
        percent: How far it had gone.
    """

    seq: int = Field(ge=1)
    version: str
    percent: float
    is_halted: bool
    reason: StopReason | None = None


def bucket_of(salt: str, device: str) -> int:
    """The bucket of a device in a release, 0 to 9,999.

    Args:
        salt: Of the release's plan.
        device: A random name that the device made for this alone, and that never leaves it.
    """
    return int.from_bytes(hashlib.sha256(f"{salt}:{device}".encode()).digest()[:8], "big") % N_BUCKETS


def turn_of(
    device: str,
    seq: int,
    plan: RolloutPlan | None,
    state: RolloutState | None,
    now: datetime,
    *,
    is_asking_early: bool = False,
) -> Turn:
    """Whose turn it is, by the smaller of the two shares.

    A release without a plan is for everybody at once, unless it is stopped. Of a release with one nobody has a turn
    before a state was published that is about it.
    """
    known = state if state is not None and state.seq == seq else None
    if known is not None and known.is_halted:
        return Turn(None, 0, is_halted=True, reason=known.reason)
    if plan is None:
        return Turn("treated", N_BUCKETS)
    open_buckets = min(plan.most_buckets(now), known.buckets if known is not None else 0)
    bucket = bucket_of(plan.salt, device)
    if bucket < open_buckets:
        return Turn("treated", open_buckets)
    if is_asking_early:
        return Turn("canary", open_buckets)
    return Turn("control" if bucket < open_buckets * (1 + CONTROLS_PER_TREATED) else None, open_buckets)


def earliest_turn(device: str, plan: RolloutPlan | None) -> datetime | None:
    """The first moment at which a signed plan lets this device have the release; None where it names none.

    It promises nothing: the state may lag behind the plan, or stop the release. Nothing comes before it by itself.
    """
    if plan is None:
        return None
    bucket = bucket_of(plan.salt, device)
    return next((stage.not_before for stage in plan.stages if bucket < stage.max_buckets), None)


def stages_from(begin: datetime, steps: Sequence[tuple[int, timedelta]]) -> tuple[RolloutStage, ...]:
    """The signed stages of a plan that begins now: each one opens when those before it have had their time.

    Args:
        begin: When the first stage opens.
        steps: For each stage its buckets, and how long it lasts at least.
    """
    stages, moment = [], begin
    for buckets, least in steps:
        stages.append(RolloutStage(not_before=moment, max_buckets=buckets))
        moment += least
    return tuple(stages)


def percent_of(buckets: int) -> float:
    """Buckets as percent of all devices."""
    return buckets * 100 / N_BUCKETS
