"""What would devices pay? Computation and storage, told without a clock, so that no busy machine decides."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from projectone.contracts.scores import CheckResult
from projectone.server.evaluation.checks.protocol import Evidence, not_judged, objection, passed


@dataclass(frozen=True, kw_only=True)
class Speed:
    """Hearing and writing the set takes hardly more multiply-adds than production takes.

    Attributes:
        max_ratio: To production.
    """

    name: str = "speed"
    max_ratio: float = 1.25

    def judge(self, evidence: Evidence) -> Sequence[CheckResult]:
        """See `Check`."""
        before, after = evidence.production.footprint, evidence.candidate.footprint
        if before is None or after is None or not before.operations:
            return [not_judged(self, "a report does not tell what the model costs")]
        ratio = after.operations / before.operations
        told = (
            f"{ratio:.2f} times production's multiply-adds for a second of sound ({after.operations / 1e6:.0f} "
            f"million; {after.n_tokens} tokens written, {before.n_tokens} by production)"
        )
        if ratio > self.max_ratio:
            return [objection(self, "reject", "slower", f"{told}, allowed {self.max_ratio:g} times")]
        return [passed(self, told)]


@dataclass(frozen=True, kw_only=True)
class Size:
    """The files take hardly more room than production's, and no more than a device has for them.

    Attributes:
        max_ratio: To production.
        max_bytes: Whatever production takes; None sets no such limit.
    """

    name: str = "size"
    max_ratio: float = 1.1
    max_bytes: int | None = None

    def judge(self, evidence: Evidence) -> Sequence[CheckResult]:
        """See `Check`."""
        before, after = evidence.production.footprint, evidence.candidate.footprint
        if before is None or after is None or not before.size_bytes:
            return [not_judged(self, "a report does not tell how large the model is")]
        ratio = after.size_bytes / before.size_bytes
        told = f"{after.size_bytes / 1e6:.1f} MB, {ratio:.2f} times production"
        if ratio > self.max_ratio:
            return [objection(self, "reject", "too-large", f"{told}, allowed {self.max_ratio:g} times")]
        if self.max_bytes is not None and after.size_bytes > self.max_bytes:
            return [objection(self, "reject", "too-large", f"{told}, allowed {self.max_bytes / 1e6:.1f} MB")]
        return [passed(self, told)]
