"""Half blocks in one piece: values and gradients of the plain block, for every tensor."""

from __future__ import annotations

import mlx.core as mx
import numpy as np
import pytest
from mlx.utils import tree_flatten, tree_unflatten

from projectone.speech import blocked_attention, half_blocks, kernels
from projectone.speech.whisper import ResidualAttentionBlock

N_STATE, N_HEAD = 48, 3


@pytest.fixture
def block() -> ResidualAttentionBlock:
    made = ResidualAttentionBlock(N_STATE, N_HEAD)
    random = np.random.default_rng(0)
    sizes = {name: weight.shape for name, weight in tree_flatten(made.parameters())}
    weights = {name: random.standard_normal(shape) * (0.3 if len(shape) > 1 else 1) for name, shape in sizes.items()}
    made.load_weights([(name, mx.array(weight.astype(np.float32))) for name, weight in weights.items()])
    return made


def _sound(n_rows: int, n_positions: int) -> tuple[mx.array, mx.array]:
    x, weight = np.random.default_rng(1).standard_normal((2, n_rows, n_positions, N_STATE)).astype(np.float32)
    return mx.array(x), mx.array(weight)


def _slopes(block: ResidualAttentionBlock, x: mx.array, weight: mx.array) -> dict[str, np.ndarray]:
    """The block's output, and the gradient of a weighted sum of it with respect to the input and every weight."""

    def loss(weights: dict[str, mx.array], x: mx.array) -> mx.array:
        block.update(tree_unflatten(list(weights.items())))
        return (block.transform(x) * weight).sum()

    weights = dict(tree_flatten(block.trainable_parameters()))
    of_weights, of_x = mx.grad(loss, argnums=(0, 1))(weights, x)
    block.update(tree_unflatten(list(weights.items())))
    return {name: np.array(slope) for name, slope in {**of_weights, "x": of_x, "value": block.transform(x)}.items()}


@pytest.mark.parametrize("size", [1, 100, 1_000_000])
@pytest.mark.parametrize("shape", [(3, 20), (1, 40)])
def test_values_and_every_gradient_are_those_of_the_plain_block(
    block: ResidualAttentionBlock, shape: tuple[int, int], size: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    x, weight = _sound(*shape)
    plain = _slopes(block, x, weight)
    monkeypatch.setattr(half_blocks, "_SMALLEST_SIZE", 1)
    monkeypatch.setattr(blocked_attention, "_BLOCK", size)
    monkeypatch.setattr(kernels, "BLOCK", size)
    calls: list[str] = []
    for name in ("add_attention", "add_mlp"):
        whole = getattr(half_blocks, name)
        monkeypatch.setattr(half_blocks, name, lambda *given, _n=name, _w=whole: (calls.append(_n), _w(*given))[1])
    ours = _slopes(block, x, weight)
    assert {"add_attention", "add_mlp"} == set(calls)
    assert ours.keys() == plain.keys()
    for name, slope in plain.items():
        # Sums of some hundred products of float32, in two orders; the key's slope cancels most of what is added.
        np.testing.assert_allclose(ours[name], slope, atol=2e-5 * max(1.0, float(np.abs(slope).max())), err_msg=name)


def test_adapters_frozen_layers_half_precision_and_small_arrays_are_left_to_the_plain_form(
    block: ResidualAttentionBlock,
) -> None:
    x, linears = mx.zeros((2, 1_000, N_STATE)), [block.mlp1, block.mlp2]
    assert half_blocks.suits(x, block.mlp_ln, linears)
    assert not half_blocks.suits(x[:, :10], block.mlp_ln, linears)
    assert not half_blocks.suits(x.astype(mx.float16), block.mlp_ln, linears)

    class Adapted(type(block.mlp1)):  # type: ignore[misc]
        pass

    assert not half_blocks.suits(x, block.mlp_ln, [Adapted(N_STATE, N_STATE), block.mlp2])
    block.mlp2.freeze()
    assert not half_blocks.suits(x, block.mlp_ln, linears)
