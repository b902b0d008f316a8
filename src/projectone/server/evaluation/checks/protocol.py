"""What every check of the gate is given, and what it answers."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Literal, Protocol

from projectone.contracts.scores import CheckResult, EvaluationReport, UtteranceScore
from projectone.server.evaluation.bootstrap import CONFIDENCE, N_RESAMPLES, Interval, ratio_interval

Pair = tuple[UtteranceScore, UtteranceScore]
Objection = Literal["hold", "reject"]

Code = Literal[
    "calibration-broken",
    "candidate-defect",
    "clip-regression",
    "covered-words-guessed",
    "empty-text",
    "evidence-missing",
    "false-alarms-high",
    "false-alarms-unproven",
    "false-alarms-worse",
    "gain-unproven",
    "general-unproven",
    "general-worse",
    "intent-worse",
    "label-lost",
    "memorised",
    "out-of-scope-unproven",
    "out-of-scope-worse",
    "over-budget",
    "quantization-damage",
    "recall-low",
    "recall-unproven",
    "recall-worse",
    "recordings-known",
    "refuses-nothing",
    "repetition-loop",
    "runaway-text",
    "silence-hallucination",
    "slice-unproven",
    "slice-worse",
    "slower",
    "style-drift",
    "timestamps-broken",
    "timestamps-moved",
    "too-large",
    "worse-overall",
    "wrong-vocabulary",
]
"""Of the gate's objections. The pipeline adds some of its own, and a defect brings its own."""


@dataclass(frozen=True, kw_only=True)
class Wording:
    """What a family of models is judged by, in words for people.

    Attributes:
        rate: What a report's error rate is.
        items: What it is counted on.
        people: Who is behind these; empty where that is not known.
        promoted: What a candidate that meets no objection is.
        outside: What a classifier does rightly with a text that has none of its labels.
    """

    rate: str = "word error rate"
    items: str = "clips"
    people: str = "speakers"
    promoted: str = "better overall, beyond chance"
    outside: str = "none of these, called so"


SPEECH_WORDS = Wording()
INTENT_WORDS = Wording(rate="intent error rate", items="texts", people="")
SAFETY_WORDS = Wording(
    rate="alarm error rate",
    items="texts",
    people="",
    promoted="it warns of enough, of little else, and of both no worse than production",
    outside="others, not warned of",
)


@dataclass(frozen=True, kw_only=True)
class Resampling:
    """How chance is reckoned with.

    Attributes:
        n_resamples: Draws of the bootstrap.
        few_speakers: With fewer speakers than this a verdict speaks of them alone: only their clips are drawn.
        seed: Of the draws.
    """

    n_resamples: int = N_RESAMPLES
    few_speakers: int = 6
    seed: int = 0


@dataclass(frozen=True)
class Evidence:
    """Two reports on the same clips, clip by clip.

    Attributes:
        production: The model that would be replaced.
        candidate: The model that would replace it, in the numbers that ship.
        pairs: Each clip as both heard it, production first.
        resampling: How chance is reckoned with.
        unpacked: The candidate's own report before it was packed into fewer bits; None if it ships as it was trained.
    """

    production: EvaluationReport
    candidate: EvaluationReport
    pairs: tuple[Pair, ...]
    resampling: Resampling
    unpacked: EvaluationReport | None = None

    @cached_property
    def spoken(self) -> list[Pair]:
        """Clips in which somebody speaks."""
        return [pair for pair in self.pairs if pair[0].n_words]

    @cached_property
    def general(self) -> list[Pair]:
        """Spoken clips of the general set."""
        return [pair for pair in self.spoken if pair[0].domain == "general"]

    @cached_property
    def target(self) -> list[Pair]:
        """Spoken clips of the target domain; all, where the set names no other."""
        return [pair for pair in self.spoken if pair[0].domain == "target"] or self.spoken

    @cached_property
    def target_gain(self) -> Interval:
        """The gain that the verdict tells."""
        return self.gain(self.target)

    def gain(self, pairs: Sequence[Pair], *, confidence: float = CONFIDENCE) -> Interval:
        """Production's word error rate minus the candidate's on these clips, resampled together."""
        return self.difference(pairs, lambda heard: heard.word_errors, confidence=confidence)

    def difference(
        self, pairs: Sequence[Pair], errors: Callable[[UtteranceScore], float], *, confidence: float = CONFIDENCE
    ) -> Interval:
        """Production's errors of a kind minus the candidate's, per word that is said."""
        speakers = [before.speaker for before, _ in pairs]
        return ratio_interval(
            [errors(before) - errors(after) for before, after in pairs],
            [before.n_words for before, _ in pairs],
            speakers,
            n_resamples=self.resampling.n_resamples,
            confidence=confidence,
            are_speakers_fixed=len(set(speakers)) < self.resampling.few_speakers,
            seed=self.resampling.seed,
        )


class Check(Protocol):
    """One question to the evidence. Its thresholds are its own fields."""

    @property
    def name(self) -> str:
        """What it is called in reports, and by whoever switches it off."""

    def judge(self, evidence: Evidence) -> Sequence[CheckResult]:
        """What it found; objections carry a code."""


def passed(check: Check, reason: str) -> CheckResult:
    """Nothing speaks against the candidate."""
    return CheckResult(check=check.name, outcome="passed", reason=reason)


def not_judged(check: Check, reason: str) -> CheckResult:
    """Too little is there to say anything."""
    return CheckResult(check=check.name, outcome="not-judged", reason=reason)


def objection(check: Check, outcome: Objection, code: Code, reason: str) -> CheckResult:
    """Something speaks against the candidate."""
    return CheckResult(check=check.name, outcome=outcome, code=code, reason=reason)


def describe_gain(gain: Interval) -> str:
    """In points, with its bounds."""
    return f"gain {100 * gain.value:+.1f} points (95 % interval {100 * gain.low:+.1f} to {100 * gain.high:+.1f})"


def percent(share: float) -> str:
    """With one decimal."""
    return f"{100 * share:.1f} %"


def at_least(share: float, n: int, *, z: float = 1.96) -> float:
    """The lower bound of Wilson's 95 % interval for a share that was seen in `n` trials; 0 without any."""
    if not n:
        return 0.0
    middle = share + z * z / (2 * n)
    spread = z * float((share * (1 - share) / n + z * z / (4 * n * n)) ** 0.5)
    return max(0.0, (middle - spread) / (1 + z * z / n))
