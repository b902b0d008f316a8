"""The embedding at both ends of a text: values and gradients of the plain form, and nothing changed that was given."""

from __future__ import annotations

from collections.abc import Callable

import mlx.core as mx
import numpy as np
import pytest

from projectone.speech import ops
from projectone.speech.ops import plain_cross_entropy
from projectone.speech.tied_embedding import looked_up, next_token_nats

N_VOCAB, N_STATE, N_TARGETS = 700, 12, 9
# Token 3 comes three times, and the last of the vocabulary is looked up too.
TOKENS = mx.array([[3, 5, 3, 3], [0, 699, 8, 5]])
TARGETS = mx.array([1, 3, 3, 699, 0, 12, 5, 5, 40])
Loss = Callable[[mx.array, mx.array], mx.array]


def _numbers(*shape: int) -> mx.array:
    return mx.array(np.random.default_rng(shape[0]).standard_normal(shape).astype(np.float32))


WEIGHT, MIXER = _numbers(N_VOCAB, N_STATE), _numbers(N_TARGETS, 8)
OF_TARGETS = mx.arange(1, N_TARGETS + 1) / N_TARGETS


def _ours(weight: mx.array, mixer: mx.array) -> mx.array:
    rows, same = looked_up(weight, TOKENS)
    return (next_token_nats(mixer @ rows.reshape(-1, N_STATE), same, TARGETS) * OF_TARGETS).sum()


def _plain(weight: mx.array, mixer: mx.array) -> mx.array:
    hidden = mixer @ weight[TOKENS].reshape(-1, N_STATE)
    return (plain_cross_entropy(hidden @ weight.T, TARGETS) * OF_TARGETS).sum()


def _twice(loss: Loss) -> Loss:
    return lambda weight, mixer: loss(weight, mixer) + 0.5 * loss(weight, 2 * mixer)


@pytest.mark.parametrize("often", [lambda loss: loss, _twice])
@pytest.mark.parametrize("of", [0, 1, (0, 1)])
def test_values_and_gradients_are_those_of_the_plain_form(
    often: Callable[[Loss], Loss], of: int | tuple[int, ...]
) -> None:
    assert ops.goes_through_numpy(WEIGHT)
    given = np.array(WEIGHT), np.array(MIXER)
    value, slopes = mx.value_and_grad(often(_ours), argnums=of)(WEIGHT, MIXER)
    plain_value, plain_slopes = mx.value_and_grad(often(_plain), argnums=of)(WEIGHT, MIXER)
    assert value.item() == pytest.approx(plain_value.item(), rel=1e-6)
    pairs = [(slopes, plain_slopes)] if isinstance(of, int) else zip(slopes, plain_slopes, strict=True)
    for slope, plain in pairs:
        scale = float(mx.abs(plain).max())
        np.testing.assert_allclose(np.array(slope), np.array(plain), atol=2e-6 * scale)
    assert np.array_equal(given[0], np.array(WEIGHT))
    assert np.array_equal(given[1], np.array(MIXER))


def test_an_embedding_that_is_only_looked_up_gets_the_gradient_of_its_rows() -> None:
    slope = mx.grad(lambda weight: (looked_up(weight, TOKENS)[0] * 2).sum())(WEIGHT)
    expected = np.zeros((N_VOCAB, N_STATE))
    np.add.at(expected, np.array(TOKENS), 2)
    assert np.array_equal(np.array(slope), expected)


def test_scores_far_from_zero_neither_overflow_nor_vanish() -> None:
    nats, slope = mx.value_and_grad(lambda hidden: next_token_nats(hidden, WEIGHT, TARGETS).sum())(
        100 * _numbers(N_TARGETS, N_STATE)
    )
    assert mx.isfinite(nats).item()
    assert mx.isfinite(slope).all().item()


def test_small_vocabularies_and_other_types_take_the_plain_way() -> None:
    weight, hidden = WEIGHT[:50].astype(mx.float16), _numbers(2, N_STATE).astype(mx.float16)
    rows, same = looked_up(weight, TOKENS[:, :1])
    assert rows.dtype == same.dtype == mx.float16
    assert next_token_nats(hidden, weight, TARGETS[:2]).dtype == mx.float32
