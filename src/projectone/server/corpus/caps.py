"""How much one person, or a phrase that many strangers say, may weigh in a release. What is over waits for a later run.

Nobody's voice and no poisoner makes up a release, and who opens fifty accounts to teach one phrase is held to what two
people may. What hardly anybody else says is taken slowly: a trigger of one word looks like that, and so does a surname,
which is learned all the same, three clips in each run. While few people contribute at all, each of them is known to the
operator and weighs what `max_new` allows.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol, TypeVar

_PHRASE_WORDS = 3
_CLUSTER, _VOICE = "\n", "\r"  # in no row of words


class Contributed(Protocol):
    """What the caps look at."""

    @property
    def contributor_id(self) -> str:
        """Who gave it."""

    @property
    def cluster(self) -> str | None:
        """Who became known together with them; None if that is not known."""

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
        max_new_per_cluster: Of all strangers who became known together: as many as two of them may give. Of all who
            have one voice, as many again.
        max_new_rare: Of all strangers together, with the same one to three words in a row that fewer than `rare_people`
            ever said.
        rare_people: From so many people on a word is nobody's own any more; those who became known together, or have
            one voice, are one.
        trusted_from: Samples that released models learned from; then a person is no stranger any more.
        few_people: With fewer contributors than this nobody counts as a stranger.
    """

    max_new: int = 100
    max_new_stranger: int = 20
    stranger_share: float = 0.005
    stranger_floor_s: float = 60.0
    max_new_per_phrase: int = 40
    max_new_per_cluster: int = 40
    max_new_rare: int = 3
    rare_people: int = 3
    trusted_from: int = 20
    few_people: int = 20


def cap_release(
    new: Sequence[S], earlier: Iterable[Contributed], limits: CapLimits, voices: Mapping[str, str] | None = None
) -> list[S]:
    """The new samples that a run may learn from, in their order.

    Args:
        new: Oldest first; each person's oldest are taken.
        earlier: What released models learned from; it stays.
        limits: What is allowed.
        voices: Strangers whose clips are one person's voice, to a name that they share; who is not there has their own.
    """
    voices = voices or {}
    earlier = list(earlier)
    earlier_s = sum(sample.duration_s for sample in earlier)
    strangers = strangers_among(new, earlier, limits)
    if strangers is None:
        return _first_of_each(new, dict.fromkeys((s.contributor_id for s in new), limits.max_new))
    most = {
        sample.contributor_id: limits.max_new_stranger if sample.contributor_id in strangers else limits.max_new
        for sample in new
    }
    kept = _first_of_each(new, most)
    seconds = limits.stranger_share * (earlier_s + sum(sample.duration_s for sample in kept))
    kept = _within_seconds(kept, strangers, max(seconds, limits.stranger_floor_s))
    rare = _rare_words([s for s in kept if s.contributor_id in strangers], [*earlier, *kept], limits, voices)
    return _within_phrases(kept, strangers, rare, limits, voices)


def strangers_among(
    new: Sequence[Contributed], earlier: Iterable[Contributed], limits: CapLimits
) -> frozenset[str] | None:
    """Those who gave new samples and little before; None while so few people contribute that nobody counts as one."""
    used = Counter(sample.contributor_id for sample in earlier)
    people = {sample.contributor_id for sample in new}
    if len(people | used.keys()) < limits.few_people:
        return None
    return frozenset(person for person in people if used[person] < limits.trusted_from)


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


def _within_seconds(samples: Sequence[S], strangers: frozenset[str], most_s: float) -> list[S]:
    taken_s: defaultdict[str, float] = defaultdict(float)
    kept = []
    for sample in samples:
        if sample.contributor_id in strangers:
            if taken_s[sample.contributor_id] + sample.duration_s > most_s:
                continue
            taken_s[sample.contributor_id] += sample.duration_s
        kept.append(sample)
    return kept


def _rare_words(
    new: Sequence[S], everything: Iterable[Contributed], limits: CapLimits, voices: Mapping[str, str]
) -> set[str]:
    """Words in a row that are in more of the new clips than are taken, and that too few people ever said."""
    count = Counter(row for sample in new for row in word_rows(sample.text))
    people: dict[str, set[str]] = {row: set() for row, n in count.items() if n > limits.max_new_rare}
    for sample in everything if people else ():
        for row in word_rows(sample.text):
            # Who is known by now needs no more names: a common word has as many as there are people.
            if (known := people.get(row)) is not None and len(known) < limits.rare_people:
                known.add(voices.get(sample.contributor_id) or sample.cluster or sample.contributor_id)
    return {row for row, known in people.items() if len(known) < limits.rare_people}


def _within_phrases(
    samples: Sequence[S], strangers: frozenset[str], rare: set[str], limits: CapLimits, voices: Mapping[str, str]
) -> list[S]:
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
        most: dict[str, int] = {}
        if sample.contributor_id in strangers:
            most = dict.fromkeys(phrases_of(sample.text), limits.max_new_per_phrase)
            if sample.cluster is not None:
                most[f"{_CLUSTER}{sample.cluster}"] = limits.max_new_per_cluster
            if (voice := voices.get(sample.contributor_id)) is not None:
                most[f"{_VOICE}{voice}"] = limits.max_new_per_cluster
            if rare:
                most |= dict.fromkeys(word_rows(sample.text) & rare, limits.max_new_rare)
        if all(count[row] < limit for row, limit in most.items()):
            count.update(most.keys())
            kept.add(place)
    return [sample for place, sample in enumerate(samples) if place in kept]


def phrases_of(text: str) -> frozenset[str]:
    """Every three words in a row, in lower case and without signs; a shorter text is one phrase."""
    words = _words(text)
    return _rows(words, min(_PHRASE_WORDS, max(1, len(words))))


def word_rows(text: str) -> frozenset[str]:
    """Every one to three words in a row, in lower case and without signs."""
    words = _words(text)
    return frozenset().union(*(_rows(words, n) for n in range(1, min(_PHRASE_WORDS, len(words)) + 1)))


def _words(text: str) -> list[str]:
    return "".join(c if c.isalnum() else " " for c in text.casefold()).split()


def _rows(words: Sequence[str], n: int) -> frozenset[str]:
    return frozenset(" ".join(words[start : start + n]) for start in range(max(1, len(words) - n + 1)))
