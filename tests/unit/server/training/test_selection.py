import mlx.core as mx
import pytest

from projectone.server.training.interpolation import interpolate
from projectone.server.training.selection import better_than, choose_alpha, cost_since
from projectone.server.training.state import Best, DevScore


def score(wer: float, *, general: float | None = None, loss: float = 1.0) -> DevScore:
    return DevScore(wer=wer, general_wer=general, loss=loss)


def test_the_lower_error_wins_and_the_loss_decides_ties() -> None:
    is_better = better_than(score(0.5))
    assert is_better(score(0.2, loss=9), score(0.3, loss=1))
    assert is_better(score(0.2, loss=1), score(0.2, loss=2))
    assert not is_better(score(0.2, loss=1), score(0.2, loss=1))


def test_what_is_forgotten_counts_in_full_and_what_is_gained_elsewhere_does_not() -> None:
    is_better = better_than(score(0.5, general=0.1))
    assert is_better(score(0.3, general=0.1), score(0.2, general=0.3))
    assert not is_better(score(0.3, general=0.0), score(0.2, general=0.1))


def test_weights_are_mixed_tensor_by_tensor() -> None:
    base, tuned = {"w": mx.array([0.0, 4.0])}, {"w": mx.array([1.0, 0.0])}
    assert interpolate(base, tuned, 0.25)["w"].tolist() == [0.25, 3.0]
    assert interpolate(base, tuned, 1)["w"].tolist() == [1.0, 0.0]
    with pytest.raises(ValueError, match="alpha"):
        interpolate(base, tuned, 1.5)
    with pytest.raises(ValueError, match="same tensors"):
        interpolate(base, {}, 0.5)


@pytest.mark.parametrize(("ideal", "expected"), [(0.5, 0.5), (1.0, 1.0), (0.8, 0.75)])
def test_the_share_that_does_best_is_taken(ideal: float, expected: float) -> None:
    base, best = {"w": mx.array([0.0])}, Best(step=9, score=score(abs(1 - ideal)), weights={"w": mx.array([1.0])})
    tried: list[float] = []
    alpha, weights, found = choose_alpha(
        base,
        best,
        lambda weights: score(abs(float(weights["w"].item()) - ideal)),
        (0.5, 0.75, 1.0),
        cost=cost_since(score(1.0)),
        on_judged=lambda alpha, _: tried.append(alpha),
    )
    assert alpha == expected
    assert weights["w"].item() == pytest.approx(expected)
    assert found.wer == pytest.approx(abs(expected - ideal))
    assert sorted(tried) == [0.5, 0.75, 1.0]


def test_of_equal_shares_the_one_nearest_to_the_base_is_taken() -> None:
    base, best = {"w": mx.array([0.0])}, Best(step=9, score=score(0.1), weights={"w": mx.array([1.0])})

    def judge(weights: dict[str, mx.array]) -> DevScore:
        return score(0.1 if weights["w"].item() > 0.6 else 0.2, loss=9.0)

    alpha, _, _ = choose_alpha(
        base, best, judge, (0.5, 0.75, 1.0), cost=cost_since(score(1.0)), on_judged=lambda *_: None
    )
    assert alpha == 0.75
