"""How much one person, or a phrase that many strangers say, may weigh in a release. What is over waits for a later run.

Nobody's voice and no poisoner makes up a release, and who opens fifty accounts to teach one phrase is held to what two
people may. While few people contribute at all, each of them is known to the operator and weighs what `max_new` allows.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Protocol, TypeVar

_PHRASE_WORDS = 3


class Contributed(Protocol):
    """What the caps look at."""

    @property
    def contributor_id(self) -> str:
        """Who gave it."""

    @property
    def text(self) -> str:
        """What it is said to hold."""

    @property
    def duration_s(self) -> float:
        """Its length."""


S = TypeVar("S", bound=Contributed)


@dataclass(frozen=True, kw_only=True)
class CapLimits:
    """What one run takes of new samples. A stranger is who has given less than `trusted_from` samples to releases.

    Attributes:
        max_new: Of anybody.
        max_new_stranger: Of a stranger.
        stranger_share: Of a stranger, as a fraction of all seconds that the run learns from, earlier ones included.
        stranger_floor_s: Seconds that a stranger may give however small that is.
        max_new_per_phrase: Of all strangers together, with the same three words in a row (or the same whole text, if it
            is shorter).
        trusted_from: Samples that released models learned from; then a person is no stranger any more.
        few_people: With fewer contributors than this nobody counts as a stranger.
    """

    max_new: int = 100
    max_new_stranger: int = 20
    stranger_share: float = 0.005
    stranger_floor_s: float = 60.0
    max_new_per_phrase: int = 40
    trusted_from: int = 20
    few_people: int = 20


def cap_release(new: Sequence[S], earlier: Iterable[Contributed], limits: CapLimits) -> list[S]:
    """The new samples that a run may learn from, in their order.

    Args:
        new: Oldest first; each person's oldest are taken.
        earlier: What released models learned from; it stays.
        limits: What is allowed.
    """
    used: Counter[str] = Counter()
    earlier_s = 0.0
    for sample in earlier:
        used[sample.contributor_id] += 1
        earlier_s += sample.duration_s
    if len({sample.contributor_id for sample in new} | used.keys()) < limits.few_people:
        return _first_of_each(new, dict.fromkeys((s.contributor_id for s in new), limits.max_new))
    strangers = {s.contributor_id for s in new if used[s.contributor_id] < limits.trusted_from}
    most = {
        sample.contributor_id: limits.max_new_stranger if sample.contributor_id in strangers else limits.max_new
        for sample in new
    }
    kept = _first_of_each(new, most)
    seconds = limits.stranger_share * (earlier_s + sum(sample.duration_s for sample in kept))
    kept = _within_seconds(kept, strangers, max(seconds, limits.stranger_floor_s))
    return _within_phrases(kept, strangers, limits.max_new_per_phrase)


def count_release(contributor_ids: Iterable[str], used: Counter[str], limits: CapLimits) -> int:
    """How many of these new samples a run may take at most, by their contributors alone.

    Args:
        contributor_ids: Of each new sample.
        used: How many samples of each person released models learned from.
        limits: What is allowed.
    """
    count = Counter(contributor_ids)
    is_small = len(count.keys() | used.keys()) < limits.few_people
    return sum(
        min(n, limits.max_new if is_small or used[person] >= limits.trusted_from else limits.max_new_stranger)
        for person, n in count.items()
    )


def _first_of_each(samples: Sequence[S], most: dict[str, int]) -> list[S]:
    count: Counter[str] = Counter()
    kept = []
    for sample in samples:
        count[sample.contributor_id] += 1
        if count[sample.contributor_id] <= most[sample.contributor_id]:
            kept.append(sample)
    return kept


def _within_seconds(samples: Sequence[S], strangers: set[str], most_s: float) -> list[S]:
    taken_s: defaultdict[str, float] = defaultdict(float)
    kept = []
    for sample in samples:
        if sample.contributor_id in strangers:
            if taken_s[sample.contributor_id] + sample.duration_s > most_s:
                continue
            taken_s[sample.contributor_id] += sample.duration_s
        kept.append(sample)
    return kept


def _within_phrases(samples: Sequence[S], strangers: set[str], most: int) -> list[S]:
    """One of each person's, then the next of each: among fifty accounts an honest one gets its turn too."""
    turns: Counter[str] = Counter()
    ordered = []
    for place, sample in enumerate(samples):
        ordered.append((turns[sample.contributor_id], place))
        turns[sample.contributor_id] += 1
    count: Counter[str] = Counter()
    kept = set()
    for _, place in sorted(ordered):
        sample = samples[place]
        phrases = phrases_of(sample.text) if sample.contributor_id in strangers else frozenset()
        if all(count[phrase] < most for phrase in phrases):
            count.update(phrases)
            kept.add(place)
    return [sample for place, sample in enumerate(samples) if place in kept]


def phrases_of(text: str) -> frozenset[str]:
    """Every three words in a row, in lower case and without signs; a shorter text is one phrase."""
    words = "".join(c if c.isalnum() else " " for c in text.casefold()).split()
    rows = range(max(1, len(words) - _PHRASE_WORDS + 1))
    return frozenset(" ".join(words[start : start + _PHRASE_WORDS]) for start in rows)
