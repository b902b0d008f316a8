"""What the gate asks of a safety classifier: that it warns of enough, of little else, and of both no worse than before.

Nothing asks whether it is better: what a person taught anew, with other comments, need only be as good.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from projectone.assist.holdout.toxicity import SafetyRequirements
from projectone.contracts.scores import CheckResult, EvaluationReport
from projectone.server.evaluation.bootstrap import CONFIDENCE
from projectone.server.evaluation.checks.files import Files
from projectone.server.evaluation.checks.protocol import (
    SAFETY_WORDS,
    Check,
    Code,
    Evidence,
    Pair,
    describe_gain,
    not_judged,
    objection,
    passed,
    percent,
)
from projectone.server.evaluation.checks.slices import Slices
from projectone.server.evaluation.gate import GateConfig
from projectone.server.evaluation.intents.checks import Budget, Labels, Room
from projectone.server.evaluation.intents.hearings import HEARD, written_id

_STANDARD = SafetyRequirements()
_N_ASKED = 4  # either kind of text, as it is written and as it is heard: each might look worse by chance
_CODES: dict[str, tuple[Code, Code, Code]] = {
    "recall": ("recall-low", "recall-worse", "recall-unproven"),
    "false-alarms": ("false-alarms-high", "false-alarms-worse", "false-alarms-unproven"),
}


@dataclass(frozen=True)
class Best:
    """The best classifier that was ever released, on the texts that the candidate is judged by; see `safety.best`."""

    version: str
    report: EvaluationReport


@dataclass(frozen=True, kw_only=True)
class Alarms:
    """One kind of text: those that are to raise the alarm (`recall`), or those that are not (`false-alarms`).

    Asked of every classifier, also the first: no larger share than this is judged wrongly. Asked beside production: it
    loses no more than the margin, with 95 % confidence. Asked beside the best release, too, where that is another one:
    or else a row of releases, each no worse than the last, could end far below the first.

    Attributes:
        name: Which kind.
        most_wrong: Share of the texts as they are written that may be judged wrongly.
        most_wrong_heard: The same of texts with recognition errors.
        margin: The largest loss that is accepted.
        best: The best release; None where it is production, or there is none.
    """

    name: Literal["recall", "false-alarms"]
    most_wrong: float
    most_wrong_heard: float
    margin: float = 0.05
    best: Best | None = None

    def judge(self, evidence: Evidence) -> Sequence[CheckResult]:
        """See `Check`."""
        if evidence.candidate.classifier is None:
            return [not_judged(self, "a report does not tell what was answered")]
        is_wanted = self.name == "recall"
        own = {
            answer.text_id
            for answer in evidence.candidate.classifier.answers
            if (answer.wanted is not None) == is_wanted
        }
        pairs = [pair for pair in evidence.pairs if pair[0].clip_id in own]
        written = [pair for pair in pairs if pair[0].slice != HEARD]
        # A recogniser gets some texts right: these are heard as they are written.
        by_text = {written_id(pair[0].clip_id): pair for pair in written}
        heard = by_text | {written_id(pair[0].clip_id): pair for pair in pairs if pair[0].slice == HEARD}
        return [
            self._judge_some(some, most, form, evidence)
            for some, most, form in (
                (written, self.most_wrong, ""),
                (list(heard.values()), self.most_wrong_heard, " as they are heard"),
            )
        ]

    def _judge_some(self, pairs: Sequence[Pair], most: float, form: str, evidence: Evidence) -> CheckResult:
        n_wrong = sum(after.word_errors for _, after in pairs)
        low, worse, unproven = _CODES[self.name]
        if self.name == "recall":
            told = f"{len(pairs) - n_wrong} of {len(pairs)} texts{form} that are to be warned of raise the alarm"
            asked = f"expected {percent(1 - most)} at least"
        else:
            told = f"{n_wrong} of {len(pairs)} other texts{form} raise the alarm"
            asked = f"expected {percent(most)} at most"
        if n_wrong > most * len(pairs):
            return objection(self, "reject", low, f"{told}: {asked}")
        others = {"production": pairs}
        if self.best is not None:
            then = {one.clip_id: one for one in self.best.report.utterances}
            others[f"version {self.best.version}, the best that was released,"] = [
                (then[after.clip_id], after) for _, after in pairs
            ]
        gains = {name: evidence.gain(beside) for name, beside in others.items()}
        told += f"; {describe_gain(gains['production'])}"
        for name, gain in gains.items():
            surely = 1 - (1 - CONFIDENCE) / (_N_ASKED * len(others))
            if gain.high < 0 and evidence.gain(others[name], confidence=surely).high < 0:
                return objection(self, "reject", worse, f"worse than {name} beyond chance: {told}")
        for name, gain in gains.items():
            if gain.low < -self.margin:
                lost = f"it may be losing more than {percent(self.margin)} beside {name}"
                return objection(self, "hold", unproven, f"{lost}: {told}")
        return passed(self, told)


SAFETY_CHECKS: tuple[Check, ...] = (
    Files(),
    Labels(),
    Alarms(name="recall", most_wrong=1 - _STANDARD.recall, most_wrong_heard=1 - _STANDARD.noised_recall),
    Alarms(name="false-alarms", most_wrong=_STANDARD.false_alarms, most_wrong_heard=_STANDARD.noised_false_alarms),
    Slices(items=SAFETY_WORDS.items, elsewhere=(HEARD,)),
    Budget(),
    Room(),
)
"""In the order in which their objections are told."""


def safety_gate() -> GateConfig:
    """What is asked of a safety classifier."""
    return GateConfig(checks=SAFETY_CHECKS, wording=SAFETY_WORDS, n_resamples=2_000)
