"""Attention to the sound in one piece: values and gradients of the plain form, for every tensor."""

from __future__ import annotations

from types import ModuleType

import mlx.core as mx
import numpy as np
import pytest
from mlx.utils import tree_flatten, tree_unflatten

from projectone.speech import absorbed_attention, blocked_attention, cross_attention, half_blocks
from projectone.speech.whisper import ResidualAttentionBlock

N_STATE, N_HEAD = 48, 3


@pytest.fixture
def block() -> ResidualAttentionBlock:
    made = ResidualAttentionBlock(N_STATE, N_HEAD, cross_attention=True)
    random = np.random.default_rng(0)
    sizes = {name: weight.shape for name, weight in tree_flatten(made.parameters())}
    weights = {name: random.standard_normal(shape) * (0.3 if len(shape) > 1 else 1) for name, shape in sizes.items()}
    made.load_weights([(name, mx.array(weight.astype(np.float32))) for name, weight in weights.items()])
    return made


def _normal(*shape: int) -> mx.array:
    return mx.array(np.random.default_rng(sum(shape)).standard_normal(shape).astype(np.float32))


def _slopes(block: ResidualAttentionBlock, x: mx.array, audio: mx.array, weight: mx.array) -> dict[str, np.ndarray]:
    """The block's output, and the gradient of a weighted sum of it with respect to both inputs and every weight."""

    def loss(weights: dict[str, mx.array], x: mx.array, audio: mx.array) -> mx.array:
        block.update(tree_unflatten(list(weights.items())))
        return (block.hear(x, audio, None) * weight).sum()

    weights = dict(tree_flatten(block.trainable_parameters()))
    of_weights, of_x, of_audio = mx.grad(loss, argnums=(0, 1, 2))(weights, x, audio)
    block.update(tree_unflatten(list(weights.items())))
    made = {**of_weights, "x": of_x, "audio": of_audio, "value": block.hear(x, audio, None)}
    return {name: np.array(slope) for name, slope in made.items()}


def _expect_the_plain_form(
    block: ResidualAttentionBlock, form: ModuleType, shape: tuple[int, int, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    """That `form` takes texts and sounds of this shape, and gives what the plain form gives without it."""
    n_rows, n_tokens, n_positions = shape
    x, weight = _normal(n_rows, n_tokens, N_STATE), _normal(n_rows, n_tokens, N_STATE) * 0.5
    audio = _normal(n_rows, n_positions, N_STATE)
    plain = _slopes(block, x, audio, weight)
    monkeypatch.setattr(half_blocks, "_SMALLEST_SIZE", 1)
    calls: list[int] = []
    whole = form.add_cross_attention
    monkeypatch.setattr(form, "add_cross_attention", lambda *given: (calls.append(1), whole(*given))[1])
    ours = _slopes(block, x, audio, weight)
    assert calls
    assert ours.keys() == plain.keys()
    for name, slope in plain.items():
        # Sums of some hundred products of float32, in two orders; the key's slope cancels most of what is added.
        np.testing.assert_allclose(ours[name], slope, atol=2e-5 * max(1.0, float(np.abs(slope).max())), err_msg=name)


@pytest.mark.parametrize("shape", [(3, 8, 20), (1, 1, 40), (2, 5, 9)])
def test_values_and_every_gradient_are_those_of_the_plain_form(
    block: ResidualAttentionBlock, shape: tuple[int, int, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    _expect_the_plain_form(block, absorbed_attention, shape, monkeypatch)


@pytest.mark.parametrize("shape", [(3, 9, 20), (1, 30, 41), (2, 12, 5)])
@pytest.mark.parametrize("size", [7, 100, blocked_attention._BLOCK])
def test_many_tokens_have_the_values_and_gradients_of_the_plain_form(
    block: ResidualAttentionBlock, shape: tuple[int, int, int], size: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(blocked_attention, "_BLOCK", size)
    _expect_the_plain_form(block, cross_attention, shape, monkeypatch)


def test_scores_far_apart_overflow_nothing(block: ResidualAttentionBlock, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(half_blocks, "_SMALLEST_SIZE", 1)
    block.cross_attn.query.weight = block.cross_attn.query.weight * 1e3
    with np.errstate(over="raise", invalid="raise", divide="raise"):
        assert np.isfinite(np.array(block.hear(_normal(2, 4, N_STATE), _normal(2, 9, N_STATE), None))).all()


def test_long_texts_many_texts_of_a_sound_frozen_and_small_ones_are_left_to_the_plain_form(
    block: ResidualAttentionBlock,
) -> None:
    cross = block.cross_attn
    linears = [cross.query, cross.key, cross.value, cross.out]

    def suits(x: mx.array, audio: mx.array) -> bool:
        return absorbed_attention.suits(x, audio, block.cross_attn_ln, linears, N_HEAD)

    audio = mx.zeros((2, 1_000, N_STATE))
    assert suits(mx.zeros((2, 8, N_STATE)), audio)
    assert not suits(mx.zeros((2, 0, N_STATE)), audio)  # no token at all: nothing is asked
    assert not suits(mx.zeros((2, 9, N_STATE)), audio)  # more than half a head's width of 16
    assert not suits(mx.zeros((6, 8, N_STATE)), audio)  # three texts to a sound would repeat it
    assert not suits(mx.zeros((2, 8, N_STATE)), audio[:, :10])
    assert not suits(mx.zeros((2, 8, N_STATE)), audio.astype(mx.float16))
    cross.key.freeze()
    assert not suits(mx.zeros((2, 8, N_STATE)), audio)
