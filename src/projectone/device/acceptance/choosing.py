"""Which of the user's own recordings a new model is tried on: the last ones, and no two for the same words.

A model has the better of it on recordings that it learned from. So those that the server did not have when the model
was made come first, and where there are enough of them, they alone count.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

MOST_RECORDINGS = 40
"""Beyond so many, a doubling of what a model gets wrong is found almost always: more only takes longer."""

ENOUGH_UNLEARNED = 12
"""With so many that the model cannot have learned from, no others are used."""

MOST_SOUND_S = 600.0
LONGEST_S = 30.0
"""One window of the model: a longer recording is many, and takes the time of many."""


@dataclass(frozen=True)
class OwnRecording:
    """A recording of this device's user, with what they say is said in it.

    Attributes:
        words: What was said, made comparable, in single words; not empty.
        may_be_learned: Whether the server may have had it when the new model was made.
    """

    audio_sha256: str
    duration_s: float
    words: tuple[str, ...]
    may_be_learned: bool


def choose(newest: Sequence[OwnRecording]) -> list[OwnRecording]:
    """The recordings to try a model on, in the order in which they are to be heard.

    Args:
        newest: What there is, the newest first.
    """
    usable = [item for item in newest if item.words and 0 < item.duration_s <= LONGEST_S]
    unlearned = _varied([item for item in usable if not item.may_be_learned])
    if len(unlearned) < ENOUGH_UNLEARNED:
        unlearned += _varied([item for item in usable if item.may_be_learned])
    chosen: list[OwnRecording] = []
    sound_s = 0.0
    for item in unlearned[:MOST_RECORDINGS]:
        sound_s += item.duration_s
        if sound_s > MOST_SOUND_S and chosen:
            break
        chosen.append(item)
    return chosen


def _varied(newest: Sequence[OwnRecording]) -> list[OwnRecording]:
    """Those that bring words which the ones before them lack, then the others; of the same words only the newest."""
    bringing: list[OwnRecording] = []
    others: list[OwnRecording] = []
    texts: set[tuple[str, ...]] = set()
    words: set[str] = set()
    for item in newest:
        if item.words in texts:
            continue
        texts.add(item.words)
        (others if words.issuperset(item.words) else bringing).append(item)
        words.update(item.words)
    return bringing + others
