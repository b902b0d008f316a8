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
from projectone.speech.large_pages import move_to_large_pages
from projectone.speech.logit_rules import Scores
from projectone.speech.numpy_layers import Linear, Norm, gelu, is_plain, view
from projectone.speech.thin_products import PackedWeight, thin_product
from projectone.speech.watching import Watch
from projectone.speech.whisper import KeyValues, KvCache, MultiHeadAttention, ResidualAttentionBlock, Whisper

# A batch lays the weights out anew, if it can take so many steps, and they take no more than this. Laying them out
# costs as much as four steps save with eight rows of whisper-tiny, and as twenty-four with two rows of whisper-base.
_FEWEST_STEPS, _MOST_PACKED_ROWS, _MOST_PACKED_BYTES = 24, 32, 300_000_000
# Moving weights to large pages costs as much as some thirty steps save.
_STEPS_BEFORE_MOVING = 32


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
    """Steps through a float32 model whose layers are plain, on views of its weights.

    What reads weights is what takes the time. For a batch they are laid out anew, once; for a single row that goes on
    for long they are moved to large pages.
    """

    def __init__(self, model: Whisper, cache: KvCache, *, n_steps: int, watch: Watch | None = None) -> None:
        decoder = model.decoder
        self._embedding = view(decoder.token_embedding.weight)
        self._positions = view(decoder.positional_embedding)
        caches = [(own, cross) for own, cross in cache if own is not None and cross is not None]
        n_rows, n_positions, n_state = caches[0][1][0].shape
        n_head = decoder.blocks[0].attn.n_head
        # In one piece: numpy lays large arrays on large pages.
        sound = np.empty((len(caches), 2, n_rows, n_head, n_positions, n_state // n_head), np.float32)
        self._weights = [self._embedding, *(view(weight) for block in decoder.blocks for weight in _weights(block))]
        n_bytes = sum(weight.nbytes for weight in self._weights)
        is_packed = 1 < n_rows <= _MOST_PACKED_ROWS and n_steps >= _FEWEST_STEPS and n_bytes <= _MOST_PACKED_BYTES
        packed_rows = n_rows if is_packed else None
        self._scores = (
            PackedWeight(self._embedding, n_rows).product
            if is_packed
            else partial(thin_product, weight=self._embedding)
        )
        self._blocks = [
            _Block(
                block,
                own,
                _split_heads(cross, parts),
                n_steps=n_steps,
                packed_rows=packed_rows,
                note=None if watch is None else partial(watch.note, layer),
            )
            for layer, (block, (own, cross), parts) in enumerate(zip(decoder.blocks, caches, sound, strict=True))
        ]
        self._ln = Norm(decoder.ln)
        self._position = caches[0][0][0].shape[1]
        self._moved_at = None if is_packed else self._position + _STEPS_BEFORE_MOVING

    def step(self, tokens: Sequence[int]) -> Scores:
        """See `Stepper`."""
        if self._position == self._moved_at:
            move_to_large_pages(self._weights)
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
        scores: Scores = self._scores(hidden.reshape(-1, hidden.shape[-1]))
        return scores.reshape(*hidden.shape[:-1], -1)


class _Block:
    """One decoder block on one new token per row; keys and values are (rows, heads, positions, width)."""

    def __init__(
        self,
        block: ResidualAttentionBlock,
        own: KeyValues,
        sound: Floats,
        *,
        n_steps: int,
        packed_rows: int | None,
        note: Callable[[Floats], None] | None,
    ) -> None:
        self._note = note
        self._attn, self._attn_ln = _Attention(block.attn, packed_rows), Norm(block.attn_ln)
        self._cross, self._cross_ln = _Attention(block.cross_attn, packed_rows), Norm(block.cross_attn_ln)
        self._key, self._value = (Linear(part, n_rows=packed_rows) for part in (block.attn.key, block.attn.value))
        self._mlp1, self._mlp2 = (Linear(part, n_rows=packed_rows) for part in (block.mlp1, block.mlp2))
        self._mlp_ln = Norm(block.mlp_ln)
        n_rows, n_before, n_state = own[0].shape
        n_head = block.attn.n_head
        room = np.empty((2, n_rows, n_head, n_before + n_steps, n_state // n_head), np.float32)
        self._keys, self._values = _split_heads(own, room)
        self._cross_keys, self._cross_values = sound

    def __call__(self, x: Floats, position: int) -> Floats:
        h = self._attn_ln(x)
        rows, n_head, _, width = self._keys.shape
        self._keys[:, :, position] = self._key(h).reshape(rows, n_head, width)
        self._values[:, :, position] = self._value(h).reshape(rows, n_head, width)
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
    def __init__(self, attention: MultiHeadAttention, packed_rows: int | None) -> None:
        self._query, self._out = (Linear(part, n_rows=packed_rows) for part in (attention.query, attention.out))

    def __call__(self, x: Floats, keys: Floats, values: Floats) -> tuple[Floats, Floats]:
        """What is attended to, and the shares, (rows, heads, 1, positions)."""
        rows, n_head, _, width = keys.shape
        query = (self._query(x) * width**-0.5).reshape(rows, n_head, 1, width)
        scores = query @ keys.transpose(0, 1, 3, 2)  # (rows, heads, 1, positions)
        shares = np.exp(scores - scores.max(axis=-1, keepdims=True))
        shares /= shares.sum(axis=-1, keepdims=True)
        return self._out((shares @ values).reshape(rows, n_head * width)), shares


def _weights(block: ResidualAttentionBlock) -> list[mx.array]:
    """What a step multiplies by."""
    own, cross = block.attn, block.cross_attn
    linears = (own.query, own.key, own.value, own.out, cross.query, cross.out, block.mlp1, block.mlp2)
    return [linear.weight for linear in linears]


def _split_heads(pair: KeyValues, room: Floats) -> Floats:
    """Keys and values, (rows, positions, state) each, laid into a room so that products need no copy.

    Args:
        pair: Keys and values.
        room: (2, rows, heads, positions or more, width).
    """
    for array, place in zip(map(view, pair), room, strict=True):
        n_rows, n_positions, _ = array.shape
        place[:, :, :n_positions] = array.reshape(n_rows, n_positions, place.shape[1], -1).transpose(0, 2, 1, 3)
    return room


def _rows(pair: KeyValues | None, index: mx.array) -> KeyValues | None:
    return None if pair is None else (pair[0][index], pair[1][index])
