"""AdamW on flat dictionaries of tensors: no hidden state, so that all of it can be written down and read back.

Why nothing of a step is compiled on a CPU (mlx 0.32.4, the starter's size, CPU seconds on one thread): mlx refuses to
compile through the numpy forms of `speech/ops.py` ("attempting to eval an array during function transformations");
with mlx's own operations in their place, compiled and plain gradients are equal to the bit and equally slow (0.43 and
0.42; with the numpy forms 0.31). This update alone comes out equal to the bit and faster (0.024 for 0.069, a twelfth of
a step) - but compiling needs a C++ compiler on the machine that trains, and that a run ends in the same bits must not
hang on whether there is one.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import mlx.core as mx

Tensors = dict[str, mx.array]


@dataclass(frozen=True, kw_only=True)
class AdamW:
    """Decoupled weight decay (Loshchilov and Hutter, 2019). Vectors are not decayed.

    Attributes:
        square_root: Element by element, in the library whose arrays are given to `step`.
    """

    weight_decay: float = 0.01
    # Whisper's own: a short memory of the squared gradient follows fast changes at the start.
    beta1: float = 0.9
    beta2: float = 0.98
    epsilon: float = 1e-6
    square_root: Callable[[mx.array], mx.array] = mx.sqrt

    def zeros(self, weights: Mapping[str, mx.array]) -> tuple[Tensors, Tensors]:
        """First and second moments before the first step."""
        return ({n: mx.zeros_like(w) for n, w in weights.items()}, {n: mx.zeros_like(w) for n, w in weights.items()})

    def step(
        self,
        weights: Mapping[str, mx.array],
        gradients: Mapping[str, mx.array],
        moments: tuple[Tensors, Tensors],
        *,
        learning_rate: float,
        n_done: int,
    ) -> tuple[Tensors, tuple[Tensors, Tensors]]:
        """New weights and moments; nothing that was given is changed.

        Args:
            weights: By name.
            gradients: By the same names.
            moments: Of the last step, or `zeros`.
            learning_rate: Of this step.
            n_done: Steps before this one.
        """
        new_weights: Tensors = {}
        firsts: Tensors = {}
        seconds: Tensors = {}
        first_scale = 1 / (1 - self.beta1 ** (n_done + 1))
        second_scale = 1 / (1 - self.beta2 ** (n_done + 1))
        for name, weight in weights.items():
            gradient = gradients[name]
            first = self.beta1 * moments[0][name] + (1 - self.beta1) * gradient
            second = self.beta2 * moments[1][name] + (1 - self.beta2) * gradient * gradient
            update = (first * first_scale) / (self.square_root(second * second_scale) + self.epsilon)
            kept = weight * (1 - learning_rate * self.weight_decay) if weight.ndim > 1 else weight
            new_weights[name] = kept - learning_rate * update
            firsts[name], seconds[name] = first, second
        return new_weights, (firsts, seconds)


def global_norm(gradients: Mapping[str, mx.array]) -> mx.array:
    """Length of all gradients as one vector."""
    # By name: a dictionary read back from disk has another order, and a sum in another order has other last bits.
    squares = [(gradients[name] * gradients[name]).sum() for name in sorted(gradients)]
    return mx.sqrt(mx.stack(squares).sum())


def clip_by_global_norm(gradients: Mapping[str, mx.array], limit: float) -> tuple[Tensors, mx.array]:
    """The gradients, scaled down together if they are longer than `limit`, and their length before."""
    norm = global_norm(gradients)
    scale = mx.minimum(limit / (norm + 1e-6), 1.0)
    return {name: gradient * scale for name, gradient in gradients.items()}, norm


def learning_rate_at(step: int, *, n_steps: int, highest: float, warmup_share: float) -> float:
    """Linear rise over the first share of the steps, then a linear fall that would reach zero after the last."""
    n_warmup = round(n_steps * warmup_share)
    if step < n_warmup:
        return highest * (step + 1) / n_warmup
    return highest * (n_steps - step) / max(1, n_steps - n_warmup)
