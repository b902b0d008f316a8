"""The fast forms of the model's arithmetic equal the plain ones, values and gradients."""

from __future__ import annotations

import math

import mlx.core as mx
import numpy as np
import pytest

from projectone.speech import ops


def _both(seed: int, shape: tuple[int, ...], spread: float) -> mx.array:
    return mx.array((spread * np.random.default_rng(seed).standard_normal(shape)).astype(np.float32))


def test_gelu_equals_the_gaussian_definition_far_into_the_tails() -> None:
    x = np.linspace(-9, 9, 20_001)
    exact = x * np.array([0.5 * math.erfc(-value / math.sqrt(2)) for value in x])
    assert x.size >= ops.SMALLEST_SIZE
    # 1e-6 is a few float32 steps at 9
    np.testing.assert_allclose(np.array(ops.gelu(mx.array(x.astype(np.float32)))), exact, atol=2e-6)


@pytest.mark.parametrize("shape", [(3, 5), (2, 70, 300)])
def test_gelu_has_the_gradient_of_its_plain_form(shape: tuple[int, ...]) -> None:
    x, weight = _both(0, shape, 2.0), _both(1, shape, 1.0)
    fast = mx.grad(lambda value: (ops.gelu(value) * weight).sum())(x)
    plain = mx.grad(lambda value: (ops.plain_gelu(value) * weight).sum())(x)
    np.testing.assert_allclose(np.array(fast), np.array(plain), atol=5e-6)


@pytest.mark.parametrize("shape", [(2, 3, 7), (2, 3, 40, 90)])
def test_softmax_has_the_values_and_gradient_of_its_plain_form(shape: tuple[int, ...]) -> None:
    scores, weight = _both(2, shape, 9.0), _both(3, shape, 1.0)
    fast, fast_slope = mx.value_and_grad(lambda value: (ops.softmax(value) * weight).sum())(scores)
    plain, slope = mx.value_and_grad(lambda value: (mx.softmax(value, axis=-1) * weight).sum())(scores)
    assert fast.item() == pytest.approx(plain.item(), abs=1e-3)
    np.testing.assert_allclose(np.array(fast_slope), np.array(slope), atol=1e-5)


def test_softmax_of_masked_scores_gives_masked_places_nothing() -> None:
    scores = mx.where(mx.arange(128) < 100, _both(4, (128, 128), 3.0), -mx.inf)
    weights = np.array(ops.softmax(scores))
    assert np.all(weights[:, 100:] == 0)
    np.testing.assert_allclose(weights.sum(axis=-1), 1, atol=1e-5)


@pytest.mark.parametrize("shape", [(3, 50), (4, 9_000)])
def test_cross_entropy_is_that_of_float64_and_so_is_its_gradient(shape: tuple[int, int]) -> None:
    logits, weight = _both(15, shape, 5.0), _both(16, shape[:1], 1.0)
    targets = mx.array(np.random.default_rng(17).integers(0, shape[1], shape[0]))
    exact = np.array(logits, np.float64)
    levels = np.log(np.exp(exact).sum(axis=-1))
    chosen = np.eye(shape[1])[np.array(targets)]
    nats, slope = mx.value_and_grad(lambda value: (ops.cross_entropy(value, targets) * weight).sum())(logits)
    assert nats.item() == pytest.approx(np.array(weight) @ (levels - (exact * chosen).sum(axis=-1)), abs=1e-4)
    expected = (np.exp(exact - levels[:, None]) - chosen) * np.array(weight)[:, None]
    np.testing.assert_allclose(np.array(slope), expected, atol=2e-6)


def test_layer_norm_has_the_values_and_gradients_of_its_plain_form() -> None:
    x, weight, bias = _both(5, (4, 60, 64), 3.0) + 2.0, _both(6, (64,), 1.0), _both(7, (64,), 1.0)
    target = _both(8, (4, 60, 64), 1.0)

    def with_form(form: str) -> tuple[mx.array, list[mx.array]]:
        function = ops.layer_norm if form == "ours" else mx.fast.layer_norm
        loss = lambda x, weight, bias: (function(x, weight, bias, 1e-5) * target).sum()  # noqa: E731
        value, gradients = mx.value_and_grad(loss, argnums=(0, 1, 2))(x, weight, bias)
        return value, list(gradients)

    (ours, our_gradients), (plain, plain_gradients) = with_form("ours"), with_form("plain")
    assert ours.item() == pytest.approx(plain.item(), abs=2e-2)  # a sum of 15,360 float32 numbers
    for our_gradient, gradient in zip(our_gradients, plain_gradients, strict=True):
        np.testing.assert_allclose(np.array(our_gradient), np.array(gradient), rtol=1e-3, atol=1e-3)


@pytest.mark.parametrize("shape", [(7, 6), (90, 130)])
@pytest.mark.parametrize("has_bias", [True, False])
def test_a_linear_layer_has_the_gradients_of_its_plain_form_laid_as_its_weights(
    shape: tuple[int, int], has_bias: bool
) -> None:
    weight, x, along = _both(20, shape, 0.3), _both(21, (2, 5, shape[1]), 1.0), _both(22, (2, 5, shape[0]), 1.0)
    given = (x, weight, _both(23, shape[:1], 1.0)) if has_bias else (x, weight)

    def plain(x: mx.array, weight: mx.array, bias: mx.array | float = 0.0) -> mx.array:
        return ((x @ weight.T + bias) * along).sum()

    def fast(*given: mx.array) -> mx.array:
        return (ops.linear(*given) * along).sum()

    places = tuple(range(len(given)))
    expected, slopes = (mx.grad(function, argnums=places)(*given) for function in (plain, fast))
    for slope, other in zip(slopes, expected, strict=True):
        np.testing.assert_allclose(np.array(slope), np.array(other), atol=1e-5)
    assert weight.size < ops.SMALLEST_SIZE or np.asarray(slopes[1]).flags.c_contiguous


@pytest.mark.parametrize("stride", [1, 2])
@pytest.mark.parametrize("n_frames", [1, 2, 9, 16])
def test_convolution_equals_the_convolution_of_mlx(stride: int, n_frames: int) -> None:
    x, weight, bias = _both(9, (2, n_frames, 6), 1.0), _both(10, (5, 3, 6), 1.0), _both(11, (5,), 1.0)
    plain = mx.conv1d(x, weight, stride=stride, padding=1) + bias
    np.testing.assert_allclose(np.array(ops.conv1d(x, weight, bias, stride=stride)), np.array(plain), atol=1e-5)


@pytest.mark.parametrize("stride", [1, 2])
def test_convolution_has_the_gradients_of_the_convolution_of_mlx(stride: int) -> None:
    x, weight, bias = _both(12, (2, 9, 6), 1.0), _both(13, (5, 3, 6), 1.0), _both(14, (5,), 1.0)
    ours = mx.grad(lambda x, w: (ops.conv1d(x, w, bias, stride=stride) ** 2).sum(), argnums=(0, 1))(x, weight)
    plain = mx.grad(lambda x, w: ((mx.conv1d(x, w, stride=stride, padding=1) + bias) ** 2).sum(), argnums=(0, 1))(
        x, weight
    )
    for our_gradient, gradient in zip(ours, plain, strict=True):
        np.testing.assert_allclose(np.array(our_gradient), np.array(gradient), rtol=1e-4, atol=1e-3)


def test_a_convolution_of_another_width_is_refused() -> None:
    with pytest.raises(ValueError, match="expected width 3"):
        ops.conv1d(mx.zeros((1, 4, 2)), mx.zeros((3, 5, 2)), mx.zeros(3), stride=1)
