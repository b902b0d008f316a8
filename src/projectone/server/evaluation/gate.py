"""Two reports to a verdict: better where it should be, worse for nobody, and sound in every other respect.

What is asked stands in `checks`, one question a file; here the answers become a decision.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Self

from projectone.contracts.scores import CheckResult, Decision, EvaluationReport, Verdict
from projectone.errors import EvaluationError
from projectone.server.evaluation.checks import ALL_CHECKS, Check, Evidence, Pair, Resampling
from projectone.server.evaluation.checks.protocol import SPEECH_WORDS, Wording, describe_gain, percent


@dataclass(frozen=True, kw_only=True)
class GateConfig(Resampling):
    """What is asked of a candidate, and how chance is reckoned with.

    Attributes:
        checks: The questions, each with its own thresholds.
        left_out: Names of questions that are not asked; every verdict says so.
        wording: What the verdict calls the things that were counted.
    """

    checks: tuple[Check, ...] = ALL_CHECKS
    left_out: tuple[str, ...] = ()
    wording: Wording = SPEECH_WORDS

    def __post_init__(self) -> None:
        if self.n_resamples < 1:
            raise ValueError(f"n_resamples: expected at least 1, got {self.n_resamples!r}")
        names = [check.name for check in self.checks]
        if len(set(names)) < len(names):
            raise ValueError(f"checks: expected different ones, got {names}")

    def with_check(self, check: Check) -> Self:
        """With this one in place of that of the same name.

        Raises:
            ValueError: if there is none of that name.
        """
        if check.name not in self._names:
            raise ValueError(f"expected one of {self._names}, got {check.name!r}")
        return replace(self, checks=tuple(check if own.name == check.name else own for own in self.checks))

    def without(self, *names: str) -> Self:
        """With these questions left out.

        Raises:
            ValueError: if nothing is called that.
        """
        if strangers := [name for name in names if name not in self._names]:
            raise ValueError(f"expected some of {', '.join(self._names)}, got {strangers[0]!r}")
        kept = tuple(check for check in self.checks if check.name not in names)
        return replace(self, checks=kept, left_out=(*self.left_out, *names))

    @property
    def _names(self) -> list[str]:
        return [check.name for check in self.checks]


def judge(
    production: EvaluationReport,
    candidate: EvaluationReport,
    config: GateConfig | None = None,
    *,
    unpacked: EvaluationReport | None = None,
) -> Verdict:
    """Whether the candidate may replace the model in production, and why.

    `promote`: better on the target domain with a 95 % interval above zero, and no objection. `reject`: something is
    shown against it. `hold`: something is not shown that has to be, and a person may look.

    Args:
        production: The model that devices have.
        candidate: The model they would get, with the numbers that they would get.
        config: What is asked; all checks by default.
        unpacked: The candidate as it was trained, if `candidate` has fewer bits.

    Raises:
        EvaluationError: if the reports are not about the same clips.
    """
    config = config or GateConfig()
    evidence = Evidence(production, candidate, _paired(production, candidate), config, unpacked)
    if unpacked is not None:
        _paired(unpacked, candidate)
    results = tuple(result for check in config.checks for result in check.judge(evidence))
    unasked = (
        CheckResult(check=name, outcome="not-judged", reason="left out by a setting") for name in config.left_out
    )
    gain = evidence.target_gain
    decision, reasons = _decide(results, describe_overall(evidence, config.wording), config.wording.promoted)
    return Verdict(
        decision=decision,
        reasons=reasons,
        gain=gain.value,
        gain_low=gain.low,
        gain_high=gain.high,
        checks=(*results, *unasked),
    )


def describe_overall(evidence: Evidence, wording: Wording = SPEECH_WORDS) -> str:
    """The error rates of the target domain and the gain, in one line."""
    pairs = evidence.target
    n_words = sum(before.n_words for before, _ in pairs) or 1
    rates = (sum(pair[side].word_errors for pair in pairs) / n_words for side in (0, 1))
    n_speakers = len({before.speaker for before, _ in pairs})
    told = (
        f"{wording.rate} {' -> '.join(map(percent, rates))}: "
        f"{describe_gain(evidence.target_gain)} over {len(pairs)} {wording.items}"
    )
    if wording.people:
        told += f" of {n_speakers} {wording.people}"
    if n_speakers < evidence.resampling.few_speakers:
        told += ", and of no others: they are too few to stand for more"
    return told


def _decide(results: Sequence[CheckResult], overall: str, promoted: str) -> tuple[Decision, tuple[str, ...]]:
    against, doubts = (
        tuple(result.reason for result in results if result.outcome == outcome) for outcome in ("reject", "hold")
    )
    if against:
        return "reject", (*against, *doubts, overall)
    if doubts:
        return "hold", (*doubts, overall)
    return "promote", (promoted, overall)


def _paired(production: EvaluationReport, candidate: EvaluationReport) -> tuple[Pair, ...]:
    if production.dataset_sha256 != candidate.dataset_sha256:
        raise EvaluationError(
            f"the reports are about different sets: {production.dataset_sha256[:12]} and "
            f"{candidate.dataset_sha256[:12]}; score both models on the same one"
        )
    before = {utterance.clip_id: utterance for utterance in production.utterances}
    after = {utterance.clip_id: utterance for utterance in candidate.utterances}
    if before.keys() != after.keys() or not before or len(before) != len(production.utterances):
        raise EvaluationError("the reports do not list the same clips, each once; score both models again")
    return tuple((utterance, after[clip_id]) for clip_id, utterance in before.items())
