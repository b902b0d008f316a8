"""When to train: enough new samples, or some and a week gone by, or a model that has to go. A pure function."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Literal


@dataclass(frozen=True, kw_only=True)
class SchedulePolicy:
    """How eager training is.

    Attributes:
        min_new_samples: This many waiting samples start a run.
        every: After this long, any waiting sample does.
        retry_after: Rest after a run that released nothing; doubled for each further one in a row, up to `every`.
        replace_ahead: So long before a model has to be replaced a run begins for it, whatever waits.
    """

    min_new_samples: int = 50
    every: timedelta = timedelta(days=7)
    retry_after: timedelta = timedelta(hours=1)
    replace_ahead: timedelta = timedelta(days=45)

    def __post_init__(self) -> None:
        if self.min_new_samples < 1:
            raise ValueError(f"min_new_samples: expected at least 1, got {self.min_new_samples!r}")
        if self.every <= timedelta(0):
            raise ValueError(f"every: expected a positive time, got {self.every!r}")


@dataclass(frozen=True, kw_only=True)
class Situation:
    """What is known now.

    Attributes:
        n_waiting: Samples that nothing learned from yet, of each person as many as a run would take.
        waiting_since: When the oldest of them came.
        last_ended_at: When the last run ended.
        n_fruitless: Runs in a row, up to the last one, that failed or were quarantined.
        n_declined: Waiting samples that the last run found not worth training on. They count again with the calendar,
            and train with whatever newcomers start a run.
        replace_by: When the model in production has to be replaced, because something it had learned from was
            withdrawn, and there is something to train another one on.
    """

    now: datetime
    n_waiting: int
    waiting_since: datetime | None
    last_ended_at: datetime | None
    n_fruitless: int = 0
    n_declined: int = 0
    replace_by: datetime | None = None


def due(policy: SchedulePolicy, situation: Situation) -> Literal["threshold", "schedule", "withdrawal"] | None:
    """Why a run should start now, or None."""
    replace_by = situation.replace_by
    is_to_replace = replace_by is not None and situation.now >= replace_by - policy.replace_ahead
    if situation.n_waiting == 0 and not is_to_replace:
        return None
    if situation.last_ended_at is not None and situation.n_fruitless:
        doublings = min(situation.n_fruitless - 1, 16)
        rest = min(policy.retry_after * 2**doublings, policy.every)
        if situation.now < situation.last_ended_at + rest:
            return None
    if is_to_replace:
        return "withdrawal"
    if situation.n_waiting - situation.n_declined >= policy.min_new_samples:
        return "threshold"
    since = situation.last_ended_at or situation.waiting_since
    return "schedule" if since is not None and situation.now >= since + policy.every else None
