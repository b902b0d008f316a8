"""Is the candidate better at what it was trained for, beyond chance?"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from projectone.contracts.scores import CheckResult
from projectone.server.evaluation.checks.protocol import Evidence, objection, passed


@dataclass(frozen=True, kw_only=True)
class Improvement:
    """The whole 95 % interval of the gain on the target domain lies above zero.

    Attributes:
        min_clips: Fewer prove no gain: draws of a handful spread too little (of one, not at all). Where both models are
            alike, one person's single clip would promote in 35 of 100 runs, four in 6, ten in 3 (2.5 is meant).
        items: What is counted.
    """

    name: str = "improvement"
    min_clips: int = 10
    items: str = "clips"

    def judge(self, evidence: Evidence) -> Sequence[CheckResult]:
        """See `Check`."""
        gain = evidence.target_gain
        if gain.high < 0:
            return [objection(self, "reject", "worse-overall", "worse overall, beyond chance")]
        if gain.low <= 0:
            reason = "the difference may be chance: the interval of the gain holds zero"
            return [objection(self, "hold", "gain-unproven", reason)]
        if len(evidence.target) < self.min_clips:
            reason = f"{len(evidence.target)} {self.items} are too few to prove a gain, it takes {self.min_clips}"
            return [objection(self, "hold", "gain-unproven", reason)]
        return [passed(self, "better overall, beyond chance")]
