"""Matrix products in eight bits: whole numbers times whole numbers, summed exactly in 32 bits.

Weights are quantised once, each output channel by a scale of its own; activations as they come, each row by a scale
of its own, so that a row's result does not depend on the rows beside it. Both are symmetric: zero stays zero.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

import numpy as np

from projectone.speech.kernels import Floats
from projectone.speech.onnx_graphs import Graph
from projectone.speech.onnx_messages import FLOAT, UNSIGNED, Array

LIMIT = 127
# Without VNNI, x86 adds two products in 16 bits and cuts off what is larger: a bit less in the weights, and nothing is.
_SHORT_LIMIT = 63
# Activations are stored with 128 added: kernels want an unsigned side.
_ZERO = np.uint8(128)
_SMALLEST = np.float32(1e-30)
# Rows that are quantised, and laid on their side, while a core's own memory holds them.
_AT_ONCE = 64


@dataclass(frozen=True)
class Codes:
    """Quantised rows as values of a graph: whole numbers, and what one stands for, (rows, 1)."""

    whole: str
    scales: str


def quantise_weight(weight: Floats, limit: int = LIMIT) -> tuple[Array, Floats]:
    """The whole numbers nearest to a matrix (out, in), and their scale for each output channel, (out,).

    Args:
        weight: The matrix.
        limit: The largest magnitude of a whole number.
    """
    n_out, n_in = weight.shape
    # As kernels want it: (in, out) in memory.
    whole, scales = np.empty((n_in, n_out), np.int8), np.empty(n_out, np.float32)
    for first in range(0, n_out, _AT_ONCE):
        rows = slice(first, first + _AT_ONCE)
        scales[rows] = np.maximum(np.abs(weight[rows]).max(axis=1), _SMALLEST) / np.float32(limit)
        parts = weight[rows] / scales[rows, None]
        whole[:, rows] = np.rint(parts, out=parts).astype(np.int8).T
    return whole.T, scales


def quantise_rows(graph: Graph, x: str) -> Codes:
    """Quantise activations (rows, width): the largest magnitude of a row becomes 127."""
    axes = graph.constant(np.array([1]))
    largest = graph.add("ReduceMax", graph.add("Abs", x), axes, keepdims=1)
    scales = graph.add(
        "Mul", graph.add("Max", largest, graph.constant(_SMALLEST)), graph.constant(np.float32(1 / LIMIT))
    )
    flat = graph.add("Squeeze", scales, axes)
    zeros = graph.add("Expand", graph.constant(_ZERO), graph.add("Shape", flat))
    return Codes(graph.add("QuantizeLinear", x, flat, zeros, axis=0), scales)


def product(graph: Graph, codes: Codes, weight: Floats, bias: Floats | None = None) -> str:
    """``x @ weight.T + bias`` of quantised rows, in float32."""
    whole, scales = quantise_weight(weight, largest_weight())
    one, zero = graph.constant(np.float32(1)), graph.constant(_ZERO)
    weights = graph.constant(whole.T), one, graph.constant(scales), zero
    made = graph.add("MatMulIntegerToFloat", codes.whole, *weights)
    made = graph.add("Mul", made, codes.scales)
    return made if bias is None else graph.add("Add", made, graph.constant(bias))


@cache
def largest_weight() -> int:
    """127 if this processor sums products of eight bits exactly, 63 if it needs a bit to spare."""
    graph = Graph()
    ones = np.full((8, 64), LIMIT, np.int8)
    made = graph.add(
        "MatMulInteger",
        graph.add("Cast", "x", to=UNSIGNED),
        graph.constant(ones.T),
    )
    made = graph.add("Cast", made, to=FLOAT)
    (sums,) = graph.session({"x": [2, 64]}, [made], n_threads=1)(x=np.full((2, 64), 255, np.float32))
    return LIMIT if (sums == 255 * LIMIT * 64).all() else _SHORT_LIMIT
