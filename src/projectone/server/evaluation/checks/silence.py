"""Words on nothing: golden clips in which nobody speaks."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from projectone.contracts.scores import CheckResult
from projectone.server.evaluation.checks.protocol import Evidence, not_judged, objection, passed, percent
from projectone.server.evaluation.checks.texts import has_words


@dataclass(frozen=True, kw_only=True)
class Silence:
    """Hardly a clip without speech comes out with words, unless production writes them as often.

    Attributes:
        max_share: Of the golden clips without speech.
    """

    name: str = "silence"
    max_share: float = 0.01

    def __post_init__(self) -> None:
        if not 0 <= self.max_share <= 1:
            raise ValueError(f"max_share: expected 0 to 1, got {self.max_share!r}")

    def judge(self, evidence: Evidence) -> Sequence[CheckResult]:
        """See `Check`."""
        silent = [pair for pair in evidence.pairs if not pair[0].n_words]
        if not silent:
            return [not_judged(self, "the set has no clip in which nobody speaks")]
        before, after = (sum(has_words(pair[side].hypothesis) for pair in silent) for side in (0, 1))
        told = f"{after} of {len(silent)} of the clips in which nobody speaks come out with words"
        if after > before and after > self.max_share * len(silent):
            reason = f"{told}; in production {before}, allowed {percent(self.max_share)}"
            return [objection(self, "reject", "silence-hallucination", reason)]
        return [passed(self, told)]
