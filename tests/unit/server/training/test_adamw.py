import mlx.core as mx
import mlx.optimizers
import numpy as np
import pytest

from projectone.server.training.adamw import AdamW, clip_by_global_norm, global_norm, learning_rate_at


def test_it_takes_the_steps_of_the_library_where_all_is_decayed() -> None:
    random = np.random.default_rng(0)
    theirs = {"w": mx.array(random.standard_normal((4, 3)).astype(np.float32))}
    ours, moments = dict(theirs), AdamW().zeros(theirs)
    library = mlx.optimizers.AdamW(0.01, betas=[0.9, 0.98], eps=1e-6, weight_decay=0.1, bias_correction=True)
    for step in range(5):
        gradients = {"w": mx.array(random.standard_normal((4, 3)).astype(np.float32))}
        theirs = library.apply_gradients(gradients, theirs)
        ours, moments = AdamW(weight_decay=0.1).step(ours, gradients, moments, learning_rate=0.01, n_done=step)
    np.testing.assert_allclose(np.array(ours["w"]), np.array(theirs["w"]), rtol=1e-5)


def test_only_matrices_are_decayed() -> None:
    weights = {"matrix": mx.ones((2, 2)), "vector": mx.ones((2,))}
    still = {name: mx.zeros_like(weight) for name, weight in weights.items()}
    after, _ = AdamW(weight_decay=0.5).step(weights, still, AdamW().zeros(weights), learning_rate=0.1, n_done=0)
    assert after["vector"].tolist() == [1, 1]
    assert after["matrix"].tolist() == [[pytest.approx(0.95)] * 2] * 2


def test_a_step_changes_nothing_that_it_was_given() -> None:
    weights, gradients = {"w": mx.ones((2, 2))}, {"w": mx.ones((2, 2))}
    moments = AdamW().zeros(weights)
    AdamW().step(weights, gradients, moments, learning_rate=0.1, n_done=0)
    assert mx.array_equal(weights["w"], mx.ones((2, 2)))
    assert not moments[0]["w"].any()


def test_long_gradients_are_scaled_together_and_short_ones_kept() -> None:
    long = {"a": mx.array([3.0]), "b": mx.array([4.0])}
    clipped, norm = clip_by_global_norm(long, 1.0)
    assert norm.item() == pytest.approx(5)
    assert clipped["a"].item() == pytest.approx(0.6, rel=1e-5)
    kept, _ = clip_by_global_norm(long, 10.0)
    assert kept["b"].item() == 4


def test_the_rate_rises_and_then_falls() -> None:
    rates = [learning_rate_at(step, n_steps=10, highest=1.0, warmup_share=0.2) for step in range(10)]
    assert rates[:3] == [0.5, 1.0, 1.0]
    assert rates[2:] == sorted(rates[2:], reverse=True)
    assert rates[-1] == pytest.approx(1 / 8)


def test_the_order_of_the_names_does_not_change_the_length() -> None:
    random = np.random.default_rng(0)
    gradients = {f"w{i}": mx.array(random.standard_normal((7, 5)).astype(np.float32)) for i in range(50)}
    lengths = {global_norm({n: gradients[n] for n in random.permutation(list(gradients))}).item() for _ in range(20)}
    assert len(lengths) == 1
