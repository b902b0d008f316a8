"""Where a model places its words in time, just as it writes it: what is wrong is not put right."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import mlx.core as mx
import numpy as np

from projectone.speech.audio import log_mel_spectrogram
from projectone.speech.checkpoint import WhisperCheckpoint
from projectone.speech.decoding import DecodingOptions, decode
from projectone.speech.tokenizer import Tokenizer

Samples = np.ndarray[Any, np.dtype[np.float32]]
Placed = tuple[float, float | None]


def place_in_time(
    checkpoint: WhisperCheckpoint, clips: Sequence[Samples], *, language: str | None, batch_size: int = 16
) -> list[tuple[Placed, ...]]:
    """Start and end, in seconds, of each piece of text that a model writes with timestamps.

    Args:
        checkpoint: The model.
        clips: One channel at 16 kHz, each no longer than one window.
        language: Of the texts.
        batch_size: Windows decoded at once.

    Returns:
        For each clip its pieces in the order in which they were written; an end is None where none was.
    """
    options = DecodingOptions(language=language, timestamps=True)
    n_samples = checkpoint.features.n_samples
    placed: list[tuple[Placed, ...]] = []
    for first in range(0, len(clips), batch_size):
        batch = clips[first : first + batch_size]
        mels = [log_mel_spectrogram(clip, checkpoint.dims.n_mels, padding=n_samples - clip.size) for clip in batch]
        results = decode(checkpoint, mx.stack(mels), options)
        placed += [pieces_of(result.tokens, checkpoint.tokenizer) for result in results]
    return placed


def pieces_of(tokens: Sequence[int], tokenizer: Tokenizer) -> tuple[Placed, ...]:
    """Each run of text tokens with the timestamp before it (0 without one) and the one after it."""
    pieces: list[Placed] = []
    start_s, has_text = 0.0, False
    for token in tokens:
        if token < tokenizer.timestamp_begin:
            has_text = has_text or token < tokenizer.eot
            continue
        now_s = round(tokenizer.timestamp_s(token), 3)
        if has_text:
            pieces.append((start_s, now_s))
        start_s, has_text = now_s, False
    return (*pieces, (start_s, None)) if has_text else tuple(pieces)
