"""Thin products are products, however they are cut."""

from __future__ import annotations

import numpy as np
import pytest

from projectone.speech.thin_products import PackedWeight, thin_product


@pytest.mark.parametrize("n_rows", [1, 2, 3, 4, 8, 12, 13, 32, 33])
@pytest.mark.parametrize(
    ("n_out", "n_in"), [(1, 1), (5, 7), (64, 48), (130, 384), (200, 3_000), (9, 20_000), (3, 200_000)]
)
def test_a_thin_product_is_that_of_float64(n_rows: int, n_out: int, n_in: int) -> None:
    random = np.random.default_rng(0)
    x = random.standard_normal((n_rows, n_in)).astype(np.float32)
    weight = random.standard_normal((n_out, n_in)).astype(np.float32)
    made = thin_product(x, weight)
    assert made.flags.c_contiguous and made.dtype == np.float32
    # Sums of up to 20,000 products: the rounding of float32 grows with their square root.
    np.testing.assert_allclose(made, x.astype(np.float64) @ weight.T, atol=1e-5 * np.sqrt(n_in))


@pytest.mark.parametrize("n_rows", [1, 2, 5, 16, 33])
@pytest.mark.parametrize(("n_out", "n_in"), [(1, 1), (5, 7), (64, 48), (130, 384), (200, 3_000), (50, 70_000)])
def test_a_weight_that_was_laid_out_gives_the_same_product(n_rows: int, n_out: int, n_in: int) -> None:
    random = np.random.default_rng(0)
    x = random.standard_normal((n_rows, n_in)).astype(np.float32)
    weight = random.standard_normal((n_out, n_in)).astype(np.float32)
    packed = PackedWeight(weight, 16)
    expected = x.astype(np.float64) @ weight.T
    made = packed.product(x)
    assert made.flags.c_contiguous and made.dtype == np.float32
    np.testing.assert_allclose(made, expected, atol=1e-5 * np.sqrt(n_in))
