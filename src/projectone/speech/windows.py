"""Where a long recording is cut into windows."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import mlx.core as mx
import numpy as np


def next_window(
    mel: mx.array, start: int, n_content: int, n_window: int, *, is_cut_freely: bool, pauses: Sequence[int] = ()
) -> tuple[mx.array, int]:
    """The window of frames that begins at `start`, and how many of its frames belong to it.

    Args:
        mel: (frames, mels) of the whole recording and a window of silence.
        start: Its first frame.
        n_content: Frames of the recording.
        n_window: Frames of a window.
        is_cut_freely: Whether it may end before it is full.
        pauses: Middles of the pauses of the recording, in frames, in order.
    """
    window = mel[start : start + n_window]
    left = n_content - start
    if not is_cut_freely:
        return window, min(left, n_window)
    cut = _frame_in_pause([pause - start for pause in pauses if start < pause < n_content], left, n_window)
    if cut is None and left <= n_window:
        return window, left
    if cut is None:
        cut = quietest_frame(np.array(window))
    silence = mx.broadcast_to(mel[-1], (n_window - cut, mel.shape[1]))
    return mx.concatenate([window[:cut], silence]), cut


def _frame_in_pause(pauses: list[int], left: int, n_window: int) -> int | None:
    """The last pause in the first half of a window, from a fifth on; else the first of the second, if more is left.

    Models from here are tuned on single sentences. Given several, they write the first ones, or none: of recordings
    of AN4 joined six by six, the starter has 34 % of words wrong in full windows, and 8 % so.
    """
    if left <= n_window // 2:
        return None
    early = [pause for pause in pauses if n_window // 5 <= pause <= n_window // 2]
    late = [pause for pause in pauses if n_window // 2 < pause <= n_window and left > n_window]
    return early[-1] if early else next(iter(late), None)


def quietest_frame(window: np.ndarray[Any, np.dtype[np.float32]]) -> int:
    """Where to cut (frames, mels) of log-mel so that words stay whole: the quietest fifth of a second near the end."""
    n_frames = len(window)
    n_smooth = min(20, max(1, n_frames // 10))
    loudness = np.convolve(window.mean(axis=1), np.full(n_smooth, 1 / n_smooth), mode="valid")
    first = n_frames // 2
    return first + int(loudness[first:].argmin()) + n_smooth // 2
