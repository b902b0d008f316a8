"""The decoder of an `Int8Whisper`: the products in eight bits, attention in numpy between them."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from projectone.speech.int8 import DecoderSessions
from projectone.speech.kernels import Floats
from projectone.speech.logit_rules import Scores
from projectone.speech.watching import Watch


class Int8Stepper:
    """Rows on their way through the decoder; see `stepping.Stepper`.

    Args:
        sessions: The decoder.
        features: (rows, positions, state) of the encoder.
        n_room: Tokens of a row at most.
        watch: Is told where the heads look in the sound.
    """

    def __init__(self, sessions: DecoderSessions, features: Floats, *, n_room: int, watch: Watch | None = None) -> None:
        self._sessions = sessions
        self._watch = watch
        n_rows, n_positions, n_state = features.shape
        n_blocks = len(sessions.after_own)
        n_head = sessions.n_head
        self._width = n_state // n_head
        self._scale = np.float32(self._width**-0.5)
        # Keys and values of each block, each (rows, heads, positions, width).
        self._sound = np.empty((2 * n_blocks, n_rows, n_head, n_positions, self._width), np.float32)
        for row, window in enumerate(features):
            for index, made in enumerate(sessions.sound(features=window)):
                self._sound[index, row] = made
        self._own = np.zeros((2 * n_blocks, n_rows, n_head, n_room, self._width), np.float32)
        self._position = 0

    def open(self, prefixes: Sequence[Sequence[int]], positions: Sequence[int]) -> Scores:
        """Scores (rows, positions, vocab) after the tokens at some positions of the prefixes, which come first."""
        hidden = self._hidden(np.asarray(prefixes))
        wanted = hidden.reshape(len(prefixes), -1, hidden.shape[-1])[:, list(positions)]
        scores: Scores = self._sessions.scores(x=wanted.reshape(-1, hidden.shape[-1]))[0]
        return scores.reshape(*wanted.shape[:2], -1)

    def step(self, tokens: Sequence[int]) -> Scores:
        """See `stepping.Stepper`."""
        scores: Scores = self._sessions.scores(x=self._hidden(np.asarray(tokens)[:, None]))[0]
        return scores

    def keep(self, rows: Sequence[int]) -> None:
        """See `stepping.Stepper`."""
        self._sound, self._own = self._sound[:, list(rows)], self._own[:, list(rows)]

    def _hidden(self, tokens: np.ndarray) -> Floats:
        """New tokens (rows, tokens) to hidden states (rows * tokens, state)."""
        sessions, start = self._sessions, self._position
        end = self._position = start + tokens.shape[1]
        x: Floats = (sessions.embedding[tokens] + sessions.positions[start:end]).reshape(
            -1, sessions.embedding.shape[1]
        )
        query, *new = sessions.opening(x=x)
        for block, (after_own, after_sound) in enumerate(zip(sessions.after_own, sessions.after_sound, strict=True)):
            own, sound = self._own[2 * block : 2 * block + 2], self._sound[2 * block : 2 * block + 2]
            for kept, made in zip(own, new, strict=True):
                kept[:, :, start:end] = self._heads(made)
            gathered, _ = self._gather(query, *own[:, :, :, :end], is_causal=True)
            x, query = after_own(x=x, gathered=gathered)
            gathered, shares = self._gather(query, *sound)
            if self._watch is not None:
                self._watch.note(block, shares)
            x, *given = after_sound(x=x, gathered=gathered)
            if given:
                query, *new = given
        return x

    def _heads(self, x: Floats) -> Floats:
        """(rows * tokens, state) to (rows, heads, tokens, width)."""
        n_rows, n_head = self._own.shape[1:3]
        return x.reshape(n_rows, -1, n_head, self._width).transpose(0, 2, 1, 3)

    def _gather(self, query: Floats, keys: Floats, values: Floats, *, is_causal: bool = False) -> tuple[Floats, Floats]:
        """What each token attends to, all positions or those up to itself, and the shares of these."""
        split = self._heads(query * self._scale)
        scores = split @ keys.transpose(0, 1, 3, 2)
        n_tokens, n_positions = scores.shape[2:]
        if is_causal and n_tokens > 1:
            scores[..., np.triu(np.ones((n_tokens, n_positions), bool), n_positions - n_tokens + 1)] = -np.inf
        scores -= scores.max(axis=-1, keepdims=True)
        shares = np.exp(scores, out=scores)
        shares /= shares.sum(axis=-1, keepdims=True)
        gathered: Floats = (shares @ values).transpose(0, 2, 1, 3).reshape(query.shape)
        return gathered, shares
