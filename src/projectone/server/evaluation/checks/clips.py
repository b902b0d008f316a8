"""Which clips got worse? People notice the sentence that used to be right, not the average."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from projectone.contracts.scores import CheckResult
from projectone.server.evaluation.checks.protocol import (
    Evidence,
    Objection,
    Pair,
    at_least,
    not_judged,
    objection,
    passed,
    percent,
)

_MOST_NAMED = 5


@dataclass(frozen=True, kw_only=True)
class Clips:
    """Few clips get worse, and those that were right stay right.

    A limit of the second counts as passed if Wilson's lower bound of the share lies beyond it: chance refuses nobody.

    Attributes:
        max_worse_share: Of the spoken clips, how many may have more errors than in production.
        max_lost_share: Of the clips without any error in production, how many may have one now; beyond it a person
            looks.
        unbearable_lost_share: Beyond it the candidate is refused.
        min_clips: Of fewer clips no share is taken.
    """

    name: str = "clips"
    max_worse_share: float = 0.25
    max_lost_share: float = 0.1
    unbearable_lost_share: float = 0.2
    min_clips: int = 20

    def __post_init__(self) -> None:
        for name in ("max_worse_share", "max_lost_share", "unbearable_lost_share"):
            if not 0 <= getattr(self, name) <= 1:
                raise ValueError(f"{name}: expected 0 to 1, got {getattr(self, name)!r}")

    def judge(self, evidence: Evidence) -> Sequence[CheckResult]:
        """See `Check`."""
        spoken = evidence.spoken
        if len(spoken) < self.min_clips:
            return [not_judged(self, f"{len(spoken)} spoken clips are too few, it takes {self.min_clips}")]
        worse = [pair for pair in spoken if pair[1].word_errors > pair[0].word_errors]
        share = len(worse) / len(spoken)
        told = f"{len(worse)} of {len(spoken)} clips got worse (allowed {percent(self.max_worse_share)}){_named(worse)}"
        found = [passed(self, told)]
        if share > self.max_worse_share:
            found = [objection(self, "hold", "clip-regression", told)]
        return [*found, self._judge_right(spoken)]

    def _judge_right(self, spoken: Sequence[Pair]) -> CheckResult:
        right = [pair for pair in spoken if not pair[0].word_errors]
        if len(right) < self.min_clips:
            return not_judged(self, f"{len(right)} clips without an error in production are too few")
        lost = [pair for pair in right if pair[1].word_errors]
        share = len(lost) / len(right)
        told = (
            f"{len(lost)} of {len(right)} clips that were right have errors now "
            f"(allowed {percent(self.max_lost_share)}){_named(lost)}"
        )
        surely = at_least(share, len(right))
        if surely > self.max_lost_share:
            outcome: Objection = "reject" if surely > self.unbearable_lost_share else "hold"
            return objection(self, outcome, "clip-regression", told)
        return passed(self, told)


def _named(pairs: Sequence[Pair]) -> str:
    """The clips, those that lost most first."""
    by_loss = sorted(pairs, key=lambda pair: (pair[0].word_errors - pair[1].word_errors, pair[0].clip_id))
    names = [f"{before.clip_id} (+{after.word_errors - before.word_errors})" for before, after in by_loss]
    rest = f" and {len(names) - _MOST_NAMED} more" if len(names) > _MOST_NAMED else ""
    return f": {', '.join(names[:_MOST_NAMED])}{rest}" if names else ""
