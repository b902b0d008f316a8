"""Three bits of a vector: the same everywhere, as many sentences in each part, and moved by what they are about."""

from __future__ import annotations

import numpy as np

from projectone.assist.classifiers import Head
from projectone.assist.protocols import Judgement
from projectone.assist.sketches import sketches


def vectors(n: int, width: int = 384, seed: int = 0) -> np.ndarray:
    found = np.random.default_rng(seed).standard_normal((n, width)).astype(np.float32)
    return np.asarray(found / np.linalg.norm(found, axis=1, keepdims=True))


def test_parts_are_the_same_everywhere() -> None:
    # Worked out by whole numbers: of each plane the bit of the digest at this place.
    rows = np.eye(384, dtype=np.float32)[[0, 1, 2, 3, 4, 5, 6, 7, 255, 256, 383]]
    assert sketches(rows) == [5, 1, 2, 5, 2, 6, 7, 5, 0, 5, 2]
    assert sketches(np.zeros((1, 384), np.float32)) == [0]


def test_as_many_sentences_lie_in_each_part_and_scale_changes_nothing() -> None:
    found = sketches(vectors(4_000))
    assert np.all(np.abs(np.bincount(found, minlength=8) - 500) < 120)
    assert sketches(vectors(50) * 7) == found[:0] + sketches(vectors(50))


def test_a_topic_moves_the_parts() -> None:
    topic = vectors(1, seed=9)
    assert np.sum(np.bincount(sketches(vectors(400) * 0.5 + topic), minlength=8) > 0) <= 4


def test_a_classifier_says_the_part_and_two_judgements_differ_not_by_it() -> None:
    head = Head(("a", "b"), vectors(2, seed=3), 10.0, 0.0, {})
    rows = vectors(5)
    assert [judged.sketch for judged in head.judge(rows)] == sketches(rows)
    assert Judgement("a", "a", 1.0, 1.0, 3) == Judgement("a", "a", 1.0, 1.0)
