"""How a model is fine-tuned: every knob with its unit, its limits and the reason for its default."""

from __future__ import annotations

import dataclasses
import math
from dataclasses import dataclass, field
from typing import Any, Literal

from projectone.speech.lora import check_scale

Method = Literal["full", "lora"]
LoraTargets = Literal["query_value", "attention", "attention_mlp"]
Trainable = Literal["all", "decoder"]
AudioContext = Literal["short", "full"]
Packing = Literal["auto", "on", "off"]
SequenceLoss = Literal["off", "mwer", "grpo"]
EngineName = Literal["mlx", "transformers"]
Precision = Literal["float32", "bfloat16"]

# Width of the model to its rate: small models trained from scratch take a larger step than Whisper's own.
_LEARNING_RATES = ((256, 4e-4), (384, 3e-5), (512, 2e-5))
_LARGE_MODEL_RATE = 1e-5
# Adapters begin at zero and are few: they take a far larger step.
_LORA_RATES = ((256, 4e-3), (768, 1e-3))
_LARGE_MODEL_LORA_RATE = 5e-4
# Whisper's widths: tiny 384, base 512, small 768. Published runs: all weights win on tiny and base, adapters forget
# less and fit where all weights do not from small up.
_WIDEST_FULL = 512
# Published Whisper models have at least this many tokens. They know prompts and the token for silence; the small
# models of our own have never seen either, and a few corrections are too few to teach them.
_WHISPER_VOCAB = 51_864
_WHISPER_PROMPT_SHARE = 0.1
_WHISPER_NEGATIVES_SHARE = 0.03


@dataclass(frozen=True, kw_only=True)
class AugmentationConfig:
    """How clips are varied from one epoch to the next. Light: a few dozen clips must not drown in it.

    Attributes:
        probability: Share of the examples that are varied at all.
        gain_db: Louder or quieter by at most this much.
        speed: Faster or slower by at most this fraction; the pitch follows.
        noise_probability: Share of the varied examples that get noise.
        noise_snr_db: Lowest and highest ratio of speech to noise.
        band_limit_probability: Share of the varied examples that pass a telephone: nothing below 300 Hz, nothing
            above a limit drawn from `band_limit_hz`.
        band_limit_hz: Lowest and highest such limit; 3,400 Hz is the plain old telephone.
        n_masks: Bands and stretches of the spectrogram that are blanked (SpecAugment).
        mask_share: Widest band, as a share of the mel bands, and longest stretch, as a share of the clip.
    """

    probability: float = 0.8
    gain_db: float = 6.0
    speed: float = 0.1
    noise_probability: float = 0.3
    noise_snr_db: tuple[float, float] = (10.0, 30.0)
    band_limit_probability: float = 0.0
    band_limit_hz: tuple[float, float] = (3000.0, 4000.0)
    n_masks: int = 1
    mask_share: float = 0.12

    def __post_init__(self) -> None:
        _expect_between(self, 0, 1, "probability", "noise_probability", "band_limit_probability")
        _expect_between(self, 0, 0.5, "speed", "mask_share")
        _expect_between(self, 0, 40, "gain_db")
        _expect_between(self, 0, 8, "n_masks")
        low, high = self.noise_snr_db
        if not -20 <= low <= high <= 80:
            raise ValueError(f"noise_snr_db: expected -20 <= low <= high <= 80, got {self.noise_snr_db!r}")
        low, high = self.band_limit_hz
        if not 1000 <= low <= high <= 8000:
            raise ValueError(f"band_limit_hz: expected 1000 <= low <= high <= 8000, got {self.band_limit_hz!r}")


@dataclass(frozen=True, kw_only=True)
class LoraConfig:
    """Low-rank adapters (Hu et al., 2021): ``W + alpha / rank * B @ A`` with W left alone.

    Attributes:
        rank: Rows of A and columns of B.
        alpha: Over the rank a power of two: fusing is then exact.
        dropout: Share of an adapter's inputs that is zeroed in a step. Off, as an adapter is small beside its model.
        targets: Which linear layers: queries and values of every attention, all four projections of every attention,
            or these and the two layers that follow.
    """

    rank: int = 8
    alpha: float = 16.0
    dropout: float = 0.0
    targets: LoraTargets = "query_value"

    def __post_init__(self) -> None:
        _expect_at_least_one(self, "rank")
        _expect_between(self, 0, 0.9, "dropout")
        _expect_positive(self, "alpha")
        check_scale(self.scale)
        if self.targets not in ("query_value", "attention", "attention_mlp"):
            raise ValueError(f"lora targets: expected query_value, attention or attention_mlp, got {self.targets!r}")

    @property
    def scale(self) -> float:
        """What the product of the factors is multiplied by."""
        return self.alpha / self.rank


@dataclass(frozen=True, kw_only=True)
class RolloutConfig:
    """The second stage: hypotheses that the model writes itself, and what is learned from them.

    Attributes:
        n_hypotheses: Drawn for every clip in every step.
        temperature: Of the sampling; 1 draws from the model's own distribution.
        epochs: Passes over the clips.
        max_steps: Stop after this many steps, however many passes that is.
        rate_share: Highest learning rate, as a share of the first stage's.
        kl: With grpo: weight of the divergence from the weights that the stage begins with.
        cross_entropy: Weight of the first stage's loss beside the second's.
    """

    n_hypotheses: int = 8
    temperature: float = 1.0
    epochs: int = 2
    max_steps: int | None = None
    rate_share: float = 0.1
    kl: float = 0.04
    cross_entropy: float = 0.1

    def __post_init__(self) -> None:
        _expect_at_least_one(self, "n_hypotheses", "epochs")
        if self.n_hypotheses < 2:
            raise ValueError("n_hypotheses: expected at least 2 to compare, got 1")
        if self.max_steps is not None:
            _expect_at_least_one(self, "max_steps")
        _expect_positive(self, "temperature", "rate_share")
        _expect_between(self, 0, 10, "temperature", "kl", "cross_entropy")


@dataclass(frozen=True, kw_only=True)
class TrainingConfig:
    """All that decides the outcome of a training run besides its data.

    Attributes:
        engine: The library that takes the steps: mlx, or transformers and peft on torch (the extra `torch`), on a CUDA
            device if there is one.
        precision: In which numbers the engine transformers multiplies; weights, moments and the loss are float32
            either way. bfloat16 is for GPUs that are fast at it.
        method: All weights, or low-rank adapters that are fused into the model at the end; auto goes by the size:
            full for tiny and base, lora from small up.
        lora: The adapters, if that is the method.
        trainable: All weights, or the decoder's alone (the encoder then stays exactly as it is). With adapters: where
            they are put.
        encoded_epochs: With a frozen encoder: how many epochs it is run for; the later ones repeat the batches of
            these, in another order, from its stored outputs. More epochs vary the clips more, each at the price of
            the encoder. 0 runs it in every step.
        encoder_cache_bytes: Most that its stored outputs may take on disk; beyond that it is run again.
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
        packing: Put several clips, of whoever, into one window, so that a step over whole windows is not mostly
            padding. ``"auto"`` does so with the full context; a short one has hardly any padding to save. ``"on"``
            also packs the steps that `full_window_share` pads.
        token_multiple: Decoder inputs are filled up to multiples of this, so that their shapes repeat; None fills on
            GPUs alone.
        timestamps_share: Share of the examples whose target carries timestamps.
        packed_timestamps_share: The same of windows that hold several clips: there the timestamps say where one ends.
        prompt_share: Share of the windows whose decoder is shown what the same person said before, after
            `<|startofprev|>`; None takes a tenth for Whisper's own vocabularies and none for others.
        negatives_share: Share of clips in every epoch in which nobody speaks: silence, noise and the quiet stretches
            of the clips themselves, with an empty target; None takes 3 % for Whisper's own vocabularies and none for
            others.
        language: Of the texts; English-only models ignore it.
        replay_fraction: Share of general-domain clips in every epoch, if any are given.
        carriers_share: Share of synthetic sentences in every epoch, if any are given. This and the shares of general
            and of speechless clips are counted each against the clips to learn from.
        carriers_per_term: Synthetic sentences that are made for every word that corrections introduced, before the
            run; they need the extra `voices`. 0 makes none.
        dev_share: Share of the clips held back to choose the checkpoint.
        max_dev_clips: No more than this are held back: they are decoded several times.
        min_dev_clips: With fewer than this held back, nothing is held back and the last weights are taken.
        evaluate_times: How often the held-back clips are decoded, spread evenly over the run.
        alphas: Shares of the fine-tuned weights to try against the base's; 1 is the fine-tuned model itself.
        max_forgetting: What the result may lose on general speech (a fraction of its words), if any is given to
            watch; a smaller share of the fine-tuned weights is taken where more would be lost.
        update_share: With all weights trained: share of the model's bytes that its difference from the base may take.
            Changes are rounded to steps for it, before anything is judged; 1 rounds nothing. Where held-back clips
            lose half a point by it, nothing is rounded either.
        checkpoint_every_steps: Steps that a crash can cost.
        max_rollbacks: Returns to the last checkpoint after numbers that are not finite, before giving up.
        sequence: A second stage after cross-entropy that learns from what the model writes itself: minimum word error
            rate over sampled hypotheses, or GRPO with the word error rate as its reward. Its weights are taken only
            if the held-back clips lose nothing, texts grow no longer and silence gets no words.
        rollouts: How that stage is done.
        seed: Decides order, held-back clips and augmentation.
    """

    engine: EngineName = "mlx"
    precision: Precision = "float32"
    method: Literal["auto", "full", "lora"] = "auto"
    trainable: Trainable = "all"
    encoded_epochs: int = 2
    encoder_cache_bytes: int = 4 * 2**30
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
    packing: Packing = "auto"
    token_multiple: int | None = None
    timestamps_share: float = 0.1
    packed_timestamps_share: float = 0.5
    prompt_share: float | None = None
    negatives_share: float | None = None
    language: str = "en"
    replay_fraction: float = 0.2
    carriers_share: float = 0.1
    carriers_per_term: int = 0
    dev_share: float = 0.15
    max_dev_clips: int = 64
    min_dev_clips: int = 8
    evaluate_times: int = 4
    alphas: tuple[float, ...] = (0.5, 0.75, 1.0)
    max_forgetting: float = 0.01
    update_share: float = 0.19
    checkpoint_every_steps: int = 25
    max_rollbacks: int = 3
    sequence: SequenceLoss = "off"
    seed: int = 0
    augmentation: AugmentationConfig = field(default_factory=AugmentationConfig)
    lora: LoraConfig = field(default_factory=LoraConfig)
    rollouts: RolloutConfig = field(default_factory=RolloutConfig)

    def __post_init__(self) -> None:
        _expect_at_least_one(self, "epochs", "batch_size", "checkpoint_every_steps", "min_dev_clips", "max_dev_clips")
        _expect_between(self, 1, 10_000, "epochs", "batch_size")  # the whole order is planned beforehand
        if self.max_steps is not None:
            _expect_at_least_one(self, "max_steps")
        _expect_between(self, 0, 1, "warmup_share", "full_window_share", "timestamps_share", "packed_timestamps_share")
        _expect_between(self, 0, 0.9, "replay_fraction", "dev_share")
        _expect_between(self, 0, 1000, "evaluate_times", "max_rollbacks")
        _expect_between(self, 0, 1, "weight_decay", "max_forgetting")
        _expect_between(self, 0, 2**32 - 1, "seed")
        _expect_positive(self, "batch_seconds", "clip_norm")
        if self.learning_rate is not None:
            _expect_positive(self, "learning_rate")
        _expect_between(self, 0, 1000, "encoded_epochs")
        _expect_between(self, 0, 2**50, "encoder_cache_bytes")
        if self.method not in ("auto", "full", "lora"):
            raise ValueError(f"method: expected 'auto', 'full' or 'lora', got {self.method!r}")
        if self.trainable not in ("all", "decoder"):
            raise ValueError(f"trainable: expected 'all' or 'decoder', got {self.trainable!r}")
        if self.context not in ("short", "full"):
            raise ValueError(f"context: expected 'short' or 'full', got {self.context!r}")
        if self.packing not in ("auto", "on", "off"):
            raise ValueError(f"packing: expected 'auto', 'on' or 'off', got {self.packing!r}")
        if self.sequence not in ("off", "mwer", "grpo"):
            raise ValueError(f"sequence: expected 'off', 'mwer' or 'grpo', got {self.sequence!r}")
        self._check_engine()
        self._check_mixture()
        if not 0 < self.update_share <= 1:
            raise ValueError(f"update_share: expected a share above 0, up to 1, got {self.update_share!r}")
        if not self.alphas or not all(0 < alpha <= 1 for alpha in self.alphas):
            raise ValueError(f"alphas: expected shares above 0, up to 1, got {self.alphas!r}")

    def _check_engine(self) -> None:
        if self.engine not in ("mlx", "transformers"):
            raise ValueError(f"engine: expected 'mlx' or 'transformers', got {self.engine!r}")
        if self.precision not in ("float32", "bfloat16"):
            raise ValueError(f"precision: expected 'float32' or 'bfloat16', got {self.precision!r}")
        if self.precision != "float32" and self.engine != "transformers":
            raise ValueError(f"precision: {self.precision} needs the engine transformers, got {self.engine!r}")

    def _check_mixture(self) -> None:
        _expect_between(self, 0, 0.4, "carriers_share")
        _expect_between(self, 0, 100, "carriers_per_term")
        if self.prompt_share is not None:
            _expect_between(self, 0, 1, "prompt_share")
        if self.negatives_share is not None:
            _expect_between(self, 0, 0.4, "negatives_share")
        if self.token_multiple is not None:
            _expect_at_least_one(self, "token_multiple")

    def method_for(self, width: int) -> Method:
        """The method for a model of this width (`n_audio_state`)."""
        if self.method != "auto":
            return self.method
        return "full" if width <= _WIDEST_FULL else "lora"

    def rate_for(self, width: int) -> float:
        """The highest learning rate for a model of this width (`n_audio_state`) and its method."""
        if self.learning_rate is not None:
            return self.learning_rate
        if self.method_for(width) == "lora":
            return next((rate for limit, rate in _LORA_RATES if width <= limit), _LARGE_MODEL_LORA_RATE)
        return next((rate for limit, rate in _LEARNING_RATES if width <= limit), _LARGE_MODEL_RATE)

    @property
    def packs_windows(self) -> bool:
        """Whether clips share the windows of steps that are padded to whole windows."""
        return self.packing == "on" or (self.packing == "auto" and self.context == "full")

    def prompt_share_for(self, n_vocab: int) -> float:
        """Share of the windows with a prompt, for a model with this many tokens."""
        if self.prompt_share is not None:
            return self.prompt_share
        return _WHISPER_PROMPT_SHARE if n_vocab >= _WHISPER_VOCAB else 0.0

    def negatives_share_for(self, n_vocab: int) -> float:
        """Share of the clips without speech, for a model with this many tokens."""
        if self.negatives_share is not None:
            return self.negatives_share
        return _WHISPER_NEGATIVES_SHARE if n_vocab >= _WHISPER_VOCAB else 0.0

    def to_json(self) -> dict[str, Any]:
        """Plain values, for logs and for the fingerprint of a run."""
        plain = dataclasses.asdict(self)
        plain["alphas"] = list(self.alphas)
        plain["augmentation"]["noise_snr_db"] = list(self.augmentation.noise_snr_db)
        plain["augmentation"]["band_limit_hz"] = list(self.augmentation.band_limit_hz)
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
