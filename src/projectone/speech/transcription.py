"""The text of a recording as it comes together, window by window."""

from __future__ import annotations

from dataclasses import dataclass

import mlx.core as mx

from projectone.speech.audio import SAMPLE_RATE
from projectone.speech.checkpoint import WhisperCheckpoint
from projectone.speech.decoding import DecodingResult
from projectone.speech.kernels import Floats
from projectone.speech.segments import SECONDS_PER_FRAME, Segment, split_window
from projectone.speech.timing import WordTiming
from projectone.speech.words import WordFinder


@dataclass(frozen=True)
class Window:
    """What the model says of one window, whether or not it holds a text."""

    duration_s: float
    avg_logprob: float
    compression_ratio: float
    no_speech_prob: float
    temperature: float


@dataclass(frozen=True, kw_only=True)
class Transcription:
    """The text of a recording, its windows, and which terms of the list are in it because of the list."""

    text: str
    segments: tuple[Segment, ...]
    language: str | None
    duration_s: float
    terms: tuple[str, ...] = ()
    windows: tuple[Window, ...] = ()


class Findings:
    """What a recording has come to so far.

    Args:
        checkpoint: The model.
        samples: Of the whole recording.
        timestamps: Whether its windows are decoded with them.
        words: Whether they are to be placed in time.
    """

    def __init__(
        self, checkpoint: WhisperCheckpoint, samples: Floats, *, timestamps: bool = False, words: bool = False
    ) -> None:
        self._tokenizer = checkpoint.tokenizer
        self._timestamps = timestamps
        self._duration_s = samples.size / SAMPLE_RATE
        self._words = WordFinder(checkpoint, samples) if words else None
        self._segments: list[Segment] = []
        self._windows: list[Window] = []
        self._terms: list[str] = []

    def take(
        self, result: DecodingResult, features: mx.array, *, start_frame: int, n_frames: int, is_silence: bool
    ) -> tuple[list[Segment], int]:
        """Take a window, (positions, state); gives its segments, and how many of its frames are done with."""
        signals = (result.avg_logprob, result.compression_ratio, result.no_speech_prob, result.temperature)
        self._windows.append(Window(n_frames * SECONDS_PER_FRAME, *signals))
        if is_silence:
            return [], n_frames
        words: list[WordTiming] = []
        if self._words is not None:
            words = self._words.of_window(
                result, features, start_frame=start_frame, n_frames=n_frames, timestamps=self._timestamps
            )
        segments, n_done = split_window(
            result, self._tokenizer, start_frame=start_frame, n_frames=n_frames, words=words
        )
        self._segments += segments
        self._terms += result.terms
        return segments, n_done

    def transcription(self, language: str | None) -> Transcription:
        """All of it."""
        return Transcription(
            text="".join(segment.text for segment in self._segments).strip(),
            segments=tuple(self._segments),
            language=language,
            duration_s=self._duration_s,
            terms=tuple(dict.fromkeys(self._terms)),
            windows=tuple(self._windows),
        )
