"""How a model is fine-tuned: every knob with its unit, its limits and the reason for its default."""

from __future__ import annotations

import dataclasses
import math
from dataclasses import dataclass, field
from typing import Any, Literal

Trainable = Literal["all", "decoder"]
AudioContext = Literal["short", "full"]

# Width of the model to its rate: small models trained from scratch take a larger step than Whisper's own.
_LEARNING_RATES = ((256, 4e-4), (384, 3e-5), (512, 2e-5))
_LARGE_MODEL_RATE = 1e-5


@dataclass(frozen=True, kw_only=True)
class AugmentationConfig:
    """How clips are varied from one epoch to the next. Light: a few dozen clips must not drown in it.

    Attributes:
        probability: Share of the examples that are varied at all.
        gain_db: Louder or quieter by at most this much.
        speed: Faster or slower by at most this fraction; the pitch follows.
        noise_probability: Share of the varied examples that get noise.
        noise_snr_db: Lowest and highest ratio of speech to noise.
        n_masks: Bands and stretches of the spectrogram that are blanked (SpecAugment).
        mask_share: Widest band, as a share of the mel bands, and longest stretch, as a share of the clip.
    """

    probability: float = 0.8
    gain_db: float = 6.0
    speed: float = 0.1
    noise_probability: float = 0.3
    noise_snr_db: tuple[float, float] = (10.0, 30.0)
    n_masks: int = 1
    mask_share: float = 0.12

    def __post_init__(self) -> None:
        _expect_between(self, 0, 1, "probability", "noise_probability")
        _expect_between(self, 0, 0.5, "speed", "mask_share")
        _expect_between(self, 0, 40, "gain_db")
        _expect_between(self, 0, 8, "n_masks")
        low, high = self.noise_snr_db
        if not -20 <= low <= high <= 80:
            raise ValueError(f"noise_snr_db: expected -20 <= low <= high <= 80, got {self.noise_snr_db!r}")


@dataclass(frozen=True, kw_only=True)
class TrainingConfig:
    """All that decides the outcome of a training run besides its data.

    Attributes:
        trainable: All weights, or the decoder's alone (the encoder then stays exactly as it is).
        epochs: Passes over the clips.
        max_steps: Stop after this many steps, however many passes that is.
        learning_rate: Highest rate; None takes the one for the model's width.
        warmup_share: Share of the steps in which the rate rises from zero; it falls linearly afterwards.
        weight_decay: Of matrices; vectors (biases, norms) are left alone.
        batch_seconds: Most seconds of padded audio in one step.
        batch_size: Most clips in one step.
        clip_norm: The gradient is scaled down to this length if it is longer.
        context: Pad a batch to its longest clip, or always to the model's whole window.
        full_window_share: With a short context, this share of the steps is padded by a random amount up to the whole
            window, because the model is used on whole windows.
        timestamps_share: Share of the examples whose target carries timestamps.
        language: Of the texts; English-only models ignore it.
        replay_fraction: Share of general-domain clips in every epoch, if any are given.
        dev_share: Share of the clips held back to choose the checkpoint.
        max_dev_clips: No more than this are held back: they are decoded several times.
        min_dev_clips: With fewer than this held back, nothing is held back and the last weights are taken.
        evaluate_times: How often the held-back clips are decoded, spread evenly over the run.
        alphas: Shares of the fine-tuned weights to try against the base's; 1 is the fine-tuned model itself.
        checkpoint_every_steps: Steps that a crash can cost.
        max_rollbacks: Returns to the last checkpoint after numbers that are not finite, before giving up.
        seed: Decides order, held-back clips and augmentation.
    """

    trainable: Trainable = "all"
    epochs: int = 6
    max_steps: int | None = None
    learning_rate: float | None = None
    warmup_share: float = 0.1
    weight_decay: float = 0.01
    batch_seconds: float = 20.0
    batch_size: int = 16
    clip_norm: float = 1.0
    context: AudioContext = "short"
    full_window_share: float = 0.1
    timestamps_share: float = 0.1
    language: str = "en"
    replay_fraction: float = 0.2
    dev_share: float = 0.15
    max_dev_clips: int = 64
    min_dev_clips: int = 8
    evaluate_times: int = 4
    alphas: tuple[float, ...] = (0.5, 0.75, 1.0)
    checkpoint_every_steps: int = 25
    max_rollbacks: int = 3
    seed: int = 0
    augmentation: AugmentationConfig = field(default_factory=AugmentationConfig)

    def __post_init__(self) -> None:
        _expect_at_least_one(self, "epochs", "batch_size", "checkpoint_every_steps", "min_dev_clips", "max_dev_clips")
        if self.max_steps is not None:
            _expect_at_least_one(self, "max_steps")
        _expect_between(self, 0, 1, "warmup_share", "full_window_share", "timestamps_share")
        _expect_between(self, 0, 0.9, "replay_fraction", "dev_share")
        _expect_between(self, 0, 1000, "evaluate_times", "max_rollbacks")
        _expect_between(self, 0, 1, "weight_decay")
        _expect_between(self, 0, 2**32 - 1, "seed")
        _expect_positive(self, "batch_seconds", "clip_norm")
        if self.learning_rate is not None:
            _expect_positive(self, "learning_rate")
        if self.trainable not in ("all", "decoder"):
            raise ValueError(f"trainable: expected 'all' or 'decoder', got {self.trainable!r}")
        if self.context not in ("short", "full"):
            raise ValueError(f"context: expected 'short' or 'full', got {self.context!r}")
        if not self.alphas or not all(0 < alpha <= 1 for alpha in self.alphas):
            raise ValueError(f"alphas: expected shares above 0, up to 1, got {self.alphas!r}")

    def rate_for(self, width: int) -> float:
        """The highest learning rate for a model of this width (`n_audio_state`)."""
        if self.learning_rate is not None:
            return self.learning_rate
        return next((rate for limit, rate in _LEARNING_RATES if width <= limit), _LARGE_MODEL_RATE)

    def to_json(self) -> dict[str, Any]:
        """Plain values, for logs and for the fingerprint of a run."""
        plain = dataclasses.asdict(self)
        plain["alphas"] = list(self.alphas)
        plain["augmentation"]["noise_snr_db"] = list(self.augmentation.noise_snr_db)
        return plain


def _expect_between(config: object, low: float, high: float, *names: str) -> None:
    for name in names:
        value = getattr(config, name)
        if not low <= value <= high:
            raise ValueError(f"{name}: expected {low} to {high}, got {value!r}")


def _expect_positive(config: object, *names: str) -> None:
    for name in names:
        value = getattr(config, name)
        if not (value > 0 and math.isfinite(value)):
            raise ValueError(f"{name}: expected a positive number, got {value!r}")


def _expect_at_least_one(config: object, *names: str) -> None:
    for name in names:
        value = getattr(config, name)
        if not isinstance(value, int) or value < 1:
            raise ValueError(f"{name}: expected a whole number of at least 1, got {value!r}")
