"""When each word was said: the attention of some heads follows the sound, and a path through it places the tokens.

Whisper's method. The attention itself is noted while decoding (`watching`), so that all that is computed here is a
filter and a path. What is ours: where the sound says which moments are quiet (`pauses`), a word begins at one of them
rather than elsewhere, and the last one ends with the sound; and probabilities are geometric means, so that a word is
as doubtful as its tokens together, however many there are.

Source: whisper/timing.py.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from projectone.speech.kernels import Floats
from projectone.speech.tokenizer import SECONDS_PER_TIMESTAMP as SECONDS_PER_POSITION
from projectone.speech.tokenizer import Tokenizer
from projectone.speech.word_tokens import WordTokens, split_to_word_tokens

# Nats of attention that beginning a word in the loudest moment costs. On digits joined with known gaps and on synthetic
# sentences with known word times, 4 to 10 do about equally well, and 0 leaves starts 30 ms and ends 100 ms early.
_TOLL = 6.0
_SHORTEST = 3  # positions, which is 60 ms: no word is shorter

_FILTER_WIDTH = 7
# Compare and exchange in this order, and the fourth of seven is the median (Devillard 1998, "Fast median search").
_EXCHANGES = (
    *((0, 5), (0, 3), (1, 6), (2, 4), (0, 1), (3, 5), (2, 6)),
    *((2, 3), (3, 6), (4, 5), (1, 4), (1, 3), (3, 4)),
)


@dataclass(frozen=True, eq=False)
class Trace:
    """What was noted while tokens were written.

    Attributes:
        tokens: Those after the prefix, without end-of-text.
        logprobs: Of each of them, in nats, under the rules that held.
        shares: Of attention, (heads, rows, positions), from start-of-transcript on. Each row belongs to the token that
            it led to; the one after the last token's, if there is one, led to what ended the text.
        n_before: Rows before the one that led to the first token.
    """

    tokens: tuple[int, ...]
    logprobs: tuple[float, ...]
    shares: Floats
    n_before: int


@dataclass(frozen=True)
class WordTiming:
    """One word of a window.

    Attributes:
        text: With its marks, without blanks around it.
        start_s: From the start of the window, or of the recording, as is said where it is given.
        end_s: Likewise; never before the start.
        probability: Geometric mean of its tokens'.
        first_token: Where its first one stands among all that were written, timestamps included.
    """

    text: str
    start_s: float
    end_s: float
    probability: float
    first_token: int


def find_alignment(
    trace: Trace, tokenizer: Tokenizer, *, language: str | None, n_positions: int, loudness: Floats | None = None
) -> list[WordTiming]:
    """The words of a window, from its start.

    Args:
        trace: Of its decoding; timestamps among the tokens are passed over.
        tokenizer: Of the model.
        language: Of the text.
        n_positions: Of the window that hold its sound; what lies behind them is padding.
        loudness: Of each of these, from 0 (quiet) to 1. Without it the times are Whisper's own.
    """
    places = [place for place, token in enumerate(trace.tokens) if token < tokenizer.eot]
    if not places or n_positions < 1:
        return []
    words = _words(trace.tokens, places, tokenizer, language)
    starts = token_starts(trace, places, [word.spoken_first for word in words], n_positions, loudness)
    return [_timing(word, trace, places, starts) for word in words]


def token_starts(
    trace: Trace, places: Sequence[int], firsts: Sequence[int], n_positions: int, loudness: Floats | None
) -> list[int]:
    """The position at which each token begins, and at which the last one ends.

    Args:
        trace: Of the window.
        places: Where the tokens of its text stand among all of its tokens.
        firsts: Which of these begin a word.
        n_positions: Of the window that hold its sound.
        loudness: As for `find_alignment`.
    """
    n_positions = min(n_positions, trace.shares.shape[2])
    matrix = _attention(trace.shares[:, :, :n_positions])
    rows = [trace.n_before + place for place in places]
    if loudness is None:
        # What was decoded after the last token looks at where that ends; where it does not, the loudness knows better.
        rows += [rows[-1] + 1] if rows[-1] + 1 < len(matrix) else []
        starts = _entered(-matrix[rows])
    else:
        starts = _quiet_starts(-matrix[rows], set(firsts), loudness[:n_positions])
    return starts if len(starts) > len(places) else [*starts, n_positions]


def median_filter(x: Floats) -> Floats:
    """The median of seven neighbours along the last axis, whose ends are mirrored; unchanged if it is that short."""
    reach = _FILTER_WIDTH // 2
    if x.shape[-1] <= reach:
        return x
    padded = np.pad(x, [(0, 0)] * (x.ndim - 1) + [(reach, reach)], mode="reflect")
    seven = [padded[..., first : first + x.shape[-1]].copy() for first in range(_FILTER_WIDTH)]
    for low, high in _EXCHANGES:
        seven[low], seven[high] = np.minimum(seven[low], seven[high]), np.maximum(seven[low], seven[high])
    return seven[3]


def dtw(x: Floats, toll: Floats | None = None, is_slanted: Sequence[bool] | None = None) -> tuple[list[int], list[int]]:
    """The cheapest path from the first to the last corner of a matrix: to the right, down, or both at once.

    Args:
        x: What it costs to be there, (rows, columns).
        toll: What it costs beside that to enter a row there; nothing if not given.
        is_slanted: Which rows cannot be entered straight from above; none if not given.

    Returns:
        Rows and columns of the path.

    Source: `dtw_cpu` and `backtrace` in whisper/timing.py; here a row at a time: what a step to the right costs is the
    difference of running sums, so that the best of all ways to come along the row is a running minimum.
    """
    n_rows, n_columns = x.shape
    tolls = np.zeros_like(x) if toll is None else toll
    slanted = np.zeros(n_rows, bool) if is_slanted is None else np.asarray(is_slanted)
    cost = np.full((n_rows + 1, n_columns + 1), np.inf)
    cost[0, 0] = 0.0
    for row in range(n_rows):
        entered = cost[row, :-1] if slanted[row] else np.minimum(cost[row, 1:], cost[row, :-1])
        sums = np.cumsum(x[row], dtype=np.float64)
        before = np.concatenate(([0.0], sums[:-1]))
        cost[row + 1, 1:] = np.minimum.accumulate(entered + tolls[row] - before) + sums
    row, column = n_rows, n_columns
    rows, columns = [], []
    while row > 0 and column > 0:
        rows.append(row - 1)
        columns.append(column - 1)
        both, down = cost[row - 1, column - 1], np.inf if slanted[row - 1] else cost[row - 1, column]
        right = cost[row, column - 1] - tolls[row - 1, column - 1]
        if both <= down and both < right:
            row, column = row - 1, column - 1
        elif down < right:
            row -= 1
        else:
            column -= 1
    return rows[::-1], columns[::-1]


def _words(
    tokens: Sequence[int], places: Sequence[int], tokenizer: Tokenizer, language: str | None
) -> list[WordTokens]:
    """The words of the tokens at these places; none goes on across two timestamps, where a segment ends."""
    cuts = [0, *(i for i in range(1, len(places)) if places[i] > places[i - 1] + 2), len(places)]
    words = []
    for first, end in pairwise(cuts):
        for word in split_to_word_tokens(tokenizer, [tokens[place] for place in places[first:end]], language):
            words.append(word.shifted(first))
    return words


def _attention(shares: Floats) -> Floats:
    """How much more than other tokens each looks at each position, smoothed, over all heads: (rows, positions)."""
    total = np.zeros(shares.shape[1:], np.float32)
    for head in shares:  # one by one: they stay in the cache
        # As if the softmax had seen the sound alone.
        seen = head / np.maximum(head.sum(axis=-1, keepdims=True), np.finfo(np.float32).tiny)
        spread = seen.std(axis=0)
        total += median_filter((seen - seen.mean(axis=0)) / np.where(spread > 0, spread, 1.0))
    return np.asarray(total / len(shares), np.float32)


def _entered(x: Floats, toll: Floats | None = None, is_slanted: Sequence[bool] | None = None) -> list[int]:
    """In which column the cheapest path enters each row."""
    starts = [0] * len(x)
    for row, column in zip(*(reversed(part) for part in dtw(x, toll, is_slanted)), strict=True):
        starts[row] = column
    return starts


def _quiet_starts(x: Floats, firsts: Collection[int], loudness: Floats) -> list[int]:
    """As `_entered`, but beginning a word costs the more the louder it is then, and a word lasts a while."""
    least = _SHORTEST if len(x) + len(firsts) * _SHORTEST <= x.shape[1] else 1
    # A row that has to be stayed in is there several times, and can only be entered and left slantwise.
    copies = [least if row in firsts else 1 for row in range(len(x))]
    owners = np.repeat(np.arange(len(x)), copies)
    entries = np.cumsum([0, *copies[:-1]])
    toll = np.zeros((len(owners), x.shape[1]), np.float32)
    toll[entries[list(firsts)]] = _TOLL * loudness
    starts = _entered(x[owners], toll, is_slanted=[row in firsts for row in owners])
    return [starts[entry] for entry in entries]


def _timing(word: WordTokens, trace: Trace, places: Sequence[int], starts: Sequence[int]) -> WordTiming:
    spoken = [trace.logprobs[place] for place in places[word.spoken_first : word.spoken_end]]
    return WordTiming(
        word.text,
        starts[word.spoken_first] * SECONDS_PER_POSITION,
        starts[word.spoken_end] * SECONDS_PER_POSITION,
        math.exp(sum(spoken) / len(spoken)),
        places[word.first],
    )
