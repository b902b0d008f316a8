"""Does it write as production writes? Capitals and punctuation, which normalised error rates do not see."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from projectone.contracts.scores import CheckResult, UtteranceScore
from projectone.server.evaluation.checks.protocol import Evidence, not_judged, objection, passed, percent


@dataclass(frozen=True, kw_only=True)
class Style:
    """Errors that are there only before normalising do not become more by the margin, beyond chance.

    Attributes:
        margin: Of the words.
        min_clips: Of fewer clips nothing is said.
    """

    name: str = "style"
    margin: float = 0.02
    min_clips: int = 20

    def judge(self, evidence: Evidence) -> Sequence[CheckResult]:
        """See `Check`."""
        pairs = [pair for pair in evidence.spoken if all(heard.raw_word_errors is not None for heard in pair)]
        if len(pairs) < self.min_clips:
            return [not_judged(self, f"{len(pairs)} clips tell how they are written, it takes {self.min_clips}")]
        n_words = sum(before.n_words for before, _ in pairs)
        loss = evidence.difference(pairs, style_errors)
        rates = (sum(style_errors(pair[side]) for pair in pairs) / n_words for side in (0, 1))
        told = f"words wrong in nothing but capitals and punctuation: {' -> '.join(map(percent, rates))}"
        if loss.high < -self.margin:
            reason = f"{told}, beyond chance more than {percent(self.margin)} of the words"
            return [objection(self, "reject", "style-drift", reason)]
        return [passed(self, told)]


def style_errors(heard: UtteranceScore) -> int:
    """Errors that normalising takes away; contractions that it writes out may make it less than none."""
    return (heard.raw_word_errors or 0) - heard.word_errors
