"""Better, worse or too few to tell: exact where it can be counted by hand, simulated where it cannot."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from benchmarks.acceptance import Person, share_refused

from projectone.device.acceptance.judging import ALPHA, REFUSED, Pair, judge, sign_flip


def pairs(*wrong: tuple[int, int], n_words: int = 10) -> list[Pair]:
    return [Pair(n_words, before, after) for before, after in wrong]


@pytest.mark.parametrize("seed", range(5))
def test_the_chance_is_the_share_of_all_ways_to_turn_the_signs(seed: int) -> None:
    differences = [int(item) for item in np.random.default_rng(seed).integers(-4, 5, 9)]
    sums = [sum(map(int.__mul__, signs, differences)) for signs in itertools.product((1, -1), repeat=9)]
    assert sign_flip(differences) == pytest.approx(np.mean([item >= sum(differences) for item in sums]), abs=1e-12)


def test_recordings_that_do_not_differ_say_nothing_either_way() -> None:
    assert sign_flip([0] * 30) == 1.0
    assert judge(pairs(*[(2, 2)] * 30)).verdict == "as-good"


def test_five_recordings_that_all_got_worse_are_enough_and_four_are_not() -> None:
    assert judge(pairs(*[(1, 2)] * 5)).verdict == "worse"
    assert judge(pairs(*[(1, 2)] * 4)).verdict == "untold"


def test_one_recording_that_fell_apart_does_not_outweigh_many_that_got_better() -> None:
    assert judge([*pairs(*[(3, 2)] * 9), Pair(40, 0, 40)]).verdict == "as-good"


def test_a_collapse_needs_no_more_than_one_recording() -> None:
    judged = judge([Pair(8, 1, 8)])
    assert (judged.verdict, judged.p_worse) == ("collapsed", 0.5)


def test_hearing_nothing_right_is_no_collapse_where_the_old_model_heard_no_better() -> None:
    assert judge(pairs((8, 10), (9, 10))).verdict == "untold"


def test_a_model_that_is_better_is_called_so() -> None:
    judged = judge(pairs(*[(3, 1)] * 6))
    assert (judged.verdict, judged.wrong_before, judged.wrong_after, judged.n_words) == ("better", 18, 6, 60)


def test_more_wrong_than_there_are_words_is_no_pair() -> None:
    with pytest.raises(ValueError, match="expected 0 <= wrong"):
        Pair(3, 0, 4)


@pytest.mark.parametrize("is_selected", [False, True])
def test_a_model_that_is_as_good_is_refused_no_more_often_than_was_promised(is_selected: bool) -> None:
    """400 people; three standard errors of a share of `ALPHA` are 3.3 percent."""
    person = Person(n_recordings=20, wer_before=0.12, wer_after=0.12, is_selected=is_selected)
    assert share_refused(person, n_runs=400, seed=1) <= ALPHA + 0.033


def test_a_model_that_is_twice_as_bad_is_found() -> None:
    person = Person(n_recordings=40, wer_before=0.12, wer_after=0.24)
    assert share_refused(person, n_runs=100, seed=2) >= 0.9


def test_without_the_test_chance_alone_would_refuse_half_of_all_good_models() -> None:
    """The control: whoever only compares sums refuses as often as a coin."""
    person = Person(n_recordings=20, wer_before=0.12, wer_after=0.12)
    assert (
        share_refused(person, n_runs=400, seed=1, rule=lambda drawn: judge(drawn, alpha=0.5).verdict in REFUSED) > 0.3
    )
