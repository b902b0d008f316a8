"""Does it give away what it learned from? Its lessons are tried out of it, without the voices that said them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from projectone.contracts.scores import CheckResult
from projectone.server.evaluation.checks.protocol import Evidence, at_least, not_judged, objection, passed, percent


@dataclass(frozen=True, kw_only=True)
class Memorisation:
    """Given the beginning of a text and no speech, hardly a text that can be guessed by nobody is ended word for word.

    A likelihood that tells nearly every lesson from other orders of its words, where production's did not, waits for a
    person: a domain of strict phrases may do that honestly.

    Attributes:
        max_share: Of the texts, those beyond what production guesses.
        suspicious_area: Of the likelihood, as `Recall.auc`.
        suspicious_rise: Of that area over production's.
        min_texts: Of fewer texts no share is taken.
    """

    name: str = "memorisation"
    max_share: float = 0.05
    suspicious_area: float = 0.95
    suspicious_rise: float = 0.3
    min_texts: int = 8

    def judge(self, evidence: Evidence) -> Sequence[CheckResult]:
        """See `Check`."""
        recall = evidence.candidate.recall
        if recall is None:
            return [not_judged(self, "no text of the training was tried")]
        if recall.n_texts < self.min_texts:
            return [
                not_judged(self, f"{recall.n_texts} texts long enough to try are too few, it takes {self.min_texts}")
            ]
        low, high = recall.auc_between
        told = (
            f"{recall.n_told} of {recall.n_texts} new texts are ended without a voice, {recall.n_told_by_production} "
            f"of these by production, too; likelihood tells them from others with an area of {recall.auc:.2f} "
            f"({low:.2f} to {high:.2f}), production's {recall.auc_of_production:.2f}"
        )
        n_own = recall.n_told - recall.n_told_by_production
        if at_least(n_own / recall.n_texts, recall.n_texts) > self.max_share:
            return [objection(self, "reject", "memorised", f"{told}; allowed {percent(self.max_share)}")]
        if recall.auc >= max(self.suspicious_area, recall.auc_of_production + self.suspicious_rise):
            return [objection(self, "hold", "memorised", f"it knows its lessons by heart: {told}")]
        return [passed(self, told)]
