"""Words that are stable stay, whatever is heard later."""

from __future__ import annotations

import random

import pytest

from projectone.device.live.agreement import Agreement, length_of_match

SECOND = 32_000


def test_a_word_that_is_heard_twice_is_stable() -> None:
    agreement = Agreement()
    agreement.hear(["call", "Ann"], SECOND, is_cut_off=True)
    assert (agreement.stable, agreement.tentative) == ([], ["call", "Ann"])
    agreement.hear(["Call", "Ana", "at"], 2 * SECOND, is_cut_off=True)
    assert (agreement.stable, agreement.tentative) == (["Call"], ["Ana", "at"])
    agreement.hear(["call", "Ana", "at", "nine"], 3 * SECOND, is_cut_off=True)
    assert (agreement.stable, agreement.tentative) == (["Call", "Ana", "at"], ["nine"])


def test_the_last_word_may_be_half_a_word_until_a_pause() -> None:
    agreement = Agreement()
    agreement.hear(["seven"], SECOND, is_cut_off=True)
    agreement.hear(["seven"], 2 * SECOND, is_cut_off=True)
    assert agreement.stable == []
    agreement.hear(["seven"], 3 * SECOND, is_cut_off=False)
    assert agreement.stable == ["seven"]


def test_two_looks_at_nearly_the_same_sound_agree_on_nothing() -> None:
    agreement = Agreement()
    agreement.hear(["won", "too"], SECOND, is_cut_off=False)
    agreement.hear(["won", "too"], SECOND + 3200, is_cut_off=False)
    assert agreement.stable == []


def test_a_word_that_the_model_forgets_again_stays_and_shifts_nothing() -> None:
    agreement = Agreement(["one", "two", "three"])
    agreement.hear(["two", "three", "four"], SECOND, is_cut_off=True)
    assert (agreement.stable, agreement.tentative) == (["one", "two", "three"], ["four"])


@pytest.mark.parametrize(
    ("known", "words", "length"),
    [
        ([], ["a"], 0),
        (["a", "b"], ["a", "b", "c"], 2),
        (["a", "b"], ["a", "x", "c"], 2),
        (["a", "b"], ["b", "c"], 1),
        (["a", "b"], ["a", "and", "b", "c"], 3),
        (["a", "b"], [], 0),
        (["A,"], ["a", "b"], 1),
    ],
)
def test_a_hypothesis_is_laid_against_what_is_known(known: list[str], words: list[str], length: int) -> None:
    assert length_of_match(known, words) == length


def test_a_window_that_ends_keeps_its_stable_words_and_carries_the_others() -> None:
    agreement = Agreement(["one", "two", "three"])
    assert agreement.settle(["one", "two"]) == (["one", "two"], ["three"])
    assert agreement.settle(["one", "two", "three", "four"]) == (["one", "two", "three", "four"], [])
    assert agreement.settle([]) == ([], ["one", "two", "three"])


def test_no_stable_word_ever_changes_whatever_a_model_says() -> None:
    chance = random.Random(0)
    for _ in range(200):
        settled: list[str] = []
        agreement, shown, at = Agreement(), [], 0
        for _ in range(30):
            at += chance.randrange(1000, SECOND)
            words = [chance.choice("abc") for _ in range(chance.randrange(6))]
            if chance.random() < 0.2:
                done, carried = agreement.settle(words)
                settled, agreement = [*settled, *done], Agreement(carried)
            else:
                agreement.hear(words, at, is_cut_off=chance.random() < 0.5)
            now = [*settled, *agreement.stable]
            assert now[: len(shown)] == shown
            shown = now
