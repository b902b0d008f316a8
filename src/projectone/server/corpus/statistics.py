"""A snapshot in figures that identify nobody: no group of fewer than five people is told apart."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from statistics import median
from typing import Any

from projectone.contracts.consent import ConsentScope
from projectone.contracts.corrections import FAMILY_OF_KIND, SCOPE_OF_KIND
from projectone.contracts.versions import DEFAULT_FAMILY, Family
from projectone.server.corpus.datasets import DatasetItem
from projectone.server.corpus.tables import SampleRow

MIN_PEOPLE = 5
"""The fewest people whom a published figure may be about."""

OTHERS = "others"
NOT_SAID = "not said"
_BIN_S = 2
_MAX_TERMS = 30
_SHORTEST_TERM = 3
_AROUND_WORDS = ".,;:!?\"'()[]-\u2026\u2018\u2019\u201c\u201d"


@dataclass(frozen=True)
class Group:
    """Samples that have something in common: of at least `MIN_PEOPLE` people."""

    name: str
    n_samples: int
    n_people: int
    audio_s: float


@dataclass(frozen=True, kw_only=True)
class Statistics:
    """What may be said of a snapshot.

    Attributes:
        is_told_apart: False where there are fewer people than a figure may be about: then only totals are given.
        accents: As people said themselves, the largest first; small ones are one group.
        kinds: Corrections and donations, or corrected intents.
        languages: By their codes.
        lengths: In bins of two seconds.
        terms: Words that at least `MIN_PEOPLE` people said, with how many times, the most frequent first.
        n_terms_withheld: Different words that fewer people said.
        n_heard: Samples of which it is known what a model heard before they were corrected.
        scopes: Purposes that people agreed to.
        months: First and last month of recording.
        median_person_s: Seconds of the person in the middle.
        family: Whose models learn from it. Sentences have no accents, lengths and words here; recordings no labels.
        labels: What sentences mean, the most frequent first.
    """

    n_samples: int
    n_train: int
    n_dev: int
    n_people: int
    audio_s: float
    is_told_apart: bool
    accents: tuple[Group, ...] = ()
    kinds: tuple[Group, ...] = ()
    languages: tuple[Group, ...] = ()
    lengths: tuple[Group, ...] = ()
    terms: tuple[tuple[str, int], ...] = ()
    n_terms_withheld: int = 0
    n_heard: int = 0
    scopes: tuple[ConsentScope, ...] = ()
    months: tuple[str, str] | None = None
    median_person_s: float | None = None
    family: Family = DEFAULT_FAMILY
    labels: tuple[Group, ...] = ()


def family_of(items: Sequence[DatasetItem], rows: Mapping[str, SampleRow]) -> Family:
    """Whose models learn from a dataset; no dataset is of two families."""
    return FAMILY_OF_KIND[rows[items[0].sample_id].kind] if items else DEFAULT_FAMILY


def describe(items: Sequence[DatasetItem], rows: Mapping[str, SampleRow]) -> Statistics:
    """The figures of a dataset.

    Args:
        items: Its samples.
        rows: The catalog's row for each, by sample id.
    """
    totals: dict[str, Any] = {
        "n_samples": len(items),
        "n_train": sum(item.split == "train" for item in items),
        "n_dev": sum(item.split == "dev" for item in items),
        "n_people": len({item.speaker for item in items}),
        "audio_s": round(sum(item.duration_s for item in items), 1),
        "scopes": tuple(sorted({SCOPE_OF_KIND[rows[item.sample_id].kind] for item in items})),
        "family": family_of(items, rows),
    }
    if totals["n_people"] < MIN_PEOPLE:
        return Statistics(**totals, is_told_apart=False)
    months = sorted(f"{rows[item.sample_id].recorded_at:%Y-%m}" for item in items)
    totals |= {
        "is_told_apart": True,
        "kinds": _largest_first(grouped(items, lambda item: rows[item.sample_id].kind)),
        "languages": _largest_first(grouped(items, lambda item: rows[item.sample_id].language)),
        "n_heard": sum(bool(rows[item.sample_id].heard) for item in items),
        "months": (months[0], months[-1]),
    }
    if totals["family"] == "intents":
        return Statistics(**totals, labels=_largest_first(grouped(items, lambda item: item.text)))
    by_person: defaultdict[str, float] = defaultdict(float)
    for item in items:
        by_person[item.speaker] += item.duration_s
    terms, n_withheld = terms_of(items)
    return Statistics(
        **totals,
        accents=_largest_first(grouped(items, lambda item: rows[item.sample_id].accent or NOT_SAID)),
        lengths=tuple(sorted(grouped(items, _bin), key=lambda group: _bin_start(group.name))),
        terms=terms,
        n_terms_withheld=n_withheld,
        median_person_s=round(median(by_person.values()), 1),
    )


def grouped(items: Iterable[DatasetItem], key: Callable[[DatasetItem], str]) -> list[Group]:
    """Samples by a property; whatever fewer than `MIN_PEOPLE` people share is put together as `OTHERS`.

    What is left for `OTHERS` must be that many people too: if need be the smallest group that could stand alone goes
    with them, because a small remainder could be found by subtracting what is shown from the total.
    """
    found: defaultdict[str, list[DatasetItem]] = defaultdict(list)
    for item in items:
        found[key(item)].append(item)
    by_size = sorted(found, key=lambda name: (len(_people(found[name])), len(found[name]), name))
    rest: list[DatasetItem] = []
    shown: list[Group] = []
    for name in by_size:
        is_small = len(_people(found[name])) < MIN_PEOPLE
        if is_small or (rest and len(_people(rest)) < MIN_PEOPLE):
            rest += found[name]
        else:
            shown.append(_group(name, found[name]))
    if rest and len(_people(rest)) >= MIN_PEOPLE:
        shown.append(_group(OTHERS, rest))
    elif rest:  # nothing was large enough to hide them in
        return []
    return shown


def terms_of(items: Iterable[DatasetItem]) -> tuple[tuple[tuple[str, int], ...], int]:
    """Words that enough people said, with how many times; and how many other words there are.

    A word that few people say may be a name, an address or a number: it is counted and not shown.
    """
    count: Counter[str] = Counter()
    people: defaultdict[str, set[str]] = defaultdict(set)
    for item in items:
        for raw in item.text.lower().split():
            word = raw.strip(_AROUND_WORDS)
            if word:
                count[word] += 1
                people[word].add(item.speaker)
    shown = [(word, n) for word, n in count.most_common() if len(people[word]) >= MIN_PEOPLE]
    long = [(word, n) for word, n in shown if len(word) >= _SHORTEST_TERM]
    return tuple(long[:_MAX_TERMS]), len(count) - len(shown)


def _people(items: Iterable[DatasetItem]) -> set[str]:
    return {item.speaker for item in items}


def _group(name: str, items: Sequence[DatasetItem]) -> Group:
    audio_s = round(sum(item.duration_s for item in items), 1)
    return Group(name, len(items), len(_people(items)), audio_s)


def _largest_first(groups: Iterable[Group]) -> tuple[Group, ...]:
    return tuple(sorted(groups, key=lambda group: (group.name == OTHERS, -group.audio_s, -group.n_samples, group.name)))


def _bin(item: DatasetItem) -> str:
    start = int(item.duration_s // _BIN_S) * _BIN_S
    return f"{start}-{start + _BIN_S} s"


def _bin_start(name: str) -> float:
    return float("inf") if name == OTHERS else float(name.split("-")[0])
