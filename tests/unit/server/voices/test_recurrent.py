"""LSTM layers compute what their formulas say, both ways, for many sequences at once."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from projectone.server.voices.recurrent import Direction, Lstm, read_layers

Float32 = npt.NDArray[np.float32]
WIDTH, SIZE = 3, 2


def a_direction(random: np.random.Generator, width: int = WIDTH) -> Direction:
    shapes = (4 * SIZE, width), (4 * SIZE, SIZE), (4 * SIZE,)
    inputs, states, bias = (random.standard_normal(shape).astype(np.float32) for shape in shapes)
    return inputs, states, bias


def by_the_formulas(sequence: Float32, direction: Direction) -> Float32:
    """One sequence, one step after the other, with sigmoids as sigmoids."""
    inputs, states, bias = (part.astype(np.float64) for part in direction)
    state, cell, found = np.zeros(SIZE), np.zeros(SIZE), []
    for step in sequence:
        gates = inputs @ step + states @ state + bias
        opened, forgot, shown = (1 / (1 + np.exp(-gates[k * SIZE : (k + 1) * SIZE])) for k in (0, 1, 3))
        cell = forgot * cell + opened * np.tanh(gates[2 * SIZE : 3 * SIZE])
        state = shown * np.tanh(cell)
        found.append(state)
    return np.array(found, np.float32)


def test_a_layer_gives_what_the_formulas_give_in_both_directions() -> None:
    random = np.random.default_rng(1)
    forward, backward = a_direction(random), a_direction(random)
    sequences = random.standard_normal((4, 7, WIDTH)).astype(np.float32)
    found = Lstm([forward, backward])(sequences)
    for sequence, states in zip(sequences, found, strict=True):
        np.testing.assert_allclose(states[:, :SIZE], by_the_formulas(sequence, forward), atol=1e-5)
        np.testing.assert_allclose(states[::-1, SIZE:], by_the_formulas(sequence[::-1], backward), atol=1e-5)


def test_layers_are_read_from_a_row_of_numbers_weights_first() -> None:
    random = np.random.default_rng(2)
    layers = [[a_direction(random, width) for _ in range(2)] for width in (WIDTH, 2 * SIZE)]
    weights = [part.ravel() for pair in layers for direction in pair for part in direction[:2]]
    # PyTorch keeps two biases and adds them.
    biases = [part for pair in layers for direction in pair for part in (direction[2] - 1, np.ones_like(direction[2]))]
    flat = np.concatenate([*weights, *biases]).astype(np.float32)
    sequences = random.standard_normal((2, 5, WIDTH)).astype(np.float32)
    read, made = sequences, sequences
    for layer in read_layers(flat, WIDTH, SIZE, n_layers=2, n_directions=2):
        read = layer(read)
    for pair in layers:
        made = Lstm(pair)(made)
    np.testing.assert_allclose(read, made, atol=1e-5)
