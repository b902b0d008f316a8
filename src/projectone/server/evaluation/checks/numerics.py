"""Did packing into fewer bits take away what training gave? The packed candidate against itself before."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from projectone.contracts.scores import CheckResult
from projectone.server.evaluation.checks.protocol import Evidence, describe_gain, not_judged, objection, passed, percent


@dataclass(frozen=True, kw_only=True)
class Numerics:
    """Packed, the candidate loses less than the margin of what it could before, and none of it beyond chance.

    Attributes:
        margin: Of the words. A loss beyond chance within it is accepted: fewer bits are paid for.
    """

    name: str = "numerics"
    margin: float = 0.01

    def judge(self, evidence: Evidence) -> Sequence[CheckResult]:
        """See `Check`."""
        if evidence.unpacked is None:
            return [not_judged(self, "the candidate ships in the numbers that it was trained in")]
        before = {heard.clip_id: heard for heard in evidence.unpacked.utterances}
        pairs = [(before[after.clip_id], after) for _, after in evidence.spoken]
        loss = evidence.gain(pairs)
        told = f"packed as {evidence.candidate.numerics}: {describe_gain(loss)} against the same model before"
        if loss.high < 0 and loss.value < -self.margin:
            reason = f"{told}; beyond chance, allowed {percent(self.margin)}"
            return [objection(self, "reject", "quantization-damage", reason)]
        return [passed(self, told)]
