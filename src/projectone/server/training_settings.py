"""How training goes, and what it is worth: settings whose defaults the training room and the triage know."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import Any

from projectone.server.setting_values import number, one_of, setting


@dataclass(frozen=True, kw_only=True)
class TrainingSettings:
    """The part of the settings that `work` hands to training and triage."""

    triage_max_clips: int | None = setting(
        "TRIAGE_MAX_CLIPS",
        "New clips that production transcribes for this, at most",
        number(int, 1, 10**6),
        default=None,
        shown="200",
    )
    triage_min_speakers: int | None = setting(
        "TRIAGE_MIN_SPEAKERS",
        "Fewer people with new samples than this start no training",
        number(int, 0, 10**6),
        default=None,
        shown="1",
    )
    triage_min_minutes: float | None = setting(
        "TRIAGE_MIN_MINUTES",
        "Less new speech than this starts no training",
        number(float, 0, 10**6),
        default=None,
        shown="0.25",
    )
    triage_min_terms: int | None = setting(
        "TRIAGE_MIN_TERMS",
        "Fewer distinct words that production gets wrong start no training",
        number(int, 0, 10**6),
        default=None,
        shown="1",
    )
    triage_negligible_wer: float | None = setting(
        "TRIAGE_NEGLIGIBLE_WER",
        "Production's word error rate (a fraction) on the new samples that chance may explain",
        number(float, 0, 0.999),
        default=None,
        shown="0.005",
    )
    training_engine: str | None = setting(
        "TRAINING_ENGINE",
        "Library that takes the training steps: `mlx`, or `transformers` on torch, which needs the extra `torch`",
        one_of("mlx", "transformers"),
        default=None,
        shown="mlx",
    )
    training_precision: str | None = setting(
        "TRAINING_PRECISION",
        "Numbers that the engine `transformers` multiplies in: `float32`, or `bfloat16` for GPUs",
        one_of("float32", "bfloat16"),
        default=None,
        shown="float32",
    )
    training_method: str | None = setting(
        "TRAINING_METHOD",
        "What is trained: `full` (all weights), `lora` (adapters, fused at the end) or `auto` (by the model's size)",
        one_of("auto", "full", "lora"),
        default=None,
    )
    training_trainable: str | None = setting(
        "TRAINING_TRAINABLE", "Weights that are trained: `all` or `decoder`", one_of("all", "decoder"), default=None
    )
    training_epochs: int | None = setting(
        "TRAINING_EPOCHS", "Passes over the samples", number(int, 1, 10_000), default=None
    )
    training_max_steps: int | None = setting(
        "TRAINING_MAX_STEPS", "Steps after which training ends at the latest", number(int, 1, 10**8), default=None
    )
    training_learning_rate: float | None = setting(
        "TRAINING_LEARNING_RATE", "Highest learning rate", number(float, 1e-9, 1.0), default=None
    )
    training_batch_seconds: float | None = setting(
        "TRAINING_BATCH_SECONDS", "Most seconds of audio in one step", number(float, 0.1, 10_000), default=None
    )
    training_batch_size: int | None = setting(
        "TRAINING_BATCH_SIZE", "Most clips in one step", number(int, 1, 10_000), default=None
    )
    training_max_forgetting: float | None = setting(
        "TRAINING_MAX_FORGETTING",
        "What a candidate may lose on the general speech of PROJECTONE_SERVER_REPLAY (a fraction of its words)",
        number(float, 0, 1),
        default=None,
        shown="0.01",
    )
    training_update_share: float | None = setting(
        "TRAINING_UPDATE_SHARE",
        "Share of a model that its difference from the base may take, where all weights are trained: the change is "
        "rounded for it before anything is judged; 1 rounds nothing",
        number(float, 0.01, 1),
        default=None,
        shown="0.19",
    )
    training_negatives_share: float | None = setting(
        "TRAINING_NEGATIVES_SHARE",
        "Share of clips without speech in an epoch",
        number(float, 0, 0.4),
        default=None,
        shown="by the model",
    )
    training_prompt_share: float | None = setting(
        "TRAINING_PROMPT_SHARE",
        "Share of windows that follow what the same person said before",
        number(float, 0, 1),
        default=None,
        shown="by the model",
    )
    training_carriers_per_term: int | None = setting(
        "TRAINING_CARRIERS_PER_TERM",
        "Synthetic sentences for every word that corrections introduced; needs the extra `voices`",
        number(int, 0, 100),
        default=None,
        shown="0",
    )
    training_sequence: str | None = setting(
        "TRAINING_SEQUENCE",
        "Second stage on what the model writes itself, kept only if nothing is lost by it: `off`, `mwer` (minimum word "
        "error rate) or `grpo`",
        one_of("off", "mwer", "grpo"),
        default=None,
        shown="off",
    )
    training_checkpoint_every_steps: int | None = setting(
        "TRAINING_CHECKPOINT_EVERY_STEPS", "Steps that a crash can cost", number(int, 1, 10**8), default=None
    )
    training_seed: int | None = setting(
        "TRAINING_SEED", "Decides order, held-back clips and augmentation", number(int, 0, 2**32 - 1), default=None
    )

    @property
    def training(self) -> dict[str, Any]:
        """The training settings that were given, by the names of `TrainingConfig`; it knows the defaults."""
        return self._given("training_")

    @property
    def triage_limits(self) -> dict[str, Any]:
        """The triage settings that were given, by the names of `TriageConfig`; it knows the defaults."""
        return self._given("triage_")

    def _given(self, prefix: str) -> dict[str, Any]:
        found = {
            field.name.removeprefix(prefix): getattr(self, field.name)
            for field in dataclasses.fields(self)
            if field.name.startswith(prefix)
        }
        return {name: value for name, value in found.items() if value is not None}
