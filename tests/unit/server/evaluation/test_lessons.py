"""What is asked of recordings: which are drawn, which word is covered, and what two models' answers come to."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
from tests.fakes.tiny_whisper import RATE_HZ, say, tiny_checkpoint

from projectone.errors import DataError
from projectone.server.evaluation import lessons as lessons_module
from projectone.server.evaluation.lessons import (
    MOST_RECORDINGS,
    Recording,
    area,
    cover,
    is_written,
    loss_of,
    measure_masking,
    measure_membership,
)
from projectone.speech.words import place_words

MODEL = tiny_checkpoint()


def recording(number: int, text: str | None = None, speaker: str | None = None) -> Recording:
    text = text or " ".join(("red", "green", "blue", "black")[number // 4**place % 4] for place in range(4))
    sound = say(text.lower(), seed=number)
    return Recording(str(number), speaker or f"s{number % 8}", text, sound.size / RATE_HZ, lambda: sound)


def gone(number: int) -> Recording:
    def read() -> np.ndarray:
        raise DataError("clip-missing", "it has expired")

    return Recording(str(number), "s", "red green blue", 1.0, read)


@pytest.mark.parametrize(
    ("hypothesis", "is_there"),
    [
        ("Call Anna now", True),
        ("call ANNA, please", True),
        ("well call Anna now", True),
        ("call Ann now", False),
        ("call now", False),
        ("Anna", True),
        ("", False),
    ],
)
def test_a_covered_word_is_guessed_only_if_it_stands_in_its_place(hypothesis: str, is_there: bool) -> None:
    assert is_written("Call Anna now!", 1, hypothesis) == is_there


def test_noise_stands_where_the_word_was_and_is_as_loud() -> None:
    sound = say("red green blue", seed=1)
    covered = cover(sound, 0.3, 0.6, seed=7)
    first, last = round(0.3 * RATE_HZ), round(0.6 * RATE_HZ)
    assert (covered[:first] == sound[:first]).all() and (covered[last:] == sound[last:]).all()
    assert abs(np.corrcoef(covered[first:last], sound[first:last])[0, 1]) < 0.1
    assert covered[first:last].std() == pytest.approx(sound[first:last].std(), rel=0.1)
    assert (cover(sound, 0.3, 0.6, seed=7) == covered).all()
    assert cover(np.zeros(RATE_HZ, np.float32), 0.3, 0.6, seed=7)[first:last].std() > 0


def test_every_word_of_a_text_has_its_time() -> None:
    timings = place_words(MODEL, say("red green blue", seed=1), "Red, green blue!", language="en")
    assert [timing.text for timing in timings] == ["Red,", "green", "blue!"]
    assert all(before.end_s <= after.start_s for before, after in pairwise(timings))


def test_the_same_model_twice_gains_nothing_and_the_same_recordings_are_drawn_each_time() -> None:
    lessons, others = [recording(n) for n in range(40)], [recording(n) for n in range(100, 150)]
    masking = measure_masking(MODEL, MODEL, lessons, others)
    assert masking.n_lessons == masking.n_others == MOST_RECORDINGS
    assert masking.n_guessed == masking.n_guessed_by_production and masking.excess == 0
    membership = measure_membership(MODEL, MODEL, lessons, others)
    assert (membership.n_lessons, membership.auc) == (MOST_RECORDINGS, 0.5)
    assert measure_masking(MODEL, MODEL, lessons[::-1], others) == masking


def test_what_is_gone_too_long_or_a_single_word_is_not_asked_for() -> None:
    long = Recording("long", "s", "red green", 99.0, lambda: np.zeros(RATE_HZ, np.float32))
    lessons = [recording(1), gone(2), long, recording(3, "red")]
    masking = measure_masking(MODEL, MODEL, lessons, [gone(5)])
    assert (masking.n_lessons, masking.n_others, masking.excess_low, masking.excess_high) == (1, 0, -2, 1)
    membership = measure_membership(MODEL, MODEL, lessons, [])
    assert (membership.n_lessons, membership.auc_low, membership.auc_high) == (1, 0, 1)


def test_a_script_that_three_people_read_is_nobodys_secret() -> None:
    read_aloud = [recording(n, "red green blue black", speaker=f"s{n % 3}") for n in range(6)]
    own = [recording(n, "green green blue", speaker=f"s{n % 2}") for n in range(6, 9)]
    others = [recording(20)]
    assert measure_masking(MODEL, MODEL, [*read_aloud, *own], others).n_lessons == 3
    assert measure_membership(MODEL, MODEL, [*read_aloud, *own], others).n_lessons == 3
    assert measure_membership(MODEL, MODEL, read_aloud[:2], others).n_lessons == 2


def test_the_interval_of_an_area_holds_the_true_one_in_about_95_of_100_draws_of_people() -> None:
    """Clips of a person resemble each other: with an interval over clips it would be far fewer."""
    random = np.random.default_rng(3)
    people = [str(n // 4) for n in range(32)]
    n_held = 0
    for _ in range(200):
        sides = [np.repeat(random.standard_normal(8), 4) + 0.3 * random.standard_normal(32) for _ in range(2)]
        found = area(sides[0], sides[1], people, people)
        n_held += found.auc_low <= 0.5 <= found.auc_high
    assert n_held >= 0.88 * 200


def test_a_model_that_forgot_what_it_was_taught_and_learned_the_rest_is_a_figure_like_any_other(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    # Of lessons what production and the candidate write, then of the others.
    answers = iter([[True, True], [False, False], [False, False], [True, True]])
    monkeypatch.setattr(lessons_module, "_are_written", lambda model, found: next(answers))
    found = measure_masking(MODEL, MODEL, [recording(1), recording(2)], [recording(3), recording(4)])
    assert (found.n_guessed_by_production, found.n_guessed) == (2, 0)
    assert (found.n_guessed_of_others_by_production, found.n_guessed_of_others) == (0, 2)
    assert (found.excess, found.excess_low) == (-2, -2)


def test_two_people_speak_for_themselves() -> None:
    people = ["a", "b"] * 10
    found = area(np.linspace(0, 1, 20), np.linspace(0.5, 1.5, 20), people, people)
    assert 0.6 < found.auc_low < found.auc < found.auc_high < 1


def test_a_loss_is_that_of_the_text_and_its_end() -> None:
    sound = say("red green", seed=1)
    losses = [loss_of(MODEL, sound, text) for text in ("red green", "Red green ", "blue black blue")]
    assert all(0 < loss < 20 for loss in losses) and losses[0] != losses[2]
