"""What the gate asks of a classifier, beside its error rate: labels, refusals, honesty, and what it costs.

Answers are compared text by text. Whether the candidate loses more than chance takes is said by the sign test over the
texts of which the two models differ (McNemar's exact test).
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from projectone.assist.calibration import calibration_error
from projectone.contracts.evidence import ClassifierEvidence, IntentAnswer
from projectone.contracts.scores import CheckResult
from projectone.server.evaluation.checks.cost import Size
from projectone.server.evaluation.checks.files import Files
from projectone.server.evaluation.checks.improvement import Improvement
from projectone.server.evaluation.checks.protocol import (
    INTENT_WORDS,
    Check,
    Evidence,
    not_judged,
    objection,
    passed,
    percent,
)
from projectone.server.evaluation.checks.silence import sign_test
from projectone.server.evaluation.checks.slices import Slices
from projectone.server.evaluation.gate import GateConfig

_NO_EVIDENCE = "a report does not tell what was answered"
_MOST_NAMED = 5
AnswerPair = tuple[IntentAnswer, IntentAnswer]


@dataclass(frozen=True, kw_only=True)
class Labels:
    """Every label that production has is there: what people could say yesterday they can say tomorrow."""

    name: str = "labels"

    def judge(self, evidence: Evidence) -> Sequence[CheckResult]:
        """See `Check`."""
        before, after = evidence.production.classifier, evidence.candidate.classifier
        if after is None:
            return [not_judged(self, _NO_EVIDENCE)]
        if before is None:
            return [passed(self, f"{len(after.labels)} labels; there was no classifier before")]
        if lost := sorted(set(before.labels) - set(after.labels)):
            return [objection(self, "reject", "label-lost", f"{len(lost)} labels are gone: {_named(lost)}")]
        new = sorted(set(after.labels) - set(before.labels))
        told = f"all {len(before.labels)} labels are there"
        return [passed(self, told + (f"; {len(new)} are new: {_named(new)}" if new else ""))]


@dataclass(frozen=True, kw_only=True)
class OutOfScope:
    """What has none of the intents is still called so.

    Attributes:
        level: Of the sign test that refuses.
        margin: The largest loss of recall that a person need not look at.
        min_texts: Of fewer texts no share is taken.
    """

    name: str = "out-of-scope"
    level: float = 0.05
    margin: float = 0.05
    min_texts: int = 20

    def judge(self, evidence: Evidence) -> Sequence[CheckResult]:
        """See `Check`."""
        found = evidence.candidate.classifier
        if found is None:
            return [not_judged(self, _NO_EVIDENCE)]
        outside = [answer for answer in found.answers if answer.wanted is None]
        if not outside:
            return [not_judged(self, "the set has no text without an intent")]
        refused = sum(answer.answered is None for answer in outside)
        told = f"{refused} of {len(outside)} texts without an intent are called so"
        if all(answer.answered is not None for answer in found.answers):
            reason = f"nothing at all is refused: its threshold ({found.threshold:.3f}) lies below every text; {told}"
            return [objection(self, "reject", "refuses-nothing", reason)]
        pairs = [pair for pair in _answer_pairs(evidence) if pair[0].wanted is None]
        if not pairs:
            return [passed(self, told)]
        lost, won = _changes(pairs)
        told += f" ({won} newly, {lost} no more)"
        chance = sign_test(lost, won)
        if lost > won and chance <= self.level:
            reason = f"{told}: worse beyond chance (sign test {chance:.3f})"
            return [objection(self, "reject", "out-of-scope-worse", reason)]
        if len(pairs) >= self.min_texts and (lost - won) / len(pairs) > self.margin:
            reason = f"{told}: it may be losing more than {percent(self.margin)}"
            return [objection(self, "hold", "out-of-scope-unproven", reason)]
        return [passed(self, told)]


@dataclass(frozen=True, kw_only=True)
class Intents:
    """No intent pays for the others: each with enough texts is asked on its own.

    One intent of many looks worse by chance alone, so the level is shared out among them (Bonferroni).

    Attributes:
        level: Of all sign tests together.
        min_texts: An intent with fewer texts is not judged on its own.
    """

    name: str = "intents"
    level: float = 0.05
    min_texts: int = 5

    def judge(self, evidence: Evidence) -> Sequence[CheckResult]:
        """See `Check`."""
        groups: dict[str, list[AnswerPair]] = defaultdict(list)
        for pair in _answer_pairs(evidence):
            if pair[0].wanted is not None:
                groups[pair[0].wanted].append(pair)
        asked = {label: own for label, own in sorted(groups.items()) if len(own) >= self.min_texts}
        if not asked:
            return [not_judged(self, f"no intent has {self.min_texts} texts that both models answered")]
        worse = []
        for label, own in asked.items():
            lost, won = _changes(own)
            if lost > won and sign_test(lost, won) <= self.level / len(asked):
                worse.append(f"{label} ({lost} of {len(own)} lost, {won} won)")
        if worse:
            return [objection(self, "reject", "intent-worse", f"worse beyond chance: {_named(worse)}")]
        return [passed(self, f"none of {len(asked)} intents is worse beyond chance")]


@dataclass(frozen=True, kw_only=True)
class Calibration:
    """Probabilities mean what they say: where nine in ten is said, nine in ten are right.

    A few texts never agree exactly. So the error must be more than a truthful classifier shows on as many texts in one
    of a hundred trials, more than the limit, and more than production's.

    Attributes:
        most: Error that is accepted whatever production has.
        more: By how much it may be larger than production's.
        n_trials: Of a truthful classifier.
        min_texts: Of fewer texts nothing is said.
    """

    name: str = "calibration"
    most: float = 0.08
    more: float = 0.03
    n_trials: int = 500
    min_texts: int = 30

    def judge(self, evidence: Evidence) -> Sequence[CheckResult]:
        """See `Check`."""
        before, after = (_of_calibration(one.classifier) for one in (evidence.production, evidence.candidate))
        if after is None or len(after[0]) < self.min_texts:
            return [not_judged(self, f"it takes {self.min_texts} texts with an intent")]
        error, chance = calibration_error(*after), self._chance(after[0])
        allowed = max(self.most, 0.0 if before is None else calibration_error(*before) + self.more)
        told = f"what it says and what is right lie {percent(error)} apart (a truthful one: up to {percent(chance)})"
        if error > max(allowed, chance):
            return [objection(self, "reject", "calibration-broken", f"{told}, allowed {percent(allowed)}")]
        return [passed(self, told)]

    def _chance(self, confidences: np.ndarray) -> float:
        draws = np.random.Generator(np.random.PCG64(0)).random((self.n_trials, len(confidences)))
        errors = [calibration_error(confidences, draw < confidences) for draw in draws]
        return float(np.quantile(errors, 0.99))


@dataclass(frozen=True, kw_only=True)
class Budget:
    """A text takes hardly more multiply-adds than production takes, and no more than a device has time for.

    Attributes:
        max_ratio: To production.
        max_operations: Multiply-adds for a text of ordinary length: what one core of an ordinary computer does in some
            fifty milliseconds, half of what a person may wait.
    """

    name: str = "budget"
    max_ratio: float = 1.25
    max_operations: float = 1e9

    def judge(self, evidence: Evidence) -> Sequence[CheckResult]:
        """See `Check`."""
        before, after = evidence.production.footprint, evidence.candidate.footprint
        if after is None:
            return [not_judged(self, "the report does not tell what the model costs")]
        told = f"{after.operations / 1e6:.1f} million multiply-adds for a text"
        if after.operations > self.max_operations:
            reason = f"{told}, allowed {self.max_operations / 1e6:.0f} million"
            return [objection(self, "reject", "over-budget", reason)]
        if before is not None and before.operations and after.operations > self.max_ratio * before.operations:
            reason = (
                f"{told}, {after.operations / before.operations:.2f} times production's; allowed {self.max_ratio:g}"
            )
            return [objection(self, "reject", "slower", reason)]
        return [passed(self, told)]


@dataclass(frozen=True, kw_only=True)
class Room:
    """The files fit on a device beside everything else, and take hardly more than production's.

    Attributes:
        max_bytes: Whatever production takes.
        against: Asks how much more it is than production.
    """

    name: str = "size"
    max_bytes: int = 64 * 10**6
    against: Size = field(default_factory=lambda: Size(max_ratio=1.25))

    def judge(self, evidence: Evidence) -> Sequence[CheckResult]:
        """See `Check`."""
        after = evidence.candidate.footprint
        if after is not None and after.size_bytes > self.max_bytes:
            told = f"{after.size_bytes / 1e6:.1f} MB, allowed {self.max_bytes / 1e6:.0f} MB"
            return [objection(self, "reject", "too-large", told)]
        return self.against.judge(evidence)


INTENT_CHECKS: tuple[Check, ...] = (
    Files(),
    Labels(),
    OutOfScope(),
    Calibration(),
    Intents(),
    Slices(items=INTENT_WORDS.items),
    Improvement(items=INTENT_WORDS.items),
    Budget(),
    Room(),
)
"""In the order in which their objections are told."""


def intent_gate() -> GateConfig:
    """What is asked of a classifier."""
    return GateConfig(checks=INTENT_CHECKS, wording=INTENT_WORDS, n_resamples=2_000)


def _answer_pairs(evidence: Evidence) -> list[AnswerPair]:
    before, after = evidence.production.classifier, evidence.candidate.classifier
    if before is None or after is None:
        return []
    by_text = {answer.text_id: answer for answer in after.answers}
    return [(answer, by_text[answer.text_id]) for answer in before.answers]


def _changes(pairs: Sequence[AnswerPair]) -> tuple[int, int]:
    """How many were right and are wrong now, and the other way round."""
    is_right = [[one.answered == one.wanted for one in pair] for pair in pairs]
    return sum(was and not now for was, now in is_right), sum(now and not was for was, now in is_right)


def _of_calibration(found: ClassifierEvidence | None) -> tuple[np.ndarray, np.ndarray] | None:
    """What was said of texts with an intent, and whether it was right."""
    if found is None:
        return None
    inside = [answer for answer in found.answers if answer.wanted is not None]
    said = np.array([answer.probability for answer in inside])
    return said, np.array([answer.nearest == answer.wanted for answer in inside])


def _named(names: Sequence[str]) -> str:
    return ", ".join(names[:_MOST_NAMED]) + (
        f" and {len(names) - _MOST_NAMED} more" if len(names) > _MOST_NAMED else ""
    )
