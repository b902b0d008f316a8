"""Attention in blocks: values and gradients of the plain form, whatever the blocks."""

from __future__ import annotations

import mlx.core as mx
import numpy as np
import pytest

from projectone.speech import blocked_attention
from projectone.speech.blocked_attention import attend, suits
from projectone.speech.whisper import MultiHeadAttention

N_HEAD = 3


def _inputs(n_rows: int, n_tokens: int, n_positions: int) -> tuple[list[mx.array], mx.array]:
    random = np.random.default_rng(0)
    shapes = [(n_rows, n_tokens, 48), (n_rows, n_positions, 48), (n_rows, n_positions, 48), (n_rows, n_tokens, 48)]
    made = [mx.array(random.standard_normal(shape).astype(np.float32)) for shape in shapes]
    return made[:3], made[3]


def _plain(query: mx.array, keys: mx.array, values: mx.array) -> mx.array:
    q, k, v = (x.reshape(*x.shape[:2], N_HEAD, -1).transpose(0, 2, 1, 3) for x in (query, keys, values))
    attended = mx.softmax(q @ k.transpose(0, 1, 3, 2), axis=-1) @ v
    return attended.transpose(0, 2, 1, 3).reshape(query.shape)


@pytest.mark.parametrize("most_kept", [0, 1_000_000])
@pytest.mark.parametrize("block", [1, 100, 1_000_000])
@pytest.mark.parametrize("sizes", [(2, 13, 13), (1, 5, 37), (3, 1, 4)])
def test_values_and_gradients_are_those_of_the_plain_form(
    sizes: tuple[int, int, int], block: int, most_kept: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(blocked_attention, "_BLOCK", block)
    monkeypatch.setattr(blocked_attention, "_MOST_KEPT", most_kept)
    inputs, cotangent = _inputs(*sizes)
    ours = mx.vjp(lambda *x: attend(*x, N_HEAD), inputs, [cotangent])
    plain = mx.vjp(_plain, inputs, [cotangent])
    for our_group, group in zip(ours, plain, strict=True):
        for mine, theirs in zip(our_group, group, strict=True):
            np.testing.assert_allclose(np.array(mine), np.array(theirs), atol=2e-5)


@pytest.mark.parametrize("most_kept", [0, 1_000_000])
@pytest.mark.parametrize("shift", [-300.0, 0.0, 300.0])
def test_scores_far_from_zero_neither_overflow_nor_vanish(
    shift: float, most_kept: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(blocked_attention, "_MOST_KEPT", most_kept)
    (query, keys, values), cotangent = _inputs(1, 6, 9)
    # One dimension of each head is the same for all: it raises or lowers whole rows, and changes no weight.
    apart = mx.arange(48) % 16 == 0
    query, keys = mx.where(apart, 1.0, query * 10), mx.where(apart, shift, keys)
    inputs = [query, keys, values]
    outputs, slopes = mx.vjp(lambda *x: attend(*x, N_HEAD), inputs, [cotangent])
    expected, expected_slopes = mx.vjp(_plain, inputs, [cotangent])
    np.testing.assert_allclose(np.array(outputs[0]), np.array(expected[0]), atol=1e-3)
    for mine, theirs in zip(slopes[1:], expected_slopes[1:], strict=True):
        np.testing.assert_allclose(np.array(mine), np.array(theirs), atol=1e-3 * float(mx.abs(theirs).max()))


def test_a_layer_gives_the_same_with_and_without_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    layer = MultiHeadAttention(48, N_HEAD)
    x = _inputs(2, 30, 30)[0][0]
    plain, _, plain_scores = layer(x)
    monkeypatch.setattr(blocked_attention, "_FEWEST_SCORES", 1)
    blocked, _, scores = layer(x)
    assert suits(x, x, N_HEAD)
    np.testing.assert_allclose(np.array(blocked), np.array(plain), atol=1e-6)
    np.testing.assert_allclose(np.array(scores), np.array(plain_scores), atol=1e-6)


def test_half_precision_and_shared_keys_are_left_to_the_plain_form() -> None:
    query, keys = mx.zeros((4, 400, 48)), mx.zeros((1, 400, 48))
    assert suits(query, query, N_HEAD)
    assert not suits(query, keys, N_HEAD)
    assert not suits(query.astype(mx.float16), query.astype(mx.float16), N_HEAD)
