"""Several clips in one window: which ones, and where each begins.

A clip of 4 s alone in a window of 30 s costs 7.5 times its length. Packed windows leave little empty, and teach what
timestamps are for: where one utterance ends and the next begins.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from projectone.server.training.targets import MAX_SPECIAL_TOKENS, TOKENS_PER_SEGMENT
from projectone.speech.audio import SAMPLE_RATE

# Pauses between utterances; the plan leaves room for the shortest, the rest is drawn from what stays free.
MIN_PAUSE_S = 0.2
_MAX_PAUSE_S = 1.5
# Windows being filled at the same time: more fill better, and mix clips of an epoch over a longer stretch.
_OPEN_WINDOWS = 16
# This share of the windows is closed early, at a length drawn evenly: in use windows are not always full.
_PARTLY_FILLED = 0.2


@dataclass
class _Window:
    capacity_s: float
    used_s: float
    n_tokens: int
    clips: list[int]


def pack(
    order: Sequence[int],
    durations_s: Sequence[float],
    n_tokens: Sequence[int],
    random: np.random.Generator,
    *,
    window_s: float,
    n_text_ctx: int,
) -> list[list[int]]:
    """The clips in windows: each clip in the first open one that has room for its sound and its text.

    Args:
        order: Indices of the clips, shuffled.
        durations_s: Of every clip; none longer than the window.
        n_tokens: Of every clip's text.
        random: Decides which windows stay partly empty.
        window_s: Of the model.
        n_text_ctx: Decoder positions of the model.

    Returns:
        Indices by window, in order of time. The work grows with the number of clips, not with its square.
    """
    done: list[list[int]] = []
    still_open: list[_Window] = []
    for index in order:
        needed_s = durations_s[index] + MIN_PAUSE_S
        needed_tokens = n_tokens[index] + TOKENS_PER_SEGMENT
        window = next(
            (
                window
                for window in still_open
                if window.used_s + needed_s <= window.capacity_s and window.n_tokens + needed_tokens <= n_text_ctx
            ),
            None,
        )
        if window is not None:
            window.clips.append(index)
            window.used_s += needed_s
            window.n_tokens += needed_tokens
            continue
        if len(still_open) == _OPEN_WINDOWS:
            done.append(still_open.pop(0).clips)
        share = random.random() if random.random() < _PARTLY_FILLED else 1.0
        # The first clip always fits, whatever was drawn.
        still_open.append(_Window(window_s * share, needed_s, MAX_SPECIAL_TOKENS + n_tokens[index], [index]))
    return [*done, *(window.clips for window in still_open)]


def room_for(sizes: Sequence[int], n_window: int) -> int:
    """Samples that each of several clips may grow by, so that they still fit the window with their pauses."""
    n_pauses = round(MIN_PAUSE_S * SAMPLE_RATE) * len(sizes)
    return max(0, (n_window - sum(sizes) - n_pauses) // len(sizes))


def starts_of(sizes: Sequence[int], n_window: int, random: np.random.Generator) -> list[int]:
    """Where each clip begins in the window, in samples: after pauses drawn from the room that is left.

    The first pause may be nothing at all: people begin at once, or not.
    """
    free = n_window - sum(sizes)
    if free < 0:
        raise ValueError(f"sizes: expected at most {n_window} samples together, got {sum(sizes)}")
    if len(sizes) == 1:
        return [0]
    least = min(round(MIN_PAUSE_S * SAMPLE_RATE), free // len(sizes))
    most = max(least, min(round(_MAX_PAUSE_S * SAMPLE_RATE), free // len(sizes)))
    pauses = [int(random.integers(0, least + 1))]
    pauses += [int(random.integers(least, most + 1)) for _ in sizes[1:]]
    ends = np.cumsum(np.array(pauses) + np.array(sizes))
    return [int(end) - size for end, size in zip(ends, sizes, strict=True)]
