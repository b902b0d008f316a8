"""Numbers that mean what they say."""

from __future__ import annotations

import numpy as np
import pytest

from projectone.assist.calibration import calibration_error, choose_scale, choose_threshold, probabilities


def test_the_scale_that_made_the_answers_is_found_again() -> None:
    draw = np.random.default_rng(0)
    scores = draw.uniform(-1, 1, (4000, 5))
    shares = probabilities(scores, 7.0)
    wanted = np.array([draw.choice(5, p=row) for row in shares])
    assert choose_scale(scores, wanted) == pytest.approx(7.0, rel=0.1)  # 4000 draws
    confidences = shares.max(axis=1)
    is_right = shares.argmax(axis=1) == wanted
    assert calibration_error(confidences, is_right) < 0.03
    assert calibration_error(np.full(4000, 0.99), is_right) > 0.15


@pytest.mark.parametrize(("n_texts", "lowest", "highest"), [(10, 0.80, 0.95), (1000, 0.99, 0.9999)])
def test_a_few_texts_that_are_all_right_are_no_proof_of_certainty(n_texts: int, lowest: float, highest: float) -> None:
    wanted = np.arange(n_texts) % 5
    scores = np.eye(5)[wanted] * 0.8
    confidence = probabilities(scores, choose_scale(scores, wanted)).max(axis=1).mean()
    assert lowest < confidence < highest


def test_the_threshold_lies_between_what_has_a_label_and_what_has_none() -> None:
    fits = np.array([0.9, 0.8, 0.7, 0.3, 0.2])
    chosen = choose_threshold(fits, np.array([1, 1, 1, 0, 0], bool), np.array([1, 1, 1, 0, 0], bool))
    assert chosen.value == pytest.approx(0.5)
    assert (chosen.in_scope_accuracy, chosen.out_of_scope_recall) == (1.0, 1.0)
    assert (chosen.n_in_scope, chosen.n_out_of_scope) == (3, 2)


def test_where_what_is_nearest_is_always_wrong_everything_is_refused() -> None:
    chosen = choose_threshold(np.array([0.1, 0.2, 0.3, 0.9]), np.zeros(4, bool), np.array([1, 1, 0, 0], bool))
    assert chosen.value > 0.9
    assert (chosen.in_scope_accuracy, chosen.out_of_scope_recall) == (0.0, 1.0)


def test_without_texts_that_have_no_label_nineteen_of_twenty_right_answers_stay() -> None:
    fits = np.linspace(0, 1, 101)
    chosen = choose_threshold(fits, np.ones(101, bool), np.ones(101, bool))
    assert chosen.value == pytest.approx(0.05)
    assert chosen.out_of_scope_recall is None
    with pytest.raises(ValueError, match="with a label"):
        choose_threshold(fits, np.ones(101, bool), np.zeros(101, bool))
