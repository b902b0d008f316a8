from __future__ import annotations

import numpy as np
import pytest

pytest.importorskip("onnxruntime", reason="needs the extra int8")

from projectone.speech import int8_products
from projectone.speech.int8_products import largest_weight, product, quantise_rows, quantise_weight
from projectone.speech.onnx_graphs import Graph


def run(x: np.ndarray, weight: np.ndarray, bias: np.ndarray | None = None) -> np.ndarray:
    graph = Graph()
    made = product(graph, quantise_rows(graph, "x"), weight, bias)
    return graph.session({"x": ("rows", x.shape[1])}, [made], n_threads=1)(x=x)[0]


def rounded(rows: np.ndarray, limit: int) -> tuple[np.ndarray, np.ndarray]:
    """Symmetric codes of rows as whole numbers in float64, and their scales."""
    scales = np.abs(rows).max(axis=1, keepdims=True).astype(np.float64) / limit
    return np.rint(rows / np.maximum(scales, 1e-30)), scales


def test_each_output_channel_has_a_scale_of_its_own_and_zero_stays_zero() -> None:
    weight = np.array([[1.0, -0.5, 0.0], [0.001, 0.0005, -0.001], [0.0, 0.0, 0.0]], np.float32)
    whole, scales = quantise_weight(weight)
    assert whole.tolist() == [[127, -64, 0], [127, 64, -127], [0, 0, 0]]
    np.testing.assert_allclose(scales[:2], [1 / 127, 0.001 / 127], rtol=1e-6)
    assert np.isfinite(scales).all()


@pytest.mark.parametrize("rows", [1, 3, 40])
def test_a_product_is_the_exact_one_of_the_rounded_numbers(rows: int) -> None:
    random = np.random.default_rng(0)
    x = random.standard_normal((rows, 96), np.float32) * np.geomspace(1e-4, 1e4, rows, dtype=np.float32)[:, None]
    weight, bias = random.standard_normal((50, 96), np.float32), random.standard_normal(50, np.float32)
    (codes, scales), (weights, of_channels) = rounded(x, 127), rounded(weight, largest_weight())
    expected = (codes @ weights.T) * scales * of_channels.T + bias
    # A number that lies halfway may be rounded to either side: one step of one number in a sum.
    step = scales * np.abs(weight).max()
    assert (np.abs(run(x, weight, bias) - expected) <= step + 1e-5 * np.abs(expected)).all()
    error = np.abs(run(x, weight, bias) - (x.astype(np.float64) @ weight.T + bias))
    assert (error.mean(axis=1) <= 0.015 * np.abs(x @ weight.T).mean(axis=1)).all()


def test_a_row_gets_the_same_bits_whatever_lies_beside_it() -> None:
    random = np.random.default_rng(1)
    x, weight = random.standard_normal((5, 64), np.float32), random.standard_normal((9, 64), np.float32)
    beside = np.concatenate([x[2:3], 1000 * x])
    np.testing.assert_array_equal(run(x, weight)[2], run(beside, weight)[0])


def test_rows_of_zeros_give_the_bias_and_extremes_do_not_overflow() -> None:
    weight, bias = np.full((4, 512), 1.0, np.float32), np.arange(4, dtype=np.float32)
    np.testing.assert_array_equal(run(np.zeros((2, 512), np.float32), weight, bias), np.stack([bias, bias]))
    np.testing.assert_allclose(run(np.full((2, 512), 3.0, np.float32), weight), 3.0 * 512, rtol=1e-5)


def test_where_sums_of_eight_bits_are_cut_off_weights_get_a_bit_less(monkeypatch: pytest.MonkeyPatch) -> None:
    assert largest_weight() in (63, 127)
    monkeypatch.setattr(int8_products, "largest_weight", lambda: 63)
    random = np.random.default_rng(2)
    x, weight = random.standard_normal((3, 96), np.float32), random.standard_normal((50, 96), np.float32)
    assert np.abs(quantise_weight(weight, 63)[0]).max() == 63
    error = np.abs(run(x, weight) - x @ weight.T)
    assert error.mean() <= 0.02 * np.abs(x @ weight.T).mean()


def test_a_matrix_is_quantised_alike_whatever_rows_are_done_at_once() -> None:
    weight = np.random.default_rng(3).standard_normal((150, 20), np.float32)
    whole, scales = quantise_weight(weight)
    alone = [quantise_weight(weight[row : row + 1]) for row in range(len(weight))]
    np.testing.assert_array_equal(whole, np.concatenate([codes for codes, _ in alone]))
    np.testing.assert_array_equal(scales, np.concatenate([of_row for _, of_row in alone]))
