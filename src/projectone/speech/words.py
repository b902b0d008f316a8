"""The words of a recording, window by window: when each was said, and how sure the model is of it."""

from __future__ import annotations

from dataclasses import replace

import mlx.core as mx

from projectone.speech.alignment_heads import alignment_heads_of
from projectone.speech.audio import HOP_LENGTH, SAMPLE_RATE
from projectone.speech.checkpoint import WhisperCheckpoint
from projectone.speech.decoding import DecodingResult
from projectone.speech.forced import clip_features, forced_trace
from projectone.speech.kernels import Floats
from projectone.speech.model_files import ENCODER_STRIDE
from projectone.speech.pauses import keep_out, loudness_of
from projectone.speech.timing import WordTiming, find_alignment


class WordFinder:
    """Places the words of one recording in time."""

    def __init__(self, checkpoint: WhisperCheckpoint, samples: Floats) -> None:
        self._checkpoint = checkpoint
        self._loudness = loudness_of(samples)
        self._n_frames = max(1, samples.size // HOP_LENGTH)

    def of_window(
        self, result: DecodingResult, features: mx.array, *, start_frame: int, n_frames: int, timestamps: bool
    ) -> list[WordTiming]:
        """The words of a window, from the start of the recording.

        Args:
            result: Of the window, decoded with `alignment_heads_of` the model watched.
            features: Of the window, (positions, state): a text that was put right afterwards is followed anew in them.
            start_frame: Where the window begins, in mel frames.
            n_frames: How many frames of the recording it holds.
            timestamps: Whether it was decoded with them.
        """
        checkpoint, trace = self._checkpoint, result.trace
        if not result.tokens:
            return []
        if trace is None or trace.tokens != result.tokens:
            trace = forced_trace(
                checkpoint,
                result.tokens,
                features,
                language=result.language,
                timestamps=timestamps,
                heads=alignment_heads_of(checkpoint),
            )
        n_positions = max(1, min(n_frames, self._n_frames - start_frame) // ENCODER_STRIDE)
        loudness = None if self._loudness is None else self._loudness.of_positions(start_frame, n_positions)
        offset_s = start_frame * HOP_LENGTH / SAMPLE_RATE
        words = [
            replace(word, start_s=word.start_s + offset_s, end_s=word.end_s + offset_s)
            for word in find_alignment(
                trace, checkpoint.tokenizer, language=result.language, n_positions=n_positions, loudness=loudness
            )
        ]
        return words if self._loudness is None else keep_out(words, self._pauses_in(offset_s, n_positions))

    def _pauses_in(self, offset_s: float, n_positions: int) -> list[tuple[float, float]]:
        """The pauses of a window. One that it ends in is cut there: no word is moved into the next window."""
        end_s = offset_s + n_positions * ENCODER_STRIDE * HOP_LENGTH / SAMPLE_RATE
        pauses = () if self._loudness is None else self._loudness.pauses
        return [(max(begin, offset_s), min(end, end_s)) for begin, end in pauses if begin < end_s and end > offset_s]


def place_words(checkpoint: WhisperCheckpoint, samples: Floats, text: str, *, language: str | None) -> list[WordTiming]:
    """When each word of a given text is said in a recording at 16 kHz that fits one window.

    Args:
        checkpoint: The model whose alignment heads say so.
        samples: One channel, (n,).
        text: What is said.
        language: Of the text; None for a model that knows one language only.
    """
    features = mx.array(clip_features(checkpoint, samples))
    tokens = checkpoint.tokenizer.encode(f" {text.strip()}")
    trace = forced_trace(checkpoint, tokens, features, language=language, heads=alignment_heads_of(checkpoint))
    loudness = loudness_of(samples)
    n_positions = min(features.shape[0], max(1, samples.size // (HOP_LENGTH * ENCODER_STRIDE)))
    return find_alignment(
        trace,
        checkpoint.tokenizer,
        language=language,
        n_positions=n_positions,
        loudness=None if loudness is None else loudness.of_positions(0, n_positions),
    )
