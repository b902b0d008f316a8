"""Attention on a CPU a block of scores at a time, so that the scores stay in a core's second-level cache.

Written out plainly, a window of 1,500 positions makes 54 MB of scores in every block of whisper-tiny, and value and
gradient read and write them a dozen times. Here their exponentials are made, summed and used while they are near. For
the gradient they are kept if they are few, and made again if they are many; what is subtracted from a row of slopes
rides along in the matrix product as one more dimension.
Source of the idea: Dao et al., 2022 (FlashAttention); here rows are whole, so no sums need mending on the way.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

import mlx.core as mx
import numpy as np

from projectone.speech.kernels import Floats

# Numbers in a block of scores. Two such blocks stay near a core; smaller ones make thin products, which take longer.
_BLOCK = 393_216
# Below this many, going through numpy costs more than it saves.
_FEWEST_SCORES = 500_000
# Up to so many exponentials are kept for the gradient: those of one whole window in whisper-base, 80 MB.
_MOST_KEPT = 20_000_000
# Bytes: rows that lie multiples of this apart share few places of a core's first cache, so columns are read slowly.
_NEAR_MISS = 2048
# A row's sum of exponentials in this range has neither overflowed nor lost anything, whatever its highest score.
_LEAST_SUM, _LARGEST_SUM = 1e-20, 1e30

Place = tuple[int, slice, slice]


@dataclass(frozen=True)
class Kept:
    """What the gradient needs besides what goes in and comes out.

    Attributes:
        shares: One over each row's sum of exponentials, (batch, heads, tokens).
        lowered: What was subtracted from a row's scores before; None if nothing was.
        exponentials: Of the scores, (batch, heads, tokens, positions); None if they are too many.
        turned: The keys, (batch, heads, width, positions).
    """

    shares: Floats
    lowered: Floats | None
    exponentials: Floats | None
    turned: Floats

    def exponentials_of(self, here: Place, query: Floats) -> Floats:
        """Those of a block, made again if they were not kept."""
        if self.exponentials is not None:
            return self.exponentials[here]
        lowered = None if self.lowered is None else self.lowered[here]
        return _exponentials(query[here], self.turned[here[:2]], lowered)


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
    all_kept: list[Kept] = []

    def attended(*given: mx.array) -> mx.array:
        out = np.empty(query.shape, np.float32)
        q, k, v = _heads_of(given, n_head)
        all_kept.append(attended_heads(q, k, v, heads(out, n_head)))
        return mx.array(out)

    def gradients(primals: tuple[mx.array, ...], cotangent: mx.array, output: mx.array) -> tuple[mx.array, ...]:
        slopes = [np.empty(primal.shape, np.float32) for primal in primals]
        parts = _heads_of((*primals, output, cotangent), n_head)
        attended_slopes(*parts, kept=all_kept[-1], slopes=[heads(slope, n_head) for slope in slopes])
        return tuple(map(mx.array, slopes))

    function = mx.custom_function(attended)
    function.vjp(gradients)
    result: mx.array = function(query, keys, values)
    return result


def heads(x: Floats, n_head: int) -> Floats:
    """(batch, positions, state) as (batch, heads, positions, width), without a copy."""
    batch, n_positions, n_state = x.shape
    return x.reshape(batch, n_positions, n_head, n_state // n_head).swapaxes(1, 2)


def attended_heads(query: Floats, keys: Floats, values: Floats, out: Floats, *, has_gradient: bool = True) -> Kept:
    """Write to `out` what each head gathers, (batch, heads, tokens, width).

    Args:
        query: (batch, heads, tokens, width), scaled already.
        keys: (batch, heads, positions, width).
        values: (batch, heads, positions, width).
        out: Of the shape of `query`.
        has_gradient: Whether `attended_slopes` will follow.
    """
    shape = (*query.shape[:3], keys.shape[2])
    exponentials = np.empty(shape, np.float32) if has_gradient and math.prod(shape) <= _MOST_KEPT else None
    shares, lowered = np.zeros((2, *shape[:3]), np.float32)
    # With a one beside each value, the product gathers the sum of a row's exponentials, too.
    turned, counted = _turned(keys), np.ones((*values.shape[:3], values.shape[3] + 1), np.float32)
    counted[..., :-1] = values
    for here in _blocks(shape):
        there = here[:2]
        room = None if exponentials is None else exponentials[here]
        with np.errstate(over="ignore", invalid="ignore"):  # what overflows here is lowered below
            gathered = _exponentials(query[here], turned[there], None, room) @ counted[there]
        total = gathered[..., -1]
        if not (total.min() > _LEAST_SUM and total.max() < _LARGEST_SUM):
            lowered[here] = (query[here] @ turned[there]).max(axis=-1)
            gathered = _exponentials(query[here], turned[there], lowered[here], room) @ counted[there]
        shares[here] = 1 / gathered[..., -1]
        np.multiply(gathered[..., :-1], shares[here][..., None], out=out[here])
    return Kept(shares, lowered if lowered.any() else None, exponentials, turned)


def attended_slopes(
    query: Floats, keys: Floats, values: Floats, out: Floats, cotangent: Floats, *, kept: Kept, slopes: list[Floats]
) -> None:
    """Write to `slopes` the gradients of `attended_heads` with respect to query, keys and values.

    Args:
        query: As it went in, and so on.
        keys: As above.
        values: As above.
        out: What came out.
        cotangent: The gradient with respect to that.
        kept: What `attended_heads` gave.
        slopes: Three to be filled, in the shapes of query, keys and values.
    """
    query_slope, keys_slope, values_slope = slopes
    shape = (*query.shape[:3], keys.shape[2])
    # One more dimension each: the product below comes out with what `along` says subtracted.
    given = np.empty((*query.shape[:3], query.shape[3] + 1), np.float32)
    scaled = np.multiply(cotangent, kept.shares[..., None], out=given[..., :-1])
    given[..., -1] = -np.einsum("bhtw,bhtw->bht", scaled, out)
    turned_values = _turned(values, n_more=1)
    # Where a head comes in several blocks, their products are summed in one piece: sums in places apart take long.
    sums = np.empty((2, 1, *keys.shape[2:]), np.float32) if shape[2] * shape[3] > _BLOCK else None
    for here in _blocks(shape):
        there, is_first = here[:2], here[2].start == 0
        of_keys, of_values = (keys_slope[there], values_slope[there]) if sums is None else sums
        weights = kept.exponentials_of(here, query)
        slope = given[here] @ turned_values[there]
        slope *= weights
        np.matmul(slope, keys[there], out=query_slope[here])
        _add_product(weights.swapaxes(1, 2), scaled[here], of_values, is_first=is_first)
        _add_product(slope.swapaxes(1, 2), query[here], of_keys, is_first=is_first)
        if sums is not None and here[2].stop >= shape[2]:
            keys_slope[there], values_slope[there] = sums


def _heads_of(arrays: tuple[mx.array, ...], n_head: int) -> list[Floats]:
    return [heads(np.asarray(x), n_head) for x in arrays]


def _turned(x: Floats, n_more: int = 0) -> Floats:
    """(batch, heads, positions, width) to (batch, heads, width, positions) in one piece, and so many rows of ones."""
    batch, n_head, n_positions, width = x.shape
    if x.strides[2] % _NEAR_MISS == 0:
        x = np.ascontiguousarray(x)
    made = np.empty((batch, n_head, width + n_more, n_positions), np.float32)
    made[:, :, :width], made[:, :, width:] = x.swapaxes(2, 3), 1
    return made


def _exponentials(query: Floats, turned: Floats, lowered: Floats | None, out: Floats | None = None) -> Floats:
    scores: Floats = np.matmul(query, turned, out=out)
    if lowered is not None:
        scores -= lowered[..., None]
    with np.errstate(over="ignore"):  # the sums will tell
        return np.exp(scores, out=scores)


def _add_product(left: Floats, right: Floats, total: Floats, *, is_first: bool) -> None:
    if is_first:
        np.matmul(left, right, out=total)
    else:
        total += left @ right


def _blocks(shape: tuple[int, ...]) -> Iterator[Place]:
    """A clip, heads, and rows of them: several whole heads, or some rows of one."""
    batch, n_heads, n_tokens, n_positions = shape
    n_at_once = max(1, _BLOCK // (n_tokens * n_positions))
    step = max(1, _BLOCK // n_positions)
    for clip in range(batch):
        for first in range(0, n_heads, n_at_once):
            for start in range(0, n_tokens, step):
                yield clip, slice(first, first + n_at_once), slice(start, start + step)
