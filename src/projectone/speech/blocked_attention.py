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
import numpy.typing as npt

Array = npt.NDArray[np.float32]

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

    def attended(query: mx.array, keys: mx.array, values: mx.array) -> tuple[mx.array, mx.array]:
        batch, n_tokens, _ = query.shape
        out = np.empty(query.shape, np.float32)
        levels = np.empty((batch * n_head, n_tokens), np.float32)
        parts = (np.asarray(query), np.asarray(keys), np.asarray(values), out)
        for level, q, k, v, o in zip(levels, *(_heads(x, n_head) for x in parts), strict=True):
            for rows in _rows(n_tokens, k.shape[0]):
                level[rows] = _forward(q[rows], k, v, o[rows])
        return mx.array(out), mx.array(levels)

    def gradients(
        primals: tuple[mx.array, ...], cotangents: tuple[mx.array, ...], outputs: tuple[mx.array, ...]
    ) -> tuple[mx.array, ...]:
        slopes = [np.zeros(x.shape, np.float32) for x in primals]
        parts = (*map(np.asarray, primals), np.asarray(outputs[0]), np.asarray(cotangents[0]), *slopes)
        for level, q, k, v, o, c, *into in zip(
            np.asarray(outputs[1]), *(_heads(x, n_head) for x in parts), strict=True
        ):
            _backward(q, k, v, o, c, level, into)
        return tuple(mx.array(slope) for slope in slopes)

    function = mx.custom_function(attended)
    function.vjp(gradients)
    result: mx.array = function(query, keys, values)[0]
    return result


def _heads(x: Array, n_head: int) -> Iterator[Array]:
    """Views (positions, head state) of every example's heads, in order."""
    for example in x.reshape(x.shape[0], x.shape[1], n_head, -1):
        yield from example.transpose(1, 0, 2)


def _rows(n_tokens: int, n_positions: int) -> Iterator[slice]:
    step = max(1, _BLOCK // n_positions)
    return (slice(start, start + step) for start in range(0, n_tokens, step))


def _forward(query: Array, keys: Array, values: Array, out: Array) -> Array:
    """Fill `out`; gives the logarithm of the sum of each row's exponentials."""
    scores = query @ keys.T
    highest = scores.max(axis=-1, keepdims=True)
    scores -= highest
    np.exp(scores, out=scores)
    total = scores.sum(axis=-1, keepdims=True)
    np.matmul(scores, values, out=out)
    out /= total
    level: Array = (highest + np.log(total))[:, 0]
    return level


def _backward(
    query: Array, keys: Array, values: Array, out: Array, cotangent: Array, level: Array, into: list[Array]
) -> None:
    """Fill the slopes of query, keys and values, which begin at zero."""
    query_slope, keys_slope, values_slope = into
    along = np.einsum("ts,ts->t", cotangent, out)
    # One more dimension each: the products below come out with the row's level, or `along`, subtracted.
    ones = np.ones((keys.shape[0], 1), np.float32)
    keys_and_one, values_and_one = np.hstack([keys, ones]).T, np.hstack([values, ones]).T
    query_and_level = np.hstack([query, -level[:, None]])
    cotangent_and_along = np.hstack([cotangent, -along[:, None]])
    for rows in _rows(query.shape[0], keys.shape[0]):
        weights = query_and_level[rows] @ keys_and_one
        np.exp(weights, out=weights)
        values_slope += weights.T @ cotangent[rows]
        slope = cotangent_and_along[rows] @ values_and_one
        slope *= weights
        np.matmul(slope, keys, out=query_slope[rows])
        keys_slope += slope.T @ query[rows]
