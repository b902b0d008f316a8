"""Whether a sentence and its label can teach anything: each alone, beside the others, and how much of one kind.

Whose label is right is not decided here. Where people disagree about a sentence, those in the minority wait for a
person; where nobody is a clear minority, all of them do.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final, Generic, Protocol, TypeVar

from projectone.contracts.assist import clean_utterance, label_of
from projectone.errors import DataError
from projectone.server.corpus.caps import CapLimits, Contributed, cap_release
from projectone.server.corpus.duplicates import NEAR_DUPLICATE, SUPERSEDED, Copy, Corrected, bare
from projectone.server.corpus.validation import LABEL_CONFLICT, LABEL_UNKNOWN, Findings, doubts_of

AGREED_BY: Final = 3
"""So many people, who did not become known together, must say one label before another one is a minority's."""

_MARGIN: Final = 3
"""So many times as many as all who say otherwise."""


class Labelled(Corrected, Contributed, Protocol):
    """A corrected intent, as far as it matters here. Its `text` is the target: a label, or none of these."""


S = TypeVar("S", bound=Labelled)


def check_utterance(
    sentence: str,
    target: str,
    *,
    labels: Collection[str],
    language: str = "en",
    guess: str | None = None,
    holds_personal: bool = True,
) -> Findings:
    """What speaks against one corrected intent, by itself.

    Args:
        sentence: The payload.
        target: What it is said to mean, as samples keep it.
        labels: Those that are taught.
        language: Of the sentence.
        guess: What a classifier took it for, as samples keep it.
        holds_personal: Whether personal data in the sentence is a doubt.

    Returns:
        To discard: ``text-*`` or ``label-unknown``. To hold: ``foreign-letters`` and the kinds of personal data.
    """
    try:
        clean = clean_utterance(sentence)
    except DataError as error:
        return Findings(error.reason)
    label = label_of(target)
    measures = {"n_words": float(len(clean.split()))}
    if guess is not None:
        measures["is_confirmed"] = float(guess == target)
    if label is not None and label not in labels:
        return Findings(LABEL_UNKNOWN, (), measures)
    return Findings(None, doubts_of(clean, language, holds_personal), measures)


def same_sentences(samples: Sequence[Labelled], sentences: Sequence[str]) -> dict[str, Copy]:
    """Samples that say again what another one says, and that one, by id: a sentence with one label teaches once.

    The newest label of each person counts. Of those who agree the one that was learned from stays, or else the first.
    Other labels of other people are no copies; see `disputed`.

    Args:
        samples: In the order in which they came.
        sentences: Theirs, in the same order.
    """
    found: dict[str, Copy] = {}
    for group in _groups(samples, sentences).values():
        newest = _newest_of_each(group)
        for sample in group:
            if sample is not (own := newest[sample.contributor_id]):
                found[sample.sample_id] = Copy(SUPERSEDED, own.sample_id)
        first: dict[str, Labelled] = {}
        for sample in sorted(newest.values(), key=lambda one: (one.is_new, group.index(one))):
            kept = first.setdefault(sample.text, sample)
            if kept is not sample:
                found[sample.sample_id] = Copy(NEAR_DUPLICATE, kept.sample_id)
    return found


def disputed(samples: Sequence[Labelled], sentences: Sequence[str]) -> dict[str, str]:
    """New samples whose sentence means something else to somebody else, with the reason to hold them, by id.

    A label that at least `AGREED_BY` people share, and three times as many as say otherwise, is not held: one stranger
    cannot stop what everybody else agrees on. People who became known together count as one.

    Args:
        samples: In the order in which they came; those that were learned from too.
        sentences: Theirs, in the same order.
    """
    found: dict[str, str] = {}
    for group in _groups(samples, sentences).values():
        newest = _newest_of_each(group).values()
        people: defaultdict[str, set[str]] = defaultdict(set)
        for sample in newest:
            people[sample.text].add(sample.cluster or sample.contributor_id)
        if len(people) > 1:
            agreed = _agreed(people)
            found |= {one.sample_id: LABEL_CONFLICT for one in newest if one.is_new and one.text != agreed}
    return found


def said_in(samples: Sequence[Labelled], sentences: Sequence[str], golden: Iterable[str]) -> frozenset[str]:
    """Samples whose sentence, but for case and signs, is one of those on which models are judged."""
    known = {bare(sentence) for sentence in golden}
    return frozenset(s.sample_id for s, sentence in zip(samples, sentences, strict=True) if bare(sentence) in known)


def cap_intents(new: Sequence[S], earlier: Sequence[S], sentences: Mapping[str, str], limits: CapLimits) -> list[S]:
    """The new samples that a run may learn from: no person and no crowd of strangers makes up a label or a phrase.

    The limits of recordings hold twice: where they look at words, once for the labels and once for the sentences.

    Args:
        new: Oldest first.
        earlier: What released models learned from; it stays.
        sentences: Of all of them, by sample id.
        limits: What is allowed.
    """
    kept = list(new)
    # A label is one word: what two of them have in common is nobody's phrase.
    for words in ({s.sample_id: bare(s.text) for s in (*new, *earlier)}, sentences):
        before = [_Worded(sample, words[sample.sample_id]) for sample in earlier]
        found = cap_release([_Worded(sample, words[sample.sample_id]) for sample in kept], before, limits)
        kept = [one.sample for one in found]
    return kept


@dataclass(frozen=True)
class _Worded(Generic[S]):
    """A sample whose words, for the caps, are those of its sentence."""

    sample: S
    text: str

    @property
    def contributor_id(self) -> str:
        return self.sample.contributor_id

    @property
    def cluster(self) -> str | None:
        return self.sample.cluster

    @property
    def duration_s(self) -> float:
        return self.sample.duration_s


def _agreed(people: Mapping[str, Collection[str]]) -> str | None:
    """The label that so many say that the others are a minority; None if there is none."""
    most = max(people, key=lambda label: (len(people[label]), label))
    others = {person for label, said in people.items() if label != most for person in said}
    return most if len(people[most]) >= max(AGREED_BY, _MARGIN * len(others)) else None


def _newest_of_each(group: Iterable[Labelled]) -> dict[str, Labelled]:
    newest: dict[str, Labelled] = {}
    for sample in group:
        known = newest.get(sample.contributor_id)
        if known is None or sample.recorded_at >= known.recorded_at:
            newest[sample.contributor_id] = sample
    return newest


def _groups(samples: Sequence[Labelled], sentences: Sequence[str]) -> Mapping[str, list[Labelled]]:
    groups: defaultdict[str, list[Labelled]] = defaultdict(list)
    for sample, sentence in zip(samples, sentences, strict=True):
        groups[bare(sentence)].append(sample)
    return groups
