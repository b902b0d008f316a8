"""Greedy, lazy, and never far from the best."""

from __future__ import annotations

import itertools
import math
import random
from collections import Counter

import pytest

from projectone.server.scripts.picker import pick, worth


def corpus(seed: int, *, n_sentences: int = 12, n_units: int = 9) -> tuple[dict[str, Counter[str]], dict[str, float]]:
    draw = random.Random(seed)
    sentences = {
        f"s{number}": Counter(draw.choices([f"u{unit}" for unit in range(n_units)], k=draw.randint(1, 5)))
        for number in range(n_sentences)
    }
    return sentences, {f"u{unit}": draw.random() for unit in range(n_units)}


def total(names: tuple[str, ...], sentences: dict[str, Counter[str]], weights: dict[str, float]) -> float:
    return worth(sum((sentences[name] for name in names), Counter[str]()), weights)


def greedy(sentences: dict[str, Counter[str]], weights: dict[str, float], n: int) -> list[str]:
    """The plain rule, which looks at every sentence in every round."""
    chosen: list[str] = []
    for _ in range(n):
        rest = sorted(sentences.keys() - set(chosen))
        chosen.append(max(rest, key=lambda name: (total((*chosen, name), sentences, weights), [-ord(c) for c in name])))
    return chosen


@pytest.mark.parametrize("seed", range(20))
def test_being_lazy_changes_nothing(seed: int) -> None:
    sentences, weights = corpus(seed)
    picks = pick(sentences, weights, 5)
    names = tuple(choice.name for choice in picks)
    best = total(tuple(greedy(sentences, weights, 5)), sentences, weights)
    assert total(names, sentences, weights) == pytest.approx(best)
    assert sum(choice.gain for choice in picks) == pytest.approx(best)
    assert [choice.gain for choice in picks] == sorted((choice.gain for choice in picks), reverse=True)


@pytest.mark.parametrize("seed", range(20))
def test_it_is_worth_at_least_what_the_guarantee_says(seed: int) -> None:
    sentences, weights = corpus(seed)
    best = max(total(names, sentences, weights) for names in itertools.combinations(sentences, 3))
    chosen = total(tuple(choice.name for choice in pick(sentences, weights, 3)), sentences, weights)
    assert chosen >= (1 - 1 / math.e) * best


def test_what_was_read_already_counts_and_is_not_chosen_again() -> None:
    sentences = {"a": Counter(x=1), "b": Counter(x=1), "c": Counter(y=1)}
    weights = {"x": 1.0, "y": 0.6}
    assert [choice.name for choice in pick(sentences, weights, 2)] == ["a", "c"]
    assert [choice.name for choice in pick(sentences, weights, 2, held=["a", "gone"])] == ["c", "b"]


def test_it_ends_where_nothing_is_added() -> None:
    assert [choice.name for choice in pick({"a": Counter(x=1), "b": Counter(z=1)}, {"x": 1.0}, 5)] == ["a"]
    assert pick({}, {"x": 1.0}, 5) == []


def test_it_says_what_each_choice_adds() -> None:
    (choice,) = pick({"a": Counter(x=2, y=1)}, {"x": 1.0, "y": 1.0}, 1)
    assert choice.gains == (("x", 0.75), ("y", 0.5))
