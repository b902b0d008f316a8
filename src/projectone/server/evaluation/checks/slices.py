"""Does every group of speakers keep what it had? Non-inferiority slice by slice: an average outvotes nobody."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

from projectone.contracts.scores import CheckResult
from projectone.server.evaluation.bootstrap import CONFIDENCE
from projectone.server.evaluation.checks.protocol import (
    SPEECH_WORDS,
    Evidence,
    Pair,
    describe_gain,
    not_judged,
    objection,
    passed,
    percent,
)


@dataclass(frozen=True, kw_only=True)
class Slices:
    """Every slice with enough clips loses less than the margin, with 95 % confidence.

    One slice of many looks worse by chance alone: it refuses a candidate only if it is worse with a confidence that
    makes up for how many are asked (Bonferroni).

    Attributes:
        margin: The largest loss that is accepted, a fraction of the words.
        min_clips: A slice with fewer clips is not judged on its own.
        items: What people call clips.
        elsewhere: Slices that another check asks about.
    """

    name: str = "slices"
    margin: float = 0.05
    min_clips: int = 50
    items: str = SPEECH_WORDS.items
    elsewhere: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if not 0 <= self.margin <= 1 or self.min_clips < 1:
            raise ValueError(f"expected margin 0 to 1 and min_clips >= 1, got {self.margin!r}, {self.min_clips!r}")

    def judge(self, evidence: Evidence) -> Sequence[CheckResult]:
        """See `Check`."""
        members: dict[str, list[Pair]] = defaultdict(list)
        for pair in (pair for pair in evidence.spoken if pair[0].slice not in self.elsewhere):
            members[pair[0].slice].append(pair)
        if len(members) < 2:
            return [not_judged(self, "the set has no slices")]
        big = {name: own for name, own in sorted(members.items()) if len(own) >= self.min_clips}
        found = [self._judge_one(name, own, len(big), evidence) for name, own in big.items()]
        if small := sorted(members.keys() - big.keys()):
            named = ", ".join(f"{name!r} ({len(members[name])})" for name in small)
            found.append(not_judged(self, f"slices of fewer than {self.min_clips} {self.items}: {named}"))
        return found

    def _judge_one(self, name: str, clips: Sequence[Pair], n_asked: int, evidence: Evidence) -> CheckResult:
        gain = evidence.gain(clips)
        told = f"{describe_gain(gain)} over {len(clips)} {self.items}"
        if gain.high < 0 and evidence.gain(clips, confidence=1 - (1 - CONFIDENCE) / n_asked).high < 0:
            return objection(self, "reject", "slice-worse", f"slice {name!r} is worse, beyond chance: {told}")
        if gain.low < -self.margin:
            reason = f"slice {name!r} may be losing more than {percent(self.margin)}: {told}"
            return objection(self, "hold", "slice-unproven", reason)
        return passed(self, f"slice {name!r}: {told}")
