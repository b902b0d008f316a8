"""Element-wise arithmetic and its slopes against float64."""

from __future__ import annotations

import math

import numpy as np
import pytest

from projectone.speech import kernels


def _below(x: np.ndarray) -> np.ndarray:
    return np.array([0.5 * math.erfc(-value / math.sqrt(2)) for value in x.astype(np.float64)])


def test_gelu_and_its_slope_are_those_of_float64_far_into_the_tails() -> None:
    x = np.linspace(-12, 12, 20_001).astype(np.float32)
    value, slope = np.empty((2, x.size), np.float32)
    kernels.gelu_with_slope(x, value, slope)
    exact, share = x.astype(np.float64), _below(x)
    # One rounding of float32 at 12 is 1e-6; the share below is right to 1e-7.
    np.testing.assert_allclose(value, exact * share, atol=1e-6)
    near = np.abs(x) < 4
    np.testing.assert_allclose(value[near], (exact * share)[near], atol=6e-7)
    density = np.exp(-exact * exact / 2) / math.sqrt(2 * math.pi)
    np.testing.assert_allclose(slope, share + exact * density, atol=4e-7)
    kernels.gelu(x, x)
    assert np.array_equal(x, value)


def test_gelu_of_numbers_beyond_all_bounds_is_quiet() -> None:
    x = np.array([-3e38, -1e3, 0.0, 1e3, 3e38], np.float32)
    value, slope = np.empty((2, x.size), np.float32)
    kernels.gelu_with_slope(x, value, slope)
    assert np.array_equal(value, np.maximum(x, 0))
    assert np.array_equal(slope[1:4], [0, 0.5, 1])


@pytest.mark.parametrize("block", [1, 100, 1_000_000])
def test_standardised_rows_and_their_slopes_are_those_of_float64(block: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kernels, "BLOCK", block)
    random = np.random.default_rng(0)
    rows, slopes = random.standard_normal((2, 31, 24)).astype(np.float32) * 3 + 1
    weight = random.standard_normal(24).astype(np.float32)
    standard, inverse = kernels.standardised(rows, 1e-5)
    exact = rows.astype(np.float64)
    deviation = np.sqrt(exact.var(axis=1, keepdims=True) + 1e-5)
    np.testing.assert_allclose(standard, (exact - exact.mean(axis=1, keepdims=True)) / deviation, atol=1e-6)
    np.testing.assert_allclose(inverse, 1 / deviation, rtol=1e-6)

    made = kernels.standardised_slopes(slopes, standard, inverse, weight)
    normal = (exact - exact.mean(axis=1, keepdims=True)) / deviation
    scaled = slopes * weight.astype(np.float64)
    along = (scaled * normal).mean(axis=1, keepdims=True)
    expected = (
        (scaled - scaled.mean(axis=1, keepdims=True) - normal * along) / deviation,
        (slopes * normal).sum(axis=0),
        slopes.sum(axis=0, dtype=np.float64),
    )
    for ours, theirs in zip(made, expected, strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=1e-5, atol=1e-4)
