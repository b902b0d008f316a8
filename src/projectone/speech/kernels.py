"""Element-wise arithmetic of the model in numpy, with the slopes that gradients need: for a CPU, in place.

Large arrays are worked on a block at a time, so that all passes but the first find their numbers in a core's cache.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

import numpy as np

Floats = np.ndarray[Any, np.dtype[np.float32]]

# Numbers worked on at a time: six such blocks stay in a core's second-level cache.
BLOCK = 65_536
_INVERSE_ROOT_2_PI = np.float32(1 / math.sqrt(2 * math.pi))
# The logarithm of the odds that a normal number lies below x is x times a polynomial of the square of x. These are its
# coefficients, negated, the highest first: fitted by Lawson's iteration so that on 0 < x < 5.6 neither the share below
# x nor x times that share is off by more than 7e-8. Beyond, the share is 1 in float32, and the square is held there.
_ODDS = tuple(
    np.float32(-coefficient)
    for coefficient in (
        3.61872593e-09, -2.67293709e-07, 7.94622599e-06, -1.10555881e-04, -6.59095265e-05, 7.26678227e-02, 1.59576899,
    )
)  # fmt: skip
_LARGEST_SQUARE = np.float32(5.6**2)


def blocks(n_rows: int, width: int = 1) -> Iterator[slice]:
    """Rows that make a block each; at least one row."""
    step = max(1, BLOCK // width)
    return (slice(start, start + step) for start in range(0, n_rows, step))


def gelu(x: Floats, out: Floats) -> None:
    """The exact Gaussian error linear unit, ``x * Phi(x)``, of one block; `out` may be `x`."""
    with np.errstate(over="ignore", invalid="ignore"):
        np.multiply(x, _share_below(x, x * x), out=out)


def gelu_with_slope(x: Floats, out: Floats, slope: Floats) -> None:
    """As `gelu`; its derivative is written into `slope`."""
    with np.errstate(over="ignore", invalid="ignore"):
        square = x * x
        np.multiply(square, np.float32(-0.5), out=slope)
        np.exp(slope, out=slope)
        slope *= x
        slope *= _INVERSE_ROOT_2_PI
        share = _share_below(x, square)
        slope += share
        np.multiply(x, share, out=out)


def _share_below(x: Floats, square: Floats) -> Floats:
    """The share of the standard normal distribution below each number; `square` is used up."""
    np.clip(square, 0, _LARGEST_SQUARE, out=square)  # with both bounds numpy takes half the time of a minimum
    odds: Floats = square * _ODDS[0]
    for coefficient in _ODDS[1:-1]:
        odds += coefficient
        odds *= square
    odds += _ODDS[-1]
    odds *= x
    np.exp(odds, out=odds)  # infinite far below zero: the share is nothing there
    odds += 1
    return np.divide(1, odds, out=odds)  # faster than its reciprocal


def standardised(rows: Floats, eps: float) -> tuple[Floats, Floats]:
    """Rows with zero mean and unit variance, and the inverse deviation of each, (rows, 1)."""
    made, inverse = np.empty_like(rows), np.empty((rows.shape[0], 1), np.float32)
    for block in blocks(*rows.shape):
        centred, source = made[block], rows[block]
        np.subtract(source, source.mean(axis=-1, keepdims=True), out=centred)
        variance = np.einsum("ij,ij->i", centred, centred)[:, None] / np.float32(rows.shape[-1])
        np.divide(1, np.sqrt(variance + np.float32(eps)), out=inverse[block])
        centred *= inverse[block]
    return made, inverse


def standardised_slopes(
    slopes: Floats, standard: Floats, inverse: Floats, weight: Floats
) -> tuple[Floats, Floats, Floats]:
    """Gradients of ``standard * weight + bias`` with respect to the rows, the weight and the bias.

    Args:
        slopes: Of the result, (rows, width).
        standard: Of `standardised`.
        inverse: Of `standardised`.
        weight: (width,).
    """
    out = np.empty_like(slopes)
    weight_slope, bias_slope = np.zeros((2, slopes.shape[-1]), np.float32)
    for block in blocks(*slopes.shape):
        given, rows = slopes[block], standard[block]
        bias_slope += given.sum(axis=0)
        weight_slope += np.einsum("ij,ij->j", given, rows)
        np.multiply(given, weight, out=out[block])
        _unstandardise_block(out[block], rows, inverse[block])
    return out, weight_slope, bias_slope


def unstandardise_slopes(slopes: Floats, standard: Floats, inverse: Floats) -> None:
    """Turn gradients with respect to the rows that `standardised` gave into those of the rows it was given, in place.

    Args:
        slopes: (rows, width).
        standard: Of `standardised`.
        inverse: Of `standardised`.
    """
    for block in blocks(*slopes.shape):
        _unstandardise_block(slopes[block], standard[block], inverse[block])


def _unstandardise_block(slopes: Floats, rows: Floats, inverse: Floats) -> None:
    share = np.full((slopes.shape[-1], 1), 1 / slopes.shape[-1], np.float32)
    along = np.einsum("ij,ij->i", slopes, rows)[:, None] * share[0]
    slopes -= slopes @ share  # the mean: a product sums rows in a third of the time
    slopes -= rows * along
    slopes *= inverse
