"""What every engine promises: clips and a config in, a model folder and a result out."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, Protocol

from projectone.server.training.config import Method, TrainingConfig
from projectone.server.training.examples import Skipped, TrainingClip
from projectone.server.training.interpolation import AlphaPoint
from projectone.server.training.sequence_guard import SequenceOutcome
from projectone.server.training.splitting import SplitKind

Phase = Literal["prepare", "train", "sequence", "judge", "interpolate", "save"]


@dataclass(frozen=True, kw_only=True)
class TrainingProgress:
    """Where a run is, for a line on a screen.

    Attributes:
        loss: Mean nats per token of recent steps; None before the first.
        dev_wer: Word error rate on the held-back clips when last measured; None if never.
        eta_s: Seconds that the steps that are left may take; None before the first.
        speed: Seconds of audio trained on per second; None before the first step.
    """

    phase: Phase
    step: int
    n_steps: int
    epoch: int
    n_epochs: int
    loss: float | None = None
    learning_rate: float | None = None
    dev_wer: float | None = None
    eta_s: float | None = None
    speed: float | None = None


@dataclass(frozen=True, kw_only=True)
class TrainingResult:
    """What a run came to.

    Attributes:
        weights_sha256: Digest of `model.safetensors` in the output folder.
        n_clips: Clips trained on, without the held-back ones.
        n_dev_clips: Clips held back.
        dev_split: How the two were kept apart.
        audio_s: Seconds of the clips trained on.
        best_step: The step whose weights were taken.
        dev_wer_before: Word error rate of the base on the held-back clips; None if nothing was held back.
        dev_wer_after: The same of the result.
        alpha: Share of the fine-tuned weights in the result; the rest is the base's.
        skipped: Clips left out, with reasons.
        wall_s: Time spent, without interruptions.
        method: What was trained: all weights, or adapters that were fused into them.
        curve: What the shares of the fine-tuned weights came to that were tried, and the base (0), by alpha; empty if
            nothing was held back.
        sequence: What the second stage came to; None if none was asked for.
        update_step: All changes from the base are multiples of this, so that their difference is small; 0 if of none.
    """

    weights_sha256: str
    n_steps: int
    n_clips: int
    n_dev_clips: int
    dev_split: SplitKind
    audio_s: float
    best_step: int
    dev_wer_before: float | None
    dev_wer_after: float | None
    general_wer_before: float | None
    general_wer_after: float | None
    alpha: float
    n_rollbacks: int
    skipped: tuple[Skipped, ...]
    wall_s: float
    method: Method = "full"
    curve: tuple[AlphaPoint, ...] = ()
    sequence: SequenceOutcome | None = None
    update_step: float = 0.0


class Engine(Protocol):
    """Fine-tunes a model."""

    def __call__(
        self,
        base: Path,
        clips: Sequence[TrainingClip],
        config: TrainingConfig,
        *,
        work_folder: Path,
        out: Path,
        on_progress: Callable[[TrainingProgress], None] | None = None,
        dev_clips: Sequence[TrainingClip] | None = None,
        replay_clips: Sequence[TrainingClip] = (),
        carrier_clips: Sequence[TrainingClip] = (),
    ) -> TrainingResult:
        """Fine-tune `base` on `clips` into the new folder `out`.

        Args:
            base: Model folder in the Hugging Face layout; never changed.
            clips: What to learn.
            config: How.
            work_folder: Checkpoints and log. The same call with the same folder goes on where it stopped.
            out: Model folder to make; it appears whole or not at all.
            on_progress: Told where the run is.
            dev_clips: Clips to choose the checkpoint by; None holds some of `clips` back.
            replay_clips: General speech against forgetting.
            carrier_clips: Synthetic sentences with words to learn, of which a share is mixed in.

        Raises:
            TrainingError: if the libraries of the engine that the config names are not there, if there is nothing to
                learn from, or if the numbers stop being finite.
            ArtifactError: if `base` is not a model.
            StorageError: at once, if `out` exists and is not of this run; or if the disk refused.
        """
        ...
