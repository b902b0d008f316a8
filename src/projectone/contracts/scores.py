"""How well a model did, and what follows from it."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from projectone.contracts.base import Contract, Sha256


class Score(Contract):
    """An error rate with its 95 % interval, as a fraction. It may pass 1: insertions count.

    `n_units` is the number of reference words (for a word error rate) or characters it rests on.
    """

    value: float = Field(ge=0)
    low: float = Field(ge=0)
    high: float = Field(ge=0)
    n_units: int = Field(ge=0)


class UtteranceScore(Contract):
    """One clip of the set: enough to resample, no audio."""

    clip_id: str
    speaker: str
    slice: str
    word_errors: int = Field(ge=0)
    n_words: int = Field(ge=0)
    character_errors: int = Field(ge=0)
    n_characters: int = Field(ge=0)
    hypothesis: str


class EvaluationReport(Contract):
    """One model over one set."""

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


Decision = Literal["promote", "hold", "reject", "no-train"]


class Verdict(Contract):
    """Two reports compared: what to do, and why, in words a person can check.

    `gain` is production's word error rate minus the candidate's: positive is better. `low` and `high` bound it with
    95 % confidence (paired bootstrap, blocked by speaker). With `no-train` there is no candidate: the gain is then what
    a perfect one would have on the new samples, production's whole error there.
    """

    decision: Decision
    reasons: tuple[str, ...]
    proposals: tuple[str, ...] = Field(default=(), description="what a person could do to get another verdict")
    gain: float
    gain_low: float
    gain_high: float

    @property
    def is_new_model_better(self) -> bool:
        """Whether the candidate may replace the model in production."""
        return self.decision == "promote"
