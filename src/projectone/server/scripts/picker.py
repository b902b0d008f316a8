"""Chooses sentences that together cover the most of what is needed: greedy, lazy, with a guarantee.

The worth of a set of sentences is a sum over units: weight times ``1 - 2^-count``, so each repetition teaches half of
the one before. That is monotone and submodular, so choosing greedily gives at least 1 - 1/e = 63 % of what the best set
of that size is worth (Nemhauser, Wolsey and Fisher, 1978), whatever the corpus. What a sentence adds only shrinks while
the set grows, so an old figure is an upper bound, and most sentences are never looked at again (Minoux, 1978).
"""

from __future__ import annotations

import heapq
from collections import Counter
from collections.abc import Hashable, Iterable, Mapping
from dataclasses import dataclass
from typing import Generic, TypeVar

U = TypeVar("U", bound=Hashable)


@dataclass(frozen=True)
class Pick(Generic[U]):
    """A chosen sentence: what it adds to those before it, in all and by unit (the most first)."""

    name: str
    gain: float
    gains: tuple[tuple[U, float], ...]


def worth(counts: Mapping[U, int], weights: Mapping[U, float]) -> float:
    """What sentences are worth that hold each unit so often."""
    return sum(weight * (1.0 - 0.5 ** counts.get(unit, 0)) for unit, weight in weights.items())


def pick(
    sentences: Mapping[str, Mapping[U, int]], weights: Mapping[U, float], n: int, *, held: Iterable[str] = ()
) -> list[Pick[U]]:
    """At most `n` sentences, the one that adds most first; ends where none adds anything.

    Args:
        sentences: For each sentence how often it holds each unit.
        weights: What each unit is worth; others are worth nothing.
        n: How many.
        held: Sentences that were read already: they count, and are not chosen.
    """
    held = set(held)
    counts: Counter[U] = Counter()
    for name in held & sentences.keys():
        counts.update(sentences[name])
    # The round in which a bound was computed: if it is this one, it is no bound but the gain itself.
    heap = [(-sum(_gains(units, counts, weights).values()), name, 0) for name, units in sentences.items()]
    heap = [entry for entry in heap if entry[1] not in held]
    heapq.heapify(heap)
    picks: list[Pick[U]] = []
    while heap and len(picks) < n:
        bound, name, computed_at = heapq.heappop(heap)
        gains = _gains(sentences[name], counts, weights)
        if computed_at < len(picks):
            heapq.heappush(heap, (-sum(gains.values()), name, len(picks)))
            continue
        if bound >= 0:
            break
        picks.append(Pick(name, -bound, tuple(sorted(gains.items(), key=lambda item: (-item[1], str(item[0]))))))
        counts.update(sentences[name])
    return picks


def _gains(units: Mapping[U, int], counts: Counter[U], weights: Mapping[U, float]) -> dict[U, float]:
    return {unit: weights[unit] * 0.5 ** counts[unit] * (1.0 - 0.5**n) for unit, n in units.items() if unit in weights}
