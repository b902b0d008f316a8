"""Clipping and AdamW in blocks: the same numbers as the plain form, and as float64."""

from __future__ import annotations

import math

import mlx.core as mx
import numpy as np
import pytest

from projectone.server.training import clipped_step as module
from projectone.server.training.adamw import AdamW, Tensors, clip_by_global_norm
from projectone.server.training.clipped_step import ClippedAdamW

SHAPES = {"matrix": (70, 500), "vector": (41_000,), "small": (3, 2)}
OPTIMISER = AdamW(weight_decay=0.1)


def _tensors(seed: int, spread: float) -> Tensors:
    random = np.random.default_rng(seed)
    return {n: mx.array((spread * random.standard_normal(shape)).astype(np.float32)) for n, shape in SHAPES.items()}


def _copies(gradients: Tensors) -> Tensors:
    """Each in one piece; an update uses up what it is given."""
    return {name: mx.array(np.array(gradient, order="C")) for name, gradient in gradients.items()}


def _in_float64(weights: Tensors, steps: list[Tensors], limit: float, rate: float) -> dict[str, np.ndarray]:
    """Loshchilov and Hutter (2019), algorithm 2, with clipping before it."""
    now = {name: np.array(weight, np.float64) for name, weight in weights.items()}
    first = {name: np.zeros_like(weight) for name, weight in now.items()}
    second = {name: np.zeros_like(weight) for name, weight in now.items()}
    for done, gradients in enumerate(steps, start=1):
        exact = {name: np.array(gradient, np.float64) for name, gradient in gradients.items()}
        norm = math.sqrt(sum(float((gradient**2).sum()) for gradient in exact.values()))
        for name, gradient in exact.items():
            clipped = gradient * min(1.0, limit / (norm + 1e-6))
            first[name] = 0.9 * first[name] + 0.1 * clipped
            second[name] = 0.98 * second[name] + 0.02 * clipped**2
            update = first[name] / (1 - 0.9**done) / (np.sqrt(second[name] / (1 - 0.98**done)) + 1e-6)
            decay = rate * 0.1 if now[name].ndim > 1 else 0.0
            now[name] = now[name] * (1 - decay) - rate * update
    return now


@pytest.mark.parametrize("limit", [1.0, 1e9])
def test_several_steps_end_where_float64_ends(limit: float) -> None:
    weights, steps = _tensors(0, 1.0), [_tensors(seed, 0.01) for seed in range(1, 6)]
    now, moments = weights, OPTIMISER.zeros(weights)
    for done, gradients in enumerate(steps):
        now, moments, _ = ClippedAdamW(OPTIMISER, limit)(now, _copies(gradients), moments, 1e-3, done)
    exact = _in_float64(weights, steps, limit, 1e-3)
    for name, weight in now.items():
        # Five steps of 1e-3 from weights up to 4: a few roundings of 2.4e-7 each.
        np.testing.assert_allclose(np.array(weight), exact[name], atol=2e-6)


def test_blocks_and_the_plain_form_take_the_same_step() -> None:
    weights, gradients = _tensors(0, 1.0), _tensors(1, 0.1)
    moments = (_tensors(2, 0.01), {name: value * value for name, value in _tensors(3, 0.1).items()})
    new, moved, norm = ClippedAdamW(OPTIMISER, 0.5)(weights, _copies(gradients), moments, 0.01, 7)
    clipped, plain_norm = clip_by_global_norm(gradients, 0.5)
    plain, plain_moved = OPTIMISER.step(weights, clipped, moments, learning_rate=0.01, n_done=7)
    assert norm.item() == pytest.approx(plain_norm.item(), rel=1e-5)
    for ours, theirs in ((new, plain), (moved[0], plain_moved[0]), (moved[1], plain_moved[1])):
        for name in SHAPES:
            # Where a second moment happens to be tiny, the plain form's own rounding of the length shows.
            np.testing.assert_allclose(np.array(ours[name]), np.array(theirs[name]), rtol=2e-5, atol=1e-5)


def test_a_state_that_was_kept_stays_what_it_was() -> None:
    weights, moments = _tensors(0, 1.0), (_tensors(2, 0.01), _tensors(3, 0.1))
    before = [np.array(value).copy() for group in (weights, *moments) for value in group.values()]
    ClippedAdamW(OPTIMISER, 1.0)(weights, _tensors(1, 1.0), moments, 0.1, 0)
    after = [np.array(value) for group in (weights, *moments) for value in group.values()]
    assert all(np.array_equal(old, new) for old, new in zip(before, after, strict=True))


def test_gradients_that_share_a_place_or_are_not_in_one_piece_make_weights_of_their_own() -> None:
    shared = _tensors(1, 1.0)["vector"]
    gradients = {
        "one": shared,
        "same": shared,
        "part": shared[100:200],
        "turned": shared[:600].reshape(30, 20).T,
        "number": mx.broadcast_to(mx.array(0.5), (4, 3)),
    }
    weights = {name: mx.random.normal(gradient.shape, key=mx.random.key(1)) for name, gradient in gradients.items()}
    expected, _, _ = ClippedAdamW(OPTIMISER, 1.0)(weights, _copies(gradients), OPTIMISER.zeros(weights), 0.1, 0)
    made, _, _ = ClippedAdamW(OPTIMISER, 1.0)(weights, gradients, OPTIMISER.zeros(weights), 0.1, 0)
    assert list(made) == list(weights)
    assert all(mx.array_equal(made[name], expected[name]) for name in weights)


def test_the_blocks_are_really_cut(monkeypatch: pytest.MonkeyPatch) -> None:
    weights, gradients = _tensors(0, 1.0), _tensors(1, 1.0)
    whole, _, _ = ClippedAdamW(OPTIMISER, 1e9)(weights, _copies(gradients), OPTIMISER.zeros(weights), 0.1, 0)
    monkeypatch.setattr(module, "_BLOCK", 1_000)
    cut, _, _ = ClippedAdamW(OPTIMISER, 1e9)(weights, gradients, OPTIMISER.zeros(weights), 0.1, 0)
    assert all(mx.array_equal(whole[name], cut[name]) for name in SHAPES)


@pytest.mark.parametrize("bad", [math.nan, math.inf])
def test_a_gradient_that_is_not_finite_shows_in_the_length(bad: float) -> None:
    weights, gradients = _tensors(0, 1.0), _tensors(1, 1.0)
    gradients["small"] = mx.array([[1.0, bad]] * 3)
    _, _, norm = ClippedAdamW(OPTIMISER, 1.0)(weights, gradients, OPTIMISER.zeros(weights), 0.1, 0)
    assert not math.isfinite(norm.item())
