from collections.abc import Callable

import mlx.core as mx
import pytest

from projectone.server.training.interpolation import interpolate
from projectone.server.training.selection import better_than, choose_alpha, cost_since, forgets_at_most
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


def swept(general_at: Callable[[float], float], *, limit: float = 0.01) -> tuple[float, list[float]]:
    """The share chosen, and those tried, where more of the tuned weights is always better but for what is forgotten."""
    base = {"w": mx.array([0.0])}
    before = score(0.5, general=general_at(0.0))

    def judge(weights: dict[str, mx.array]) -> DevScore:
        alpha = float(weights["w"].item())
        return score(0.5 - 0.4 * alpha, general=general_at(alpha))

    tried: list[float] = []
    alpha, _, _ = choose_alpha(
        base,
        Best(step=9, score=judge({"w": mx.array([1.0])}), weights={"w": mx.array([1.0])}),
        judge,
        (0.5, 0.75, 1.0),
        cost=cost_since(before),
        on_judged=lambda alpha, _: tried.append(alpha),
        is_allowed=forgets_at_most(limit, before),
    )
    return alpha, tried


def test_a_share_that_forgets_too_much_is_not_taken_however_much_it_gains() -> None:
    assert swept(lambda alpha: 0.1 if alpha <= 0.75 else 0.12) == (0.75, [1.0, 0.75, 0.5])
    assert swept(lambda alpha: 0.1 if alpha <= 0.75 else 0.12, limit=0.05)[0] == 1.0


def test_where_every_share_forgets_too_much_smaller_ones_are_tried() -> None:
    assert swept(lambda alpha: 0.1 if alpha < 0.2 else 0.3) == (0.125, [1.0, 0.75, 0.5, 0.25, 0.125])


def test_where_nothing_helps_the_least_evil_is_taken() -> None:
    alpha, tried = swept(lambda alpha: 0.1 + 0.5 * (alpha > 0) + 0.1 * alpha)
    assert (alpha, tried[-1]) == (1.0, 0.0625)


def test_without_general_speech_nothing_is_forbidden() -> None:
    assert forgets_at_most(0.0, score(0.5))(score(0.9))
    assert not forgets_at_most(0.01, score(0.5, general=0.10))(score(0.1, general=0.12))
    assert forgets_at_most(0.01, score(0.5, general=0.10))(score(0.1, general=0.05))
