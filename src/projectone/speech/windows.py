"""Where a long recording is cut into windows."""

from __future__ import annotations

from typing import Any

import mlx.core as mx
import numpy as np


def next_window(
    mel: mx.array, start: int, n_content: int, n_window: int, *, is_cut_freely: bool
) -> tuple[mx.array, int]:
    """The window of frames that begins at `start`, and how many of its frames belong to it."""
    window = mel[start : start + n_window]
    left = n_content - start
    if left <= n_window or not is_cut_freely:
        return window, min(left, n_window)
    cut = quietest_frame(np.array(window))
    silence = mx.broadcast_to(mel[-1], (n_window - cut, mel.shape[1]))
    return mx.concatenate([window[:cut], silence]), cut


def quietest_frame(window: np.ndarray[Any, np.dtype[np.float32]]) -> int:
    """Where to cut (frames, mels) of log-mel so that words stay whole: the quietest fifth of a second near the end."""
    n_frames = len(window)
    n_smooth = min(20, max(1, n_frames // 10))
    loudness = np.convolve(window.mean(axis=1), np.full(n_smooth, 1 / n_smooth), mode="valid")
    first = n_frames // 2
    return first + int(loudness[first:].argmin()) + n_smooth // 2
