"""What did it forget? Non-inferiority on general speech."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from projectone.contracts.scores import CheckResult
from projectone.server.evaluation.checks.protocol import (
    Evidence,
    describe_gain,
    not_judged,
    objection,
    passed,
    percent,
)


@dataclass(frozen=True, kw_only=True)
class GeneralSpeech:
    """On the general clips the candidate loses less than the margin, with 95 % confidence.

    A loss within the margin is the price of a gain on the target domain, and is paid knowingly.

    Attributes:
        margin: The largest loss that is accepted, a fraction of the words.
        min_clips: With fewer general clips nothing is said.
    """

    name: str = "general"
    margin: float = 0.02
    min_clips: int = 50

    def __post_init__(self) -> None:
        if not 0 <= self.margin <= 1 or self.min_clips < 1:
            raise ValueError(f"expected margin 0 to 1 and min_clips >= 1, got {self.margin!r}, {self.min_clips!r}")

    def judge(self, evidence: Evidence) -> Sequence[CheckResult]:
        """See `Check`."""
        clips = evidence.general
        if len(clips) < self.min_clips:
            return [not_judged(self, f"{len(clips)} clips of general speech are too few, it takes {self.min_clips}")]
        gain = evidence.gain(clips)
        told = f"general speech: {describe_gain(gain)} over {len(clips)} clips, allowed -{percent(self.margin)}"
        if gain.high < -self.margin:
            return [objection(self, "reject", "general-worse", f"worse, beyond what is allowed: {told}")]
        if gain.low < -self.margin:
            return [objection(self, "hold", "general-unproven", f"may be losing more than is allowed: {told}")]
        return [passed(self, told)]
