"""What a model gets wrong, counted over many people: words, the sounds in them, and sounds that follow each other.

A need is named only if enough people were misheard in it; nobody's text can be read from the table. Errors of people
whose accent is rare among the recordings weigh more: the model has learned least from them.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Final, Literal

from projectone.server.scripts.sounds import pairs_of
from projectone.speech.normalize import normalize_text
from projectone.speech.wer import align

Kind = Literal["word", "sound", "pair"]
KINDS: Final[tuple[Kind, ...]] = ("word", "sound", "pair")
MIN_SPEAKERS: Final = 5
"""Fewer people than this name no need, no accent and no confusion (k-anonymity)."""

_MOST_ACCENT_WEIGHT = 4.0

Pronounce = Callable[[str], tuple[str, ...]]
"""A word to its sounds; empty where nobody knows how it is said."""


@dataclass(frozen=True)
class Listening:
    """What was said, what the model wrote, and who spoke."""

    said: str
    heard: str
    speaker: str
    accent: str | None = None


@dataclass(frozen=True)
class Need:
    """Something the model should hear more of.

    Attributes:
        kind: What it is.
        name: The word, the sound, or two sounds with a space between.
        n: How often it was said.
        n_wrong: How often it was misheard.
        n_speakers: How many people were misheard in it.
        weight: Its share of all needs of its kind; these sum to 1.
        heard_as: What it was mostly taken for; None if too few people were misheard so.
    """

    kind: Kind
    name: str
    n: int
    n_wrong: int
    n_speakers: int
    weight: float
    heard_as: str | None = None

    @property
    def unit(self) -> tuple[Kind, str]:
        """What the picker counts."""
        return self.kind, self.name


class _Tally:
    """Counts of one unit."""

    def __init__(self) -> None:
        self.n = self.n_wrong = 0
        self.errors = 0.0
        self.speakers: set[str] = set()
        self.taken_for: defaultdict[str, set[str]] = defaultdict(set)


def find_needs(
    listenings: Iterable[Listening], pronounce: Pronounce, *, min_speakers: int = MIN_SPEAKERS
) -> tuple[Need, ...]:
    """The needs, the heaviest of each kind first.

    A need weighs its errors times its error rate: what is often wrong and seldom right. Each kind sums to 1.

    Args:
        listenings: What a model made of many recordings.
        pronounce: For the sounds; one that always gives nothing leaves words alone.
        min_speakers: See `MIN_SPEAKERS`.
    """
    heard = list(listenings)
    weight_of = _accent_weights(heard, min_speakers)
    tallies: defaultdict[tuple[Kind, str], _Tally] = defaultdict(_Tally)
    for listening in heard:
        _count(listening, weight_of.get(listening.accent, 1.0), pronounce, tallies)
    needs: list[Need] = []
    for kind in KINDS:
        known = {
            name: tally for (of, name), tally in tallies.items() if of == kind and len(tally.speakers) >= min_speakers
        }
        total = sum(_weight(tally) for tally in known.values())
        needs += sorted(
            (_need(kind, name, tally, total, min_speakers) for name, tally in known.items()),
            key=lambda need: (-need.weight, need.name),
        )
    return tuple(needs)


def _count(
    listening: Listening, weight: float, pronounce: Pronounce, tallies: defaultdict[tuple[Kind, str], _Tally]
) -> None:
    def count(kind: Kind, name: str, is_wrong: bool, taken_for: str | None = None) -> None:
        tally = tallies[kind, name]
        tally.n += 1
        if is_wrong:
            tally.n_wrong += 1
            tally.errors += weight
            tally.speakers.add(listening.speaker)
            if taken_for is not None:
                tally.taken_for[taken_for].add(listening.speaker)

    for edit in align(normalize_text(listening.said).split(), normalize_text(listening.heard).split()):
        if edit.reference is None:
            continue
        count("word", edit.reference, edit.kind != "equal", edit.hypothesis)
        sounds = pronounce(edit.reference)
        # Of a word that is missing nobody can say which sound was to blame.
        written = pronounce(edit.hypothesis) if edit.hypothesis is not None else sounds
        wrong = _wrong_sounds(sounds, written)
        for position, sound in enumerate(sounds):
            count("sound", sound, position in wrong, wrong.get(position))
        for position, pair in enumerate(pairs_of(sounds)):
            count("pair", pair, position in wrong or position + 1 in wrong)


def _wrong_sounds(said: Sequence[str], written: Sequence[str]) -> dict[int, str | None]:
    """Positions in `said` that `written` does not have, and what it has there."""
    wrong: dict[int, str | None] = {}
    position = 0
    for edit in align(said, written):
        if edit.reference is None:
            continue
        if edit.kind != "equal":
            wrong[position] = edit.hypothesis
        position += 1
    return wrong


def _accent_weights(heard: Sequence[Listening], min_speakers: int) -> dict[str | None, float]:
    """How much an error counts by accent: the rarer, the more, up to fourfold; unknown and tiny groups count once."""
    speakers: defaultdict[str, set[str]] = defaultdict(set)
    n_clips: Counter[str] = Counter()
    for listening in heard:
        if listening.accent:
            speakers[listening.accent].add(listening.speaker)
            n_clips[listening.accent] += 1
    known = {accent: n for accent, n in n_clips.items() if len(speakers[accent]) >= min_speakers}
    if not known:
        return {}
    even = sum(known.values()) / len(known)
    return {accent: min(_MOST_ACCENT_WEIGHT, max(1.0, even / n)) for accent, n in known.items()}


def _weight(tally: _Tally) -> float:
    return tally.errors * tally.n_wrong / tally.n


def _need(kind: Kind, name: str, tally: _Tally, total: float, min_speakers: int) -> Need:
    likely = max(tally.taken_for.items(), key=lambda item: (len(item[1]), item[0]), default=None)
    return Need(
        kind=kind,
        name=name,
        n=tally.n,
        n_wrong=tally.n_wrong,
        n_speakers=len(tally.speakers),
        weight=_weight(tally) / total,
        heard_as=likely[0] if likely is not None and len(likely[1]) >= min_speakers else None,
    )
