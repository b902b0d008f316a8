"""How well a model did, and what follows from it."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from projectone.contracts.base import Contract, Name, Sha256
from projectone.contracts.evidence import ClassifierEvidence, ClipTiming, Defect, Footprint, ProbeScore, Recall

Domain = Literal["target", "general"]
"""What a golden clip stands for: the speech a model is trained for, or speech that it must not forget."""


class Score(Contract):
    """An error rate with its 95 % interval, as a fraction. It may pass 1: insertions count.

    `n_units` is the number of reference words (for a word error rate) or characters it rests on.
    """

    value: float = Field(ge=0)
    low: float = Field(ge=0)
    high: float = Field(ge=0)
    n_units: int = Field(ge=0)


class UtteranceScore(Contract):
    """One clip of the set: enough to resample, no audio.

    `raw_word_errors` of `n_raw_words` are counted as the texts are written, with their capitals and punctuation;
    reports of before have none.
    """

    clip_id: str
    speaker: str
    slice: str
    domain: Domain = "target"
    word_errors: int = Field(ge=0)
    n_words: int = Field(ge=0)
    character_errors: int = Field(ge=0)
    n_characters: int = Field(ge=0)
    hypothesis: str
    raw_word_errors: int | None = Field(default=None, ge=0)
    n_raw_words: int | None = Field(default=None, ge=0)


class EvaluationReport(Contract):
    """One model over one set, and what else was tried with it.

    Of a classifier of intents each text is a clip of one word, and that word is the answer: its word error rate is the
    share of texts that were answered wrongly, and `classifier` holds what else there is to ask.

    What a report of before does not hold is empty or None. With `defects` the model was not scored: it cannot be used,
    and every word of the set counts as wrong.
    """

    schema_version: Literal[1] = 1
    model_sha256: Sha256
    dataset_sha256: Sha256
    wer: Score
    cer: Score
    slices: dict[str, Score] = Field(default_factory=dict)
    utterances: tuple[UtteranceScore, ...] = ()
    n_clips: int = Field(ge=0)
    audio_s: float = Field(ge=0)
    wall_s: float = Field(ge=0)
    numerics: Name = "float32"
    defects: tuple[Defect, ...] = ()
    vocabulary_sha256: Sha256 | None = None
    footprint: Footprint | None = None
    probes: tuple[ProbeScore, ...] = ()
    timings: tuple[ClipTiming, ...] = ()
    recall: Recall | None = None
    classifier: ClassifierEvidence | None = None


Decision = Literal["promote", "hold", "reject", "no-train"]


class CheckResult(Contract):
    """What one check of the gate found.

    Attributes:
        check: Its name.
        outcome: `not-judged` where too little is there to say anything, or where nothing was recorded.
        code: Of an objection, for machines: the same fault always has the same one.
        reason: One sentence.
    """

    check: Name
    outcome: Literal["passed", "not-judged", "hold", "reject"]
    code: Name | None = None
    reason: str


class Verdict(Contract):
    """Two reports compared: what to do, and why, in words a person can check.

    `gain` is production's word error rate minus the candidate's on the target domain: positive is better. `low` and
    `high` bound it with 95 % confidence (paired bootstrap, blocked by speaker). With `no-train` there is no candidate:
    the gain is then what a perfect one would have on the new samples, production's whole error there.
    """

    decision: Decision
    reasons: tuple[str, ...]
    proposals: tuple[str, ...] = Field(default=(), description="what a person could do to get another verdict")
    gain: float
    gain_low: float
    gain_high: float
    checks: tuple[CheckResult, ...] = Field(default=(), description="everything that was asked, objections or not")

    @property
    def codes(self) -> tuple[str, ...]:
        """The objections' codes, those that refuse first."""
        order = {"reject": 0, "hold": 1}
        found = sorted((one for one in self.checks if one.code), key=lambda one: order.get(one.outcome, 2))
        return tuple(dict.fromkeys(one.code for one in found if one.code))

    @property
    def is_new_model_better(self) -> bool:
        """Whether the candidate may replace the model in production."""
        return self.decision == "promote"
