"""One decoder step at a time: the tokens chosen last in, scores of the next ones out.

`MlxStepper` runs everywhere. On a CPU `NumpyStepper` gives the same scores about three times as fast: a step is a
hundred tiny operations and one product with the vocabulary, and mlx pays more to dispatch the former and to repack the
weights for the latter than they cost.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Protocol

import mlx.core as mx
import numpy as np

from projectone.speech.int8 import Int8Whisper
from projectone.speech.int8_stepping import Int8Stepper
from projectone.speech.kernels import Floats
from projectone.speech.logit_rules import Scores
from projectone.speech.numpy_layers import Linear, Norm, gelu, is_plain, view
from projectone.speech.thin_products import thin_product
from projectone.speech.watching import Watch
from projectone.speech.whisper import KeyValues, KvCache, MultiHeadAttention, ResidualAttentionBlock, Whisper


class Stepper(Protocol):
    """A batch of rows on their way through the decoder."""

    def step(self, tokens: Sequence[int]) -> Scores:
        """Scores (rows, vocab) of what follows `tokens`, one for each row."""

    def keep(self, rows: Sequence[int]) -> None:
        """Go on with these rows only, in this order."""


def open_stepper(
    model: Whisper,
    features: mx.array,
    prefixes: Sequence[Sequence[int]],
    *,
    n_steps: int,
    positions: Sequence[int],
    watch: Watch | None = None,
) -> tuple[Scores, Stepper]:
    """Run the prefixes through the decoder; the keys and values of the audio are computed here, once.

    Args:
        model: In evaluation mode.
        features: (rows, positions, state) of the encoder.
        prefixes: The opening tokens of each row, equally many.
        n_steps: How many steps will follow at most.
        positions: In the prefix, of the scores that are wanted.
        watch: Is told where its heads look, here and at each step.

    Returns:
        Scores (rows, positions, vocab), and what takes the steps.
    """
    if isinstance(model, Int8Whisper):
        n_room = len(prefixes[0]) + n_steps
        in_eight_bits = Int8Stepper(model.decoding, view(features), n_room=n_room, watch=watch)
        return in_eight_bits.open(prefixes, positions), in_eight_bits
    tokens = mx.array([list(prefix) for prefix in prefixes], dtype=mx.int32)
    hidden, cache, cross_qk = model.decoder.hidden_states(tokens, features)
    if watch is not None:
        watch.note_scores(cross_qk)
    hidden = hidden[:, mx.array([position % len(prefixes[0]) for position in positions])]
    if is_plain(model.decoder):
        stepper = NumpyStepper(model, cache, n_steps=n_steps, watch=watch)
        return stepper.project(np.array(hidden)), stepper
    scores = model.decoder.token_embedding.as_linear(hidden).astype(mx.float32)
    return np.array(scores), MlxStepper(model, features, cache, watch)


class MlxStepper:
    """Steps through the model as it is, on whatever device and in whatever type it has."""

    def __init__(self, model: Whisper, features: mx.array, cache: KvCache, watch: Watch | None = None) -> None:
        self._model = model
        self._watch = watch
        self._features = features
        self._cache = cache

    def step(self, tokens: Sequence[int]) -> Scores:
        """See `Stepper`."""
        column = mx.array(tokens, dtype=mx.int32)[:, None]
        logits, self._cache, cross_qk = self._model.decoder(column, self._features, self._cache)
        if self._watch is not None:
            self._watch.note_scores(cross_qk)
        return np.array(logits[:, -1].astype(mx.float32))

    def keep(self, rows: Sequence[int]) -> None:
        """See `Stepper`."""
        index = mx.array(list(rows))
        self._features = self._features[index]
        self._cache = [(_rows(own, index), _rows(cross, index)) for own, cross in self._cache]


class NumpyStepper:
    """Steps through a float32 model whose layers are plain, on views of its weights."""

    def __init__(self, model: Whisper, cache: KvCache, *, n_steps: int, watch: Watch | None = None) -> None:
        decoder = model.decoder
        self._embedding = view(decoder.token_embedding.weight)
        self._positions = view(decoder.positional_embedding)
        self._blocks = [
            _Block(block, own, cross, n_steps=n_steps, note=None if watch is None else partial(watch.note, layer))
            for layer, (block, (own, cross)) in enumerate(zip(decoder.blocks, cache, strict=True))
            if own is not None and cross is not None
        ]
        self._ln = Norm(decoder.ln)
        own = cache[0][0]
        self._position = own[0].shape[1] if own is not None else 0

    def step(self, tokens: Sequence[int]) -> Scores:
        """See `Stepper`."""
        x: Floats = self._embedding[np.asarray(tokens)] + self._positions[self._position]
        for block in self._blocks:
            x = block(x, self._position)
        self._position += 1
        return self.project(self._ln(x))

    def keep(self, rows: Sequence[int]) -> None:
        """See `Stepper`."""
        for block in self._blocks:
            block.keep(list(rows))

    def project(self, hidden: Floats) -> Scores:
        """Scores of the next token from the decoder's last states, (..., state) to (..., vocab)."""
        scores: Scores = thin_product(hidden.reshape(-1, hidden.shape[-1]), self._embedding)
        return scores.reshape(*hidden.shape[:-1], -1)


class _Block:
    """One decoder block on one new token per row; keys and values are (rows, heads, positions, width)."""

    def __init__(
        self,
        block: ResidualAttentionBlock,
        own: KeyValues,
        cross: KeyValues,
        *,
        n_steps: int,
        note: Callable[[Floats], None] | None,
    ) -> None:
        self._note = note
        self._attn, self._attn_ln = _Attention(block.attn), Norm(block.attn_ln)
        self._cross, self._cross_ln = _Attention(block.cross_attn), Norm(block.cross_attn_ln)
        self._mlp1, self._mlp2, self._mlp_ln = Linear(block.mlp1), Linear(block.mlp2), Norm(block.mlp_ln)
        n_head = block.attn.n_head
        n_room = own[0].shape[1] + n_steps
        self._keys, self._values = (_split_heads(view(part), n_head, n_room) for part in own)
        self._cross_keys, self._cross_values = (_split_heads(view(part), n_head) for part in cross)

    def __call__(self, x: Floats, position: int) -> Floats:
        h = self._attn_ln(x)
        rows, n_head, _, width = self._keys.shape
        self._keys[:, :, position] = self._attn.key(h).reshape(rows, n_head, width)
        self._values[:, :, position] = self._attn.value(h).reshape(rows, n_head, width)
        attended, _ = self._attn(h, self._keys[:, :, : position + 1], self._values[:, :, : position + 1])
        x = x + attended
        attended, shares = self._cross(self._cross_ln(x), self._cross_keys, self._cross_values)
        if self._note is not None:
            self._note(shares)
        x = x + attended
        return x + self._mlp2(gelu(self._mlp1(self._mlp_ln(x))))

    def keep(self, rows: list[int]) -> None:
        self._keys, self._values = self._keys[rows], self._values[rows]
        self._cross_keys, self._cross_values = self._cross_keys[rows], self._cross_values[rows]


class _Attention:
    def __init__(self, attention: MultiHeadAttention) -> None:
        self.key, self.value = Linear(attention.key), Linear(attention.value)
        self._query, self._out = Linear(attention.query), Linear(attention.out)

    def __call__(self, x: Floats, keys: Floats, values: Floats) -> tuple[Floats, Floats]:
        """What is attended to, and the shares, (rows, heads, 1, positions)."""
        rows, n_head, _, width = keys.shape
        query = (self._query(x) * width**-0.5).reshape(rows, n_head, 1, width)
        scores = query @ keys.transpose(0, 1, 3, 2)  # (rows, heads, 1, positions)
        shares = np.exp(scores - scores.max(axis=-1, keepdims=True))
        shares /= shares.sum(axis=-1, keepdims=True)
        return self._out((shares @ values).reshape(rows, n_head * width)), shares


def _split_heads(array: Floats, n_head: int, n_room: int | None = None) -> Floats:
    """(rows, positions, state) to (rows, heads, positions or room, width), laid out so that products need no copy."""
    rows, n_positions, n_state = array.shape
    split = np.empty((rows, n_head, n_room or n_positions, n_state // n_head), np.float32)
    split[:, :, :n_positions] = array.reshape(rows, n_positions, n_head, -1).transpose(0, 2, 1, 3)
    return split


def _rows(pair: KeyValues | None, index: mx.array) -> KeyValues | None:
    return None if pair is None else (pair[0][index], pair[1][index])
