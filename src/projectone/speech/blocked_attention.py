"""Attention on a CPU a block of scores at a time, so that the scores stay in a core's second-level cache.

Written out plainly, a window of 1,500 positions makes 54 MB of scores in every block of whisper-tiny, and value and
gradient read and write them a dozen times. Here they are made, used, and made again for the gradient, which takes three
passes instead: what is subtracted from a row of scores rides along in the matrix product as one more dimension.
Source of the idea: Dao et al., 2022 (FlashAttention); here rows are whole, so no sums need mending on the way.
"""

from __future__ import annotations

from collections.abc import Iterator

import mlx.core as mx
import numpy as np

from projectone.speech.kernels import Floats

# Numbers in a block of scores; two such blocks fit into the two megabytes of a core. Smaller ones make thin products.
_BLOCK = 262_144
# Below this many, going through numpy costs more than it saves.
_FEWEST_SCORES = 500_000


def suits(query: mx.array, keys: mx.array, n_head: int) -> bool:
    """Whether `attend` takes these, and faster than mlx: float32 on a CPU, as many rows as keys, and enough of them."""
    n_scores = query.shape[0] * n_head * query.shape[1] * keys.shape[1]
    is_alike = bool(query.shape[0] == keys.shape[0] and query.dtype == keys.dtype == mx.float32)
    return is_alike and n_scores >= _FEWEST_SCORES and mx.default_device().type == mx.cpu


def attend(query: mx.array, keys: mx.array, values: mx.array, n_head: int) -> mx.array:
    """``softmax(query @ keys.T) @ values`` for each head, with its gradients.

    Args:
        query: (batch, tokens, state), float32, scaled already.
        keys: (batch, positions, state), float32.
        values: (batch, positions, state), float32.
        n_head: Heads that share the state.

    Returns:
        (batch, tokens, state).
    """
    n_rows = query.shape[0]

    def attended(*given: mx.array) -> tuple[mx.array, mx.array]:
        out, levels = attended_heads(*(heads(np.asarray(x), n_head) for x in given))
        return mx.array(joined(out, n_rows)), mx.array(levels)

    def gradients(
        primals: tuple[mx.array, ...], cotangents: tuple[mx.array, ...], outputs: tuple[mx.array, ...]
    ) -> tuple[mx.array, ...]:
        parts = (heads(np.asarray(x), n_head) for x in (*primals, outputs[0], cotangents[0]))
        slopes = attended_slopes(*parts, levels=np.asarray(outputs[1]))
        return tuple(mx.array(joined(slope, n_rows)) for slope in slopes)

    function = mx.custom_function(attended)
    function.vjp(gradients)
    result: mx.array = function(query, keys, values)[0]
    return result


def heads(x: Floats, n_head: int) -> Floats:
    """(batch, positions, state) to (batch * heads, positions, width), each head in one piece."""
    batch, n_positions, n_state = x.shape
    split = x.reshape(batch, n_positions, n_head, n_state // n_head).transpose(0, 2, 1, 3)
    return np.ascontiguousarray(split).reshape(batch * n_head, n_positions, n_state // n_head)


def joined(x: Floats, batch: int) -> Floats:
    """The inverse of `heads`."""
    n_heads, n_positions, width = x.shape
    split = x.reshape(batch, n_heads // batch, n_positions, width).transpose(0, 2, 1, 3)
    return np.ascontiguousarray(split).reshape(batch, n_positions, -1)


def attended_heads(query: Floats, keys: Floats, values: Floats) -> tuple[Floats, Floats]:
    """What each head gathers, (heads, tokens, width), and the logarithm of each token's sum of exponentials.

    Args:
        query: (heads, tokens, width), scaled already.
        keys: (heads, positions, width).
        values: (heads, positions, width).
    """
    out = np.empty_like(query)
    levels = np.empty(query.shape[:2], np.float32)
    for some, rows in _blocks(query, keys):
        scores = query[some, rows] @ keys[some].transpose(0, 2, 1)
        highest = scores.max(axis=-1, keepdims=True)
        scores -= highest
        np.exp(scores, out=scores)
        total = scores.sum(axis=-1, keepdims=True)
        gathered = np.matmul(scores, values[some], out=out[some, rows])
        gathered /= total
        levels[some, rows] = (highest + np.log(total))[:, :, 0]
    return out, levels


def attended_slopes(
    query: Floats, keys: Floats, values: Floats, out: Floats, cotangent: Floats, *, levels: Floats
) -> tuple[Floats, Floats, Floats]:
    """Gradients of `attended_heads` with respect to query, keys and values, from those of what it gave."""
    query_slope, keys_slope, values_slope = np.empty_like(query), np.zeros_like(keys), np.zeros_like(values)
    along = np.einsum("htw,htw->ht", cotangent, out)
    # One more dimension each: the products below come out with the row's level, or `along`, subtracted.
    keys_and_one, values_and_one = (_and_one(x).transpose(0, 2, 1) for x in (keys, values))
    query_and_level = np.concatenate([query, -levels[:, :, None]], axis=-1)
    cotangent_and_along = np.concatenate([cotangent, -along[:, :, None]], axis=-1)
    for some, rows in _blocks(query, keys):
        weights = query_and_level[some, rows] @ keys_and_one[some]
        np.exp(weights, out=weights)
        values_slope[some] += weights.transpose(0, 2, 1) @ cotangent[some, rows]
        slope = cotangent_and_along[some, rows] @ values_and_one[some]
        slope *= weights
        np.matmul(slope, keys[some], out=query_slope[some, rows])
        keys_slope[some] += slope.transpose(0, 2, 1) @ query[some, rows]
    return query_slope, keys_slope, values_slope


def _and_one(x: Floats) -> Floats:
    return np.concatenate([x, np.ones((*x.shape[:2], 1), np.float32)], axis=-1)


def _blocks(query: Floats, keys: Floats) -> Iterator[tuple[slice, slice]]:
    """Heads, and rows of them: several whole heads, or some rows of one."""
    n_heads, n_tokens, n_positions = query.shape[0], query.shape[1], keys.shape[1]
    n_at_once = max(1, _BLOCK // (n_tokens * n_positions))
    step = max(1, _BLOCK // n_positions)
    for first in range(0, n_heads, n_at_once):
        for start in range(0, n_tokens, step):
            yield slice(first, first + n_at_once), slice(start, start + step)
