"""Clipping and AdamW as one update: on a CPU a block of numbers at a time, elsewhere as they are written in `adamw`.

Written out plainly, an update reads and writes the weights, gradients and moments some twenty times, and at
whisper-tiny's size that is a third of a step. Here a block of all four goes through a core's caches once.
mlx has no way to make an array without filling it first, which takes as long as a third of the update: so the new
weights take the place of the gradients, of which nobody has any further use, and the moments are arrays of numpy
between the steps. `put_down` makes them mlx's again.

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

# Numbers at a time. Eight such blocks stay near a core; smaller ones cost more calls than they save ways.
_BLOCK = 131_072


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
        """New weights and moments, evaluated, and the length of the gradients before.

        Args:
            weights: By name; unchanged, as the moments are.
            gradients: By the same names. They are used up: on a CPU the new weights lie where they lay.
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
    places = _separate(gradients)
    norm = _length(places)
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
    made = {name: places[name] for name in weights}
    firsts: dict[str, Array] = {}
    seconds: dict[str, Array] = {}
    for name, weight in weights.items():
        firsts[name], seconds[name] = np.empty((2, *weight.shape), np.float32)
        before = (np.asarray(x[name]) for x in (weights, *moments))
        after = (np.asarray(made[name]), firsts[name], seconds[name])
        scales.complete(decay if weight.ndim > 1 else 1.0, *(x.reshape(-1) for x in (*before, *after)))
    return made, cast(Moments, (firsts, seconds)), mx.array(norm, mx.float32)


def _separate(gradients: Mapping[str, mx.array]) -> Tensors:
    """The gradients, each in one piece and in a place of its own, to be written to; copies of those that are not."""
    whole = {name: mx.contiguous(gradient) for name, gradient in gradients.items()}
    mx.eval(whole)
    ends = 0
    for start, name in sorted((_address(gradient), name) for name, gradient in whole.items()):
        gradient = whole[name]
        if start < ends:
            whole[name] = mx.array(np.array(gradient))
        ends = max(ends, start + gradient.nbytes)
    return whole


def _address(x: mx.array) -> int:
    return int(np.asarray(x).__array_interface__["data"][0])


def _length(gradients: Mapping[str, mx.array]) -> float:
    squares = []
    for gradient in gradients.values():
        flat = np.asarray(gradient).reshape(-1)
        squares += [np.dot(block, block) for block in _blocks(flat)]
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

    def complete(self, decay: float, *arrays: Array) -> None:
        """Fill new moments, and put new weights in the place of a gradient.

        Args:
            decay: What is left of a weight, whatever its gradient.
            arrays: Weights, first and second moments before; the gradient; the moments after. All of them flat.
        """
        left = np.float32(decay)
        # Numbers that are not finite are the loop's business, after the step.
        with np.errstate(all="ignore"):
            for w, old_f, old_s, g, f, s in zip(*map(_blocks, arrays), strict=True):
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
                np.multiply(w, left, out=g)
                g -= one
