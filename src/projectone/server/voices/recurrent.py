"""LSTM layers (Hochreiter and Schmidhuber, 1997) in numpy: many sequences of one length at once, one or both ways."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

Float32 = npt.NDArray[np.float32]
Direction = tuple[Float32, Float32, Float32]
"""Weights of what comes in, (4 n, d), and of the state, (4 n, n), and the bias, (4 n,); gates in PyTorch's order."""


class Lstm:
    """One layer.

    Args:
        directions: Forward alone, or forward and backward.
    """

    def __init__(self, directions: Sequence[Direction]) -> None:
        self._size = directions[0][1].shape[1]
        # A sigmoid is a tanh of half its argument: with the halves in the weights, one tanh does for all four gates.
        half = np.full((4, self._size), 0.5, np.float32)
        half[2] = 1.0
        scale = half.reshape(-1)
        self._inputs = np.stack([(inputs * scale[:, None]).T for inputs, _, _ in directions])
        self._states = np.stack([(states * scale[:, None]).T for _, states, _ in directions])
        self._biases = np.stack([bias * scale for _, _, bias in directions])[:, None]

    def __call__(self, sequences: Float32) -> Float32:
        """States at every step, shape (n_sequences, n_steps, n_directions * n), of (n_sequences, n_steps, d)."""
        n_sequences, n_steps, _ = sequences.shape
        n_directions, size = len(self._states), self._size
        fed = np.empty((n_steps, n_directions, n_sequences, 4 * size), np.float32)
        found = np.empty((n_steps, n_directions, n_sequences, size), np.float32)
        steps = sequences.transpose(1, 0, 2)
        for way in range(n_directions):
            flat = np.ascontiguousarray(steps[:: -1 if way else 1]).reshape(n_steps * n_sequences, -1)
            product = flat @ self._inputs[way] + self._biases[way]
            fed[:, way] = product.reshape(n_steps, n_sequences, -1)
        state = np.zeros((n_directions, n_sequences, size), np.float32)
        cell = np.zeros_like(state)
        for step in range(n_steps):
            gates = fed[step]
            gates += state @ self._states
            np.tanh(gates, out=gates)
            opened, forgot, fresh, shown = (gates[..., k * size : (k + 1) * size] for k in range(4))
            cell = 0.5 * ((1.0 + forgot) * cell + (1.0 + opened) * fresh)
            state = 0.5 * (1.0 + shown) * np.tanh(cell)
            found[step] = state
        if n_directions == 2:
            found[:, 1] = found[::-1, 1].copy()
        together: Float32 = found.transpose(2, 0, 1, 3).reshape(n_sequences, n_steps, -1)
        return together


def read_layers(flat: Float32, width: int, size: int, *, n_layers: int, n_directions: int) -> list[Lstm]:
    """Layers whose arrays lie in a row as cuDNN keeps them: all weights, layer by layer, then all biases.

    Args:
        flat: The numbers, shape (n,).
        width: Of what the first layer gets.
        size: Of a state.
        n_layers: One on the other.
        n_directions: 1, or 2 for both ways.
    """
    at = 0

    def take(columns: int) -> Float32:
        nonlocal at
        at += 4 * size * columns
        return flat[at - 4 * size * columns : at].reshape(4 * size, columns)

    widths = [width, *[n_directions * size] * (n_layers - 1)]
    weights = [[(take(wide), take(size)) for _ in range(n_directions)] for wide in widths]
    biases = [[(take(1) + take(1))[:, 0] for _ in range(n_directions)] for _ in widths]
    return [
        Lstm([(inputs, states, bias) for (inputs, states), bias in zip(pairs, added, strict=True)])
        for pairs, added in zip(weights, biases, strict=True)
    ]
