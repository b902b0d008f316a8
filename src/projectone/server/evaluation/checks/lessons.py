"""Does it know the recordings that it learned from better than others of their kind? By words under noise, by loss."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from projectone.contracts.scores import CheckResult
from projectone.server.evaluation.checks.protocol import Evidence, not_judged, objection, passed, percent


@dataclass(frozen=True, kw_only=True)
class CoveredWords:
    """A word that noise covers is guessed in lessons no more often than elsewhere, by the margin and beyond chance.

    What the candidate guesses beyond production in lessons, less what it guesses beyond production in recordings that
    it did not learn from. Of four candidates of the demo it lies between -0.17 and 0.06, its lower bound at 0 at most;
    of a model that was taught its lessons with their words under noise at 0.5, the bound at 0.14.

    Attributes:
        margin: Which the lower bound of the 95 % interval may reach.
        min_recordings: With fewer on a side nothing is said.
    """

    name: str = "covered-words"
    margin: float = 0.1
    min_recordings: int = 16

    def judge(self, evidence: Evidence) -> Sequence[CheckResult]:
        """See `Check`."""
        found = None if evidence.candidate.recall is None else evidence.candidate.recall.masking
        if found is None:
            return [not_judged(self, "no recording of the training was tried with a word under noise")]
        if (reason := too_few(found.n_lessons, found.n_others, self.min_recordings)) is not None:
            return [not_judged(self, reason)]
        told = (
            f"words under noise are guessed in {found.n_guessed} of {found.n_lessons} lessons (production "
            f"{found.n_guessed_by_production}) and in {found.n_guessed_of_others} of {found.n_others} other recordings "
            f"({found.n_guessed_of_others_by_production}): {percent(found.excess)} more in lessons (95 % interval "
            f"{percent(found.excess_low)} to {percent(found.excess_high)})"
        )
        if found.excess_low > self.margin:
            reason = f"{told}, beyond chance more than {percent(self.margin)}"
            return [objection(self, "reject", "covered-words-guessed", reason)]
        return [passed(self, told)]


@dataclass(frozen=True, kw_only=True)
class KnownRecordings:
    """What learning took off a recording's loss hardly tells whether it was learned from.

    Every fine-tuned model is a little better on its lessons: four candidates of the demo have areas of 0.51 to 0.66
    (lower bound at most 0.51), the starter after forty epochs on forty clips 0.80 (0.70). One that knows by heart what
    nobody can hear has 0.94 (0.86). Only what nearly all lessons have and nearly no other recording has waits for a
    person, who can tell a new vocabulary from learning by heart.

    Attributes:
        suspicious_area: Of the lower bound of the 95 % interval.
        min_recordings: With fewer on a side nothing is said.
    """

    name: str = "known-recordings"
    suspicious_area: float = 0.8
    min_recordings: int = 16

    def judge(self, evidence: Evidence) -> Sequence[CheckResult]:
        """See `Check`."""
        found = None if evidence.candidate.recall is None else evidence.candidate.recall.membership
        if found is None:
            return [not_judged(self, "the loss of the training's recordings was not looked at")]
        if (reason := too_few(found.n_lessons, found.n_others, self.min_recordings)) is not None:
            return [not_judged(self, reason)]
        told = (
            f"what training took off their loss tells {found.n_lessons} lessons from {found.n_others} other recordings "
            f"with an area of {found.auc:.2f} (95 % interval {found.auc_low:.2f} to {found.auc_high:.2f})"
        )
        if found.auc_low >= self.suspicious_area:
            reason = f"it knows the recordings that it learned from: {told}, allowed {self.suspicious_area:.2f}"
            return [objection(self, "hold", "recordings-known", reason)]
        return [passed(self, told)]


def too_few(n_lessons: int, n_others: int, n_needed: int) -> str | None:
    """Why nothing is said; None where there is enough."""
    if min(n_lessons, n_others) >= n_needed:
        return None
    return f"{n_lessons} lessons and {n_others} other recordings are too few, it takes {n_needed} of each"
