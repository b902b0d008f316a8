"""Which tokens may come next: Whisper's suppression and timestamp rules, in numpy and in place."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

Scores = np.ndarray[Any, np.dtype[np.float32]]


class LogitRules:
    """The rules of one decoding run.

    Args:
        n_vocab: Width of the scores.
        eot: End-of-text; every lower id is text.
        never: Ids that are never written.
        not_first: Ids that cannot be the first token, so that no transcript begins with a blank or is empty by default.
        timestamp_begin: Id of `<|0.00|>`, or None to decode without timestamps.
        no_timestamps: Id of `<|notimestamps|>`.
        max_initial_timestamp_index: The first timestamp is at most this many steps of 20 ms into the window.

    Source: `SuppressBlank`, `SuppressTokens` and `ApplyTimestampRules` in whisper/decoding.py, and their
    counterparts in transformers, with which they agree token for token.
    """

    def __init__(
        self,
        *,
        n_vocab: int,
        eot: int,
        never: Sequence[int] = (),
        not_first: Sequence[int] = (),
        timestamp_begin: int | None = None,
        no_timestamps: int = -1,
        max_initial_timestamp_index: int | None = 50,
    ) -> None:
        self._eot = eot
        self._never = np.array(sorted({i for i in never if i < n_vocab}), dtype=np.int64)
        self._not_first = np.array(sorted({i for i in not_first if i < n_vocab}), dtype=np.int64)
        self._timestamp_begin = timestamp_begin
        self._no_timestamps = no_timestamps
        self._max_initial = max_initial_timestamp_index

    def apply(self, scores: Scores, sampled: Sequence[Sequence[int]]) -> None:
        """Set the score of every forbidden token to minus infinity.

        Args:
            scores: (rows, vocab) of the next token; changed.
            sampled: The tokens sampled so far in each row, equally many, without the prefix.
        """
        is_first = not sampled[0]
        if is_first:
            scores[:, self._not_first] = -np.inf
        scores[:, self._never] = -np.inf
        if self._timestamp_begin is None:
            return
        scores[:, self._no_timestamps] = -np.inf
        for row, tokens in zip(scores, sampled, strict=True):
            self._pair_timestamps(row, tokens, self._timestamp_begin)
        if is_first:
            scores[:, : self._timestamp_begin] = -np.inf
            if self._max_initial is not None:
                scores[:, self._timestamp_begin + self._max_initial + 1 :] = -np.inf
        prefer_timestamps(scores, self._timestamp_begin)

    def _pair_timestamps(self, row: Scores, tokens: Sequence[int], begin: int) -> None:
        """Timestamps come in pairs, except right before end-of-text, and never go back."""
        last_is_timestamp = bool(tokens) and tokens[-1] >= begin
        one_before_is_timestamp = len(tokens) < 2 or tokens[-2] >= begin
        if last_is_timestamp and one_before_is_timestamp:
            row[begin:] = -np.inf
        elif last_is_timestamp:
            row[: self._eot] = -np.inf
        last = next((token for token in reversed(tokens) if token >= begin), None)
        if last is not None:
            # A segment that was opened must get a length, or decoding could go round in circles.
            closes_segment = last_is_timestamp and not one_before_is_timestamp
            row[begin : last if closes_segment else last + 1] = -np.inf


def prefer_timestamps(scores: Scores, timestamp_begin: int) -> None:
    """Where all timestamps together are likelier than any single text token, only timestamps stay possible."""
    together = logsumexp(scores[:, timestamp_begin:])
    text = scores[:, :timestamp_begin]
    text[together > text.max(axis=-1)] = -np.inf


def logsumexp(scores: Scores) -> Scores:
    """Log of the sum of exponentials over the last axis; minus infinity where all are."""
    top = scores.max(axis=-1, keepdims=True)
    safe = np.where(np.isfinite(top), top, 0.0)
    with np.errstate(divide="ignore"):
        total: Scores = np.log(np.exp(scores - safe).sum(axis=-1)) + safe[..., 0]
    return total
