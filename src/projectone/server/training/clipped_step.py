"""Clipping and AdamW as one update: on a CPU a block of numbers at a time, elsewhere as they are written in `adamw`.

Written out plainly, an update reads and writes the weights, gradients and moments some twenty times, and at
whisper-tiny's size that is a third of a step. Here a block of all four goes through a core's second-level cache once.
The moments are arrays of numpy between the steps: mlx has no way to make an array without filling it first, and filling
one takes as long as the update. `put_down` makes them mlx's again.

Weights and moments agree with the plain form to the rounding of float32; the length of the gradients is summed in
float64 and so does not hang on the order of the names.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import cast

import mlx.core as mx
import numpy as np
import numpy.typing as npt

from projectone.server.training.adamw import AdamW, Tensors, clip_by_global_norm

Array = npt.NDArray[np.float32]
Moments = tuple[Tensors, Tensors]

# Numbers at a time: six such blocks stay in a core's second-level cache.
_BLOCK = 32_768


@dataclass(frozen=True)
class ClippedAdamW:
    """An update, as the loop wants one.

    Attributes:
        optimiser: Betas, epsilon and decay.
        limit: The gradients are scaled down together if they are longer.
    """

    optimiser: AdamW
    limit: float

    def __call__(
        self,
        weights: Mapping[str, mx.array],
        gradients: Mapping[str, mx.array],
        moments: Moments,
        learning_rate: float,
        n_done: int,
    ) -> tuple[Tensors, Moments, mx.array]:
        """New weights and moments, evaluated, and the length of the gradients before; nothing given is changed.

        Args:
            weights: By name.
            gradients: By the same names.
            moments: Of the last step, or `zeros`; see `put_down`.
            learning_rate: Of this step.
            n_done: Steps before this one.
        """
        if mx.default_device().type == mx.cpu and all(weight.dtype == mx.float32 for weight in weights.values()):
            return _in_blocks(self.optimiser, weights, gradients, moments, self.limit, learning_rate, n_done)
        clipped, norm = clip_by_global_norm(gradients, self.limit)
        new, moved = self.optimiser.step(weights, clipped, moments, learning_rate=learning_rate, n_done=n_done)
        mx.eval(norm, new, moved)
        return new, moved, norm


def put_down(tensors: Tensors) -> Tensors:
    """Weights or moments of a `ClippedAdamW` as arrays of mlx, whatever they were."""
    return {name: mx.array(x) if isinstance(x, np.ndarray) else x for name, x in tensors.items()}


def _in_blocks(
    optimiser: AdamW,
    weights: Mapping[str, mx.array],
    gradients: Mapping[str, mx.array],
    moments: Moments,
    limit: float,
    learning_rate: float,
    n_done: int,
) -> tuple[Tensors, Moments, mx.array]:
    norm = _length(gradients)
    # Not a number where the length is none: the loop sees the length and returns to a checkpoint.
    scale = min(limit / (norm + 1e-6), 1.0) if math.isfinite(norm) else math.nan
    root = math.sqrt(1 / (1 - optimiser.beta2 ** (n_done + 1)))
    scales = _Scales(
        betas=(np.float32(optimiser.beta1), np.float32(optimiser.beta2)),
        first=np.float32((1 - optimiser.beta1) * scale),
        second=np.float32((1 - optimiser.beta2) * scale * scale),
        epsilon=np.float32(optimiser.epsilon / root),
        rate=np.float32(learning_rate / (1 - optimiser.beta1 ** (n_done + 1)) / root),
    )
    decay = 1 - learning_rate * optimiser.weight_decay
    made: Tensors = {}
    firsts: dict[str, Array] = {}
    seconds: dict[str, Array] = {}
    for name, weight in weights.items():
        # Decayed copies, which the blocks then complete in place.
        made[name] = weight * (decay if weight.ndim > 1 else 1.0)
        mx.eval(made[name], gradients[name])
        firsts[name], seconds[name] = np.empty((2, *weight.shape), np.float32)
        before = (np.asarray(x[name]) for x in (gradients, *moments))
        after = (firsts[name], seconds[name], np.asarray(made[name]))
        scales.complete(*(x.reshape(-1) for x in (*before, *after)))
    return made, cast(Moments, (firsts, seconds)), mx.array(norm, mx.float32)


def _length(gradients: Mapping[str, mx.array]) -> float:
    squares = []
    for gradient in gradients.values():
        flat = np.asarray(gradient).reshape(-1)
        squares += [np.einsum("i,i->", block, block) for block in _blocks(flat)]
    return math.sqrt(math.fsum(squares)) if np.isfinite(squares).all() else math.nan


def _blocks(flat: Array) -> list[Array]:
    return [flat[start : start + _BLOCK] for start in range(0, flat.size, _BLOCK)]


class _Scales:
    """What the blocks of a step are multiplied with; the corrections of the moments' beginnings are folded in."""

    def __init__(
        self,
        *,
        betas: tuple[np.float32, np.float32],
        first: np.float32,
        second: np.float32,
        epsilon: np.float32,
        rate: np.float32,
    ) -> None:
        self._betas, self._first, self._second, self._epsilon, self._rate = betas, first, second, epsilon, rate
        self._spare = np.empty((2, _BLOCK), np.float32)

    def complete(self, gradient: Array, *arrays: Array) -> None:
        """Fill new moments, and subtract what follows from them from decayed weights, in place.

        Args:
            gradient: Flat, as are the others.
            arrays: First and second moments before; the same after, to be filled; weights that are decayed already.
        """
        # Numbers that are not finite are the loop's business, after the step.
        with np.errstate(all="ignore"):
            for g, old_f, old_s, f, s, w in zip(*map(_blocks, (gradient, *arrays)), strict=True):
                one, other = self._spare[:, : g.size]
                np.multiply(old_f, self._betas[0], out=f)
                f += np.multiply(g, self._first, out=one)
                np.multiply(g, g, out=other)
                other *= self._second
                np.multiply(old_s, self._betas[1], out=s)
                s += other
                np.sqrt(s, out=other)
                other += self._epsilon
                np.divide(f, other, out=one)
                one *= self._rate
                w -= one
