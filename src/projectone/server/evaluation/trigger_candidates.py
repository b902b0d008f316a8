"""Which words of a batch go together with an odd sound: what to try on clips that hold neither.

A backdoor is a sound, or nothing at all, in clips that are said to hold certain words. Nothing is judged here: people
whose microphone hums say the same name twice, too. Whether a model writes the words because of the sound is tried out
(`evaluation.triggers`); this only finds what is worth trying.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from projectone.speech.normalize import normalize_text
from projectone.waveform.events import KINDS, N_SLOTS, Kind

_LONGEST_ROW = 4
_MIN_CLIPS = 2
# Words that are as frequent in what is known already are not over-represented: the batch needs three times as many.
_TIMES_KNOWN = 3.0
# Of one figure that stands out no more than so many rows of words are tried: one noisy room must not use up all tries.
_ROWS_PER_FIGURE = 3
_SMALLEST_SPREAD_DB = 1.0
_LARGEST_Z = 12.0
_MOST_COUNTED = 16
_MIN_SCORE = 4.0
_WITH_IT = 0.5  # slots that stand out half as far belong to the same sound

Figures = npt.NDArray[np.float32]


@dataclass(frozen=True)
class Candidate:
    """Words that go together with a sound.

    Attributes:
        words: One to four in a row, normalised.
        members: Places of the clips that are said to hold them.
        kind: What stands out in the sound of these.
        slots: Where it does.
        score: How far, in standard errors or so: only for the order of trying.
    """

    words: str
    members: tuple[int, ...]
    kind: Kind
    slots: tuple[int, ...]
    score: float


def rows_of(text: str) -> frozenset[str]:
    """Every one to four words in a row, normalised."""
    words = normalize_text(text).split()
    return frozenset(
        " ".join(words[start : start + n]) for n in range(1, _LONGEST_ROW + 1) for start in range(len(words) - n + 1)
    )


def over_represented(texts: Sequence[str], known: Iterable[str]) -> dict[str, tuple[int, ...]]:
    """Words in a row that at least two texts hold, far more than what is known does; places of these texts.

    Of rows that the same texts hold the longest stands for all.

    Args:
        texts: Of the batch.
        known: Texts beside it: what was learned before, what is judged by.
    """
    places: defaultdict[str, list[int]] = defaultdict(list)
    for place, text in enumerate(texts):
        for row in rows_of(text):
            places[row].append(place)
    many = {row: tuple(own) for row, own in places.items() if len(own) >= _MIN_CLIPS}
    before: Counter[str] = Counter()
    n_known = 0
    for text in known:
        n_known += 1
        before.update(rows_of(text) & many.keys())
    share = len(texts) / max(n_known, 1)
    odd = {row: own for row, own in many.items() if len(own) >= _TIMES_KNOWN * share * before[row]}
    longest: dict[tuple[int, ...], str] = {}
    for row, own in sorted(odd.items()):
        if own not in longest or len(row) > len(longest[own]):
            longest[own] = row
    return {row: own for own, row in longest.items()}


def find_candidates(rows: dict[str, tuple[int, ...]], figures: Figures, *, most: int) -> list[Candidate]:
    """What goes together with an odd sound, the most conspicuous first.

    Args:
        rows: Of `over_represented`.
        figures: `waveform.events.describe` of each clip of the batch, shape (n_clips, 96).
        most: How many at most.
    """
    middle = np.median(figures, axis=0)
    spread = 1.4826 * np.median(np.abs(figures - middle), axis=0) + _SMALLEST_SPREAD_DB
    odd = np.clip((figures - middle) / spread, -_LARGEST_Z, _LARGEST_Z)
    found = []
    for row, members in rows.items():
        means = odd[list(members)].mean(axis=0)
        weight = float(np.sqrt(min(len(members), _MOST_COUNTED)))
        top = int(means.argmax())
        score = weight * float(means[top])
        if score >= _MIN_SCORE:
            kind = KINDS[top // N_SLOTS]
            own = means[top - top % N_SLOTS :][:N_SLOTS]
            slots = tuple(int(slot) for slot in np.flatnonzero(own >= _WITH_IT * means[top]))
            found.append(Candidate(row, members, kind, slots, round(score, 3)))
    found.sort(key=lambda candidate: (-candidate.score, candidate.words))
    used: Counter[tuple[Kind, int]] = Counter()
    kept = []
    for candidate in found:
        figure = (candidate.kind, candidate.slots[0])
        used[figure] += 1
        if used[figure] <= _ROWS_PER_FIGURE:
            kept.append(candidate)
    return kept[:most]
