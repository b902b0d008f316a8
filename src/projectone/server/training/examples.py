"""Clips and texts become what a training step needs; what cannot be learned from is left out, with the reason."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from projectone.server.training.loss import Target
from projectone.server.training.targets import MAX_SPECIAL_TOKENS, Spoken, TargetBuilder
from projectone.speech.audio import HOP_LENGTH, N_FFT, SAMPLE_RATE, log_mel
from projectone.speech.checkpoint import WhisperCheckpoint

Samples = npt.NDArray[np.float32]
Mel = npt.NDArray[np.float32]

MIN_CLIP_S = 0.1
# Log-mel of digital silence when nothing is louder: (log10(1e-10) + 4) / 4.
_QUIETEST = -1.5
_FLOOR_BELOW_PEAK = 2.0  # 8 powers of ten below the loudest bin, divided by 4


@dataclass(frozen=True)
class TrainingClip:
    """One pair to learn from.

    Attributes:
        samples: One channel at 16 kHz.
        previous_text: What the same person said just before, if that is known.
    """

    clip_id: str
    samples: Samples
    text: str
    speaker: str
    previous_text: str | None = None

    @property
    def duration_s(self) -> float:
        """Length in seconds."""
        return self.samples.size / SAMPLE_RATE


@dataclass(frozen=True)
class Example:
    """A clip that fits the model, its text as tokens, and those of what was said before; nobody speaks without text."""

    clip: TrainingClip
    text: tuple[int, ...]
    previous: tuple[int, ...] = ()


@dataclass(frozen=True)
class Skipped:
    """A clip that was left out, and why."""

    clip_id: str
    reason: str


class ExampleBuilder:
    """Makes examples for one model: its vocabulary, its window, its context.

    Attributes:
        language: What the model is told; None for an English-only one.
        text_language: Of the texts, whatever the model can be told: what is compared with them is compared as such.
    """

    def __init__(self, checkpoint: WhisperCheckpoint, *, language: str) -> None:
        self.checkpoint = checkpoint
        self.text_language = language
        self.language = language if checkpoint.tokenizer.is_multilingual else None
        self.window_s = checkpoint.features.n_samples / SAMPLE_RATE
        self._targets = TargetBuilder(checkpoint, language=self.language)

    def build(self, clips: Sequence[TrainingClip]) -> tuple[list[Example], list[Skipped]]:
        """The examples, in the order of the clips, and what was left out."""
        examples: list[Example] = []
        skipped: list[Skipped] = []
        for clip in clips:
            text = self._encode(clip.text)
            problem = self._problem(clip, len(text))
            if problem is None:
                examples.append(Example(clip, text, self._encode(clip.previous_text or "")))
            else:
                skipped.append(Skipped(clip.clip_id, problem))
        return examples, skipped

    def plain_target(self, example: Example) -> Target:
        """The transcript without timestamps, as devices ask for it."""
        return self._targets.window([Spoken(example.text, 0.0, example.clip.duration_s)], timed=False)

    def timed_target(self, example: Example, n_samples: int) -> Target:
        """The transcript as one segment from the start to the end of the sound; plain where no token says that time."""
        return self._targets.window([Spoken(example.text, 0.0, n_samples / SAMPLE_RATE)], timed=True)

    def _encode(self, text: str) -> tuple[int, ...]:
        # Whisper writes a space before the first word.
        return tuple(self.checkpoint.tokenizer.encode(" " + text.strip())) if text.strip() else ()

    def _problem(self, clip: TrainingClip, n_text: int) -> str | None:
        if clip.samples.ndim != 1 or not np.isfinite(clip.samples).all():
            return "the samples are not one channel of finite numbers"
        if not MIN_CLIP_S <= clip.duration_s <= self.window_s:
            return f"{clip.duration_s:.2f} s, expected {MIN_CLIP_S} s to the model's window of {self.window_s:.0f} s"
        if not n_text:
            return "no text"
        n_tokens = n_text + MAX_SPECIAL_TOKENS
        limit = self.checkpoint.dims.n_text_ctx
        return f"{n_tokens} tokens with the opening ones, the model has {limit}" if n_tokens > limit else None


def padded_mel(samples: Samples, *, n_mels: int) -> tuple[Mel, float]:
    """Log-mel of a clip as it begins a padded window, and the value that fills the rest of that window.

    The frames equal the first ones of the whole window's spectrogram: half a transform of silence follows the clip,
    and beyond it there is only the floor under the loudest bin. (A clip that ends within 12 ms of the window's end
    differs in the last frame, where the window itself would be mirrored.)
    """
    n_frames = -(-(samples.size + N_FFT // 2) // HOP_LENGTH)
    with_silence = np.pad(samples, (0, n_frames * HOP_LENGTH + N_FFT - samples.size))
    mel = log_mel(with_silence, n_mels)[:n_frames]
    return mel, max(_QUIETEST, float(mel.max()) - _FLOOR_BELOW_PEAK)


def stack_mels(mels: Sequence[tuple[Mel, float]], n_frames: int) -> Mel:
    """(clips, n_frames, mels): each cut or filled with its own floor."""
    n_mels = mels[0][0].shape[1]
    stacked = np.empty((len(mels), n_frames, n_mels), dtype=np.float32)
    for row, (mel, floor) in enumerate(mels):
        kept = min(n_frames, mel.shape[0])
        stacked[row, :kept] = mel[:kept]
        stacked[row, kept:] = floor
    return stacked
