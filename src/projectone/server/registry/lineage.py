"""What a published model was made of, for machines; the card says the same to people."""

from __future__ import annotations

from pydantic import Field

from projectone.contracts.base import Contract, Sha256
from projectone.contracts.consent import ConsentScope
from projectone.contracts.scores import Decision, EvaluationReport, Score

Setting = str | int | float | bool | None


class ScoresOnRecord(Contract):
    """How a model did on a set: its totals, no clip and no text.

    Attributes:
        golden_sha256: Digest of the set.
        numerics: What it computed with.
    """

    golden_sha256: Sha256
    n_clips: int = Field(ge=0)
    numerics: str
    wer: Score
    cer: Score
    slices: dict[str, Score]


class ModelLineage(Contract):
    """Everything that is needed to make the model again, and to know whose speech is in it: ids, counts and figures.

    Attributes:
        base: The fixed model it was trained from.
        dataset_sha256: The sealed list of samples; None for a model that was published as it was received.
        n_people: Whose samples these are; None where they are too few to be counted in public.
        consent_scopes: What these people agreed to.
        code: Versions of what computed it.
        settings: Of the training; nested ones with a dot in their name.
        seed: Of the training.
        production: The scores of the model that it replaces.
        decision: What the gate said, with the codes of its objections.
        gain: Of word error rate over that model, with its 95 % interval; None if it was not judged.
        before: Versions before this one, oldest first.
    """

    base: str
    base_sha256: Sha256
    dataset_sha256: Sha256 | None = None
    n_samples: int = Field(default=0, ge=0)
    n_new_samples: int = Field(default=0, ge=0)
    n_people: int | None = Field(default=None, ge=0)
    audio_s: float = Field(default=0.0, ge=0)
    consent_scopes: tuple[ConsentScope, ...] = ()
    code: dict[str, Setting] = Field(default_factory=dict)
    settings: dict[str, Setting] = Field(default_factory=dict)
    seed: int | None = None
    scores: ScoresOnRecord
    production: ScoresOnRecord | None = None
    decision: Decision | None = None
    codes: tuple[str, ...] = ()
    gain: tuple[float, float, float] | None = None
    before: tuple[str, ...] = ()


def scores_on_record(report: EvaluationReport) -> ScoresOnRecord:
    """The totals of a report."""
    return ScoresOnRecord(
        golden_sha256=report.dataset_sha256,
        n_clips=report.n_clips,
        numerics=report.numerics,
        wer=report.wer,
        cer=report.cer,
        slices=report.slices,
    )
