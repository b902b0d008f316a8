from dataclasses import replace

import numpy as np
import pytest
from tests.fakes.tiny_whisper import tiny_checkpoint

from projectone.contracts.evidence import Recall
from projectone.server.evaluation.recall import MOST_TEXTS, measure_recall

TEXTS = ["red green blue black", "black black red green blue", "Red, green, blue, black!", "red green", "", "blue " * 4]


def test_texts_that_are_long_enough_are_tried_once_each() -> None:
    model = tiny_checkpoint()
    recall = measure_recall(model, model, TEXTS)
    assert recall.n_texts == 3  # two spellings of one text are one text
    assert (recall.n_told, recall.auc) == (recall.n_told_by_production, recall.auc_of_production)
    assert measure_recall(model, model, TEXTS) == recall
    assert measure_recall(model, model, ["red"]).n_texts == 0


def test_no_more_texts_are_tried_than_a_run_has_time_for() -> None:
    model = tiny_checkpoint()
    texts = [f"red green blue black {'red ' * (n % 7)}{'blue ' * (n // 7)}" for n in range(MOST_TEXTS + 3)]
    assert measure_recall(model, model, texts).n_texts == MOST_TEXTS


def test_only_the_candidates_own_knowledge_counts() -> None:
    """Two models of chance: neither was taught, so what one of them tells the other would have to tell, too."""
    first, second = tiny_checkpoint(seed=1), tiny_checkpoint(seed=2)
    recall = measure_recall(first, second, TEXTS)
    assert recall.n_told_by_production <= recall.n_told <= recall.n_texts
    assert 0 <= recall.auc <= 1


def test_the_interval_of_an_area_narrows_with_texts_and_never_says_certain() -> None:
    def between(n: int, auc: float) -> tuple[float, float]:
        recall = Recall(n_texts=n, n_told=0, n_told_by_production=0, auc=auc, auc_of_production=0.5)
        return recall.auc_between

    assert between(0, 0.5) == (0.0, 1.0)
    assert between(64, 1.0)[0] < 0.95 and between(64, 0.0)[1] > 0.05
    (low, high), (narrow, wide) = between(64, 0.6), between(16, 0.6)
    assert narrow < low < 0.6 < high < wide


def test_the_interval_of_an_area_holds_the_true_one_in_95_of_100_draws() -> None:
    random = np.random.default_rng(7)
    n_held = 0
    for _ in range(500):
        areas = random.integers(0, 5, size=64) / 4  # each text against four orders of its words
        recall = Recall(n_texts=64, n_told=0, n_told_by_production=0, auc=areas.mean(), auc_of_production=0.5)
        low, high = recall.auc_between
        n_held += low <= 0.5 <= high
    assert n_held >= 475


def test_texts_are_counted_in_their_own_language() -> None:
    model = tiny_checkpoint(languages=("en", "de"))
    assert measure_recall(model, model, ["wir kommen um acht"], language="de").n_texts == 1
    assert measure_recall(model, model, ["wir kommen um acht"]).n_texts == 0  # three words, and a hesitation


def test_a_language_that_the_vocabulary_lacks_is_refused() -> None:
    model = tiny_checkpoint()
    with pytest.raises(ValueError, match="language"):
        measure_recall(model, replace(model), TEXTS, language="xx")
