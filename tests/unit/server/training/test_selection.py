import functools
from collections.abc import Callable

import mlx.core as mx
import pytest

from projectone.server.training.interpolation import interpolate
from projectone.server.training.selection import (
    by_chance,
    choose_alpha,
    cost_since,
    forgets_at_most,
    latest_unless_worse,
)
from projectone.server.training.state import Best, DevScore


def score(wer: float, *, general: float | None = None, loss: float = 1.0) -> DevScore:
    return DevScore(wer=wer, general_wer=general, loss=loss)


def of_clips(*errors: int, general: tuple[int, ...] = ()) -> DevScore:
    """A score with these wrong words of a hundred, clip by clip; the same of general speech."""
    return DevScore(
        wer=sum(errors) / 100,
        general_wer=sum(general) / 100 if general else None,
        loss=1.0,
        errors=errors,
        n_words=100,
        general_errors=general,
        n_general_words=100,
    )


def kept_of(*scores: DevScore, before: DevScore | None = None) -> Best:
    """What is kept of weights that were judged one after another, named by their turn."""
    prefer = latest_unless_worse(before)
    judged = [Best(step=turn, score=one, weights={}, lowest=one) for turn, one in enumerate(scores)]
    return functools.reduce(prefer, judged)


NONE_WRONG = (0,) * 30
ONE_WRONG = (1, *NONE_WRONG[1:])
MANY_WRONG = (*(1,) * 8, *NONE_WRONG[8:])


def test_a_word_or_two_do_not_make_earlier_weights_the_better_ones() -> None:
    early, late = of_clips(*NONE_WRONG), of_clips(*ONE_WRONG)
    kept = kept_of(early, late)
    assert (kept.step, kept.lowest) == (1, early)


def test_later_weights_that_are_worse_beyond_chance_are_not_kept() -> None:
    early, late = of_clips(*NONE_WRONG), of_clips(*MANY_WRONG)
    kept = kept_of(early, late)
    assert (kept.step, kept.score, kept.lowest) == (0, early, early)


def test_many_small_steps_down_do_not_add_up() -> None:
    worse_and_worse = [of_clips(*(1,) * n, *NONE_WRONG[n:]) for n in range(12)]
    assert kept_of(*worse_and_worse).step == 3, "a fourth word that all agree on is beyond chance"


def test_without_clips_to_compare_the_lower_error_is_kept() -> None:
    assert kept_of(score(0.2), score(0.3)).step == 0
    assert kept_of(score(0.3), score(0.3)).step == 1
    assert by_chance((), (1, 2), 100) == by_chance((1,), (2,), 100) == by_chance((0, 0), (0, 0), 0) == 0


def test_what_chance_explains_is_the_paired_interval() -> None:
    first, second = (2, 0, 1, 0), (0, 1, 1, 0)
    # By hand: differences 2, -1, 0, 0; mean 0.25, variance (1.75**2 + 1.25**2 + 2 * 0.25**2) / 3 = 1.58333.
    assert by_chance(first, second, 20) == pytest.approx(1.959964 * (1.58333**0.5) * 2 / 20, rel=1e-5)
    assert by_chance(first, first, 20) == 0


def test_what_chance_may_do_to_the_own_clips_excuses_no_loss_of_general_speech() -> None:
    before = of_clips(*MANY_WRONG, general=NONE_WRONG)
    early = of_clips(*MANY_WRONG, general=NONE_WRONG)
    six_wrong = (*(1,) * 6, *NONE_WRONG[6:])
    late = of_clips(*reversed(MANY_WRONG), general=six_wrong)
    assert by_chance(late.errors, early.errors, 100) > 0.06, "as many own words may be chance"
    assert kept_of(early, late, before=before).step == 0


def test_one_general_word_does_not_make_earlier_weights_the_better_ones() -> None:
    early, late = of_clips(*ONE_WRONG, general=NONE_WRONG), of_clips(*ONE_WRONG, general=ONE_WRONG)
    assert kept_of(early, late, before=early).step == 1


def test_what_is_forgotten_counts_in_full_and_what_is_gained_elsewhere_does_not() -> None:
    before = score(0.5, general=0.1)
    assert kept_of(score(0.3, general=0.1), score(0.2, general=0.3), before=before).step == 0
    assert kept_of(score(0.2, general=0.1), score(0.3, general=0.0), before=before).step == 0


def tuned(found: DevScore) -> Best:
    """Weights at 1, with this score."""
    return Best(step=9, score=found, weights={"w": mx.array([1.0])}, lowest=found)


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
    base, best = {"w": mx.array([0.0])}, tuned(score(abs(1 - ideal)))
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


@pytest.mark.parametrize(("whole", "half", "expected"), [(ONE_WRONG, NONE_WRONG, 1.0), (MANY_WRONG, NONE_WRONG, 0.5)])
def test_where_nothing_is_watched_all_that_was_learned_is_kept_unless_less_is_better_beyond_chance(
    whole: tuple[int, ...], half: tuple[int, ...], expected: float
) -> None:
    alpha, weights, found = choose_alpha(
        {"w": mx.array([0.0])},
        tuned(of_clips(*whole)),
        lambda _: of_clips(*half),
        (0.5, 1.0),
        cost=cost_since(None),
        on_judged=lambda *_: None,
    )
    assert (alpha, weights["w"].item(), found.errors) == (expected, expected, whole if expected == 1 else half)


def test_where_general_speech_is_watched_of_equal_shares_the_one_nearest_to_the_base_is_taken() -> None:
    def judge(weights: dict[str, mx.array]) -> DevScore:
        return score(0.1 if weights["w"].item() > 0.6 else 0.2, general=0.1, loss=9.0)

    alpha, _, _ = choose_alpha(
        {"w": mx.array([0.0])},
        tuned(score(0.1, general=0.1)),
        judge,
        (0.5, 0.75, 1.0),
        cost=cost_since(score(1.0, general=0.1)),
        on_judged=lambda *_: None,
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
        tuned(judge({"w": mx.array([1.0])})),
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
