"""Are words still placed in time? A model forgets that long before it forgets the words."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import median

from projectone.contracts.evidence import ClipTiming
from projectone.contracts.scores import CheckResult
from projectone.server.evaluation.checks.protocol import Evidence, not_judged, objection, passed, percent

_GRACE_S = 0.5  # a clip that is cut at its last sound still gets an end


@dataclass(frozen=True, kw_only=True)
class Timestamps:
    """Each text begins and ends within its clip, in order, about where production has it.

    Attributes:
        max_more_share: Of the clips, how many more than in production may have timestamps that cannot be right.
        max_shift_s: How far the ends may move, in the median over the clips that both place.
        min_clips: Of fewer clips nothing is said.
    """

    name: str = "timestamps"
    max_more_share: float = 0.15
    max_shift_s: float = 0.4
    min_clips: int = 8

    def judge(self, evidence: Evidence) -> Sequence[CheckResult]:
        """See `Check`."""
        before = {timing.clip_id: timing for timing in evidence.production.timings}
        pairs = [(before[after.clip_id], after) for after in evidence.candidate.timings if after.clip_id in before]
        if len(pairs) < self.min_clips:
            return [not_judged(self, f"timestamps of {len(pairs)} clips are too few, it takes {self.min_clips}")]
        n_before, n_after = (sum(not is_placed(pair[side]) for pair in pairs) for side in (0, 1))
        told = (
            f"{n_after} of {len(pairs)} clips have timestamps that are missing, out of order or outside the clip; in "
            f"production {n_before}"
        )
        if n_after - n_before > self.max_more_share * len(pairs):
            reason = f"{told}, allowed {percent(self.max_more_share)} more"
            return [objection(self, "reject", "timestamps-broken", reason)]
        shifts = [_shift_s(*pair) for pair in pairs if is_placed(pair[0]) and is_placed(pair[1])]
        if len(shifts) < self.min_clips:
            return [passed(self, told), not_judged(self, f"only {len(shifts)} clips are placed by both models")]
        moved = f"the ends of texts moved by {median(shifts):.2f} s in the median over {len(shifts)} clips"
        if median(shifts) > self.max_shift_s:
            return [objection(self, "hold", "timestamps-moved", f"{moved}, allowed {self.max_shift_s:g} s")]
        return [passed(self, told), passed(self, moved)]


def is_placed(timing: ClipTiming) -> bool:
    """Whether these timestamps can be right: there, closed, in order, inside the clip."""
    now_s = 0.0
    for start_s, end_s in timing.segments:
        if end_s is None or not now_s <= start_s < end_s <= timing.duration_s + _GRACE_S:
            return False
        now_s = end_s
    return bool(timing.segments)


def _shift_s(before: ClipTiming, after: ClipTiming) -> float:
    """How far the beginning or the end of all that is said moved, the larger of both."""
    first, last = (side.segments[0][0] for side in (before, after)), (side.segments[-1][1] for side in (before, after))
    return max(abs(_difference(*first)), abs(_difference(*last)))


def _difference(before: float | None, after: float | None) -> float:
    return (after or 0.0) - (before or 0.0)
