"""Words that a listener could take for one another, by the letters of English alone: no dictionary of sounds."""

from __future__ import annotations

import math
import re
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence

LetterCounts = Mapping[str, Mapping[str, int]]

# In this order: what two letters spell, before what one does.
_SPELLINGS = (
    ("^(kn|gn|pn)", "n"),
    ("^wr", "r"),
    ("^ps", "s"),
    ("tch|ch", "C"),
    ("sh|tio|cio|ssio", "S"),
    ("th", "T"),
    ("ph", "f"),
    ("igh", "i"),
    ("gh", ""),
    ("ck|q", "k"),
    ("wh", "w"),
    ("mb$", "m"),
    ("c(?=[eiy])", "s"),
    ("c", "k"),
    ("dge|g(?=[ei])", "j"),
    ("x", "ks"),
    ("z", "s"),
    ("(?<=[a-z])e$", ""),
    ("[aeiouy]+", "a"),
    ("'", ""),
    (r"(.)\1+", r"\1"),
)
_GROUPS = ("aeiouy", "bp", "dt", "gkcqx", "fv", "szcx", "mn", "lr", "jg", "wuv", "hw")
# Of a confusion: likely, within a group of letters that sound alike, and of any two letters.
_ALIKE, _FAR, _GAP, _VOWEL_GAP = 0.5, 1.0, 0.9, 0.6
_MOST = 8
_LONGEST = 40  # letters of a word that is looked for: of a longer one the variants would fill the memory
_FALLOFF = 0.35  # a candidate that costs this much more is chosen e times less often


def sounds_of(word: str) -> str:
    """Roughly what is heard: consonants by their class, every run of vowels as one."""
    for pattern, sound in _SPELLINGS:
        word = re.sub(pattern, sound, word)
    return word


class LetterCosts:
    """How far two spellings lie apart, cheaper where our own recogniser was seen to take one letter for the other.

    Args:
        heard: For a letter of what was said, how often each letter was written in its place.
    """

    def __init__(self, heard: LetterCounts) -> None:
        self._heard = heard
        self._costs: dict[tuple[str, str], float] = {}

    def substitution(self, said: str, written: str) -> float:
        """Of one letter for another; 0 for the same."""
        if said == written:
            return 0.0
        key = (said, written)
        if key not in self._costs:
            plain = _ALIKE if any(said in group and written in group for group in _GROUPS) else _FAR
            row = self._heard.get(said, {})
            # Ten imagined confusions at the plain cost, so that one that was heard once does not rule.
            share = row.get(written, 0) / (10 + sum(row.values()))
            self._costs[key] = plain * (1 - math.sqrt(share))
        return self._costs[key]

    def distance(self, said: str, written: str) -> float:
        """The cheapest way from one word to the other."""
        row = [0.0]
        for letter in written:
            row.append(row[-1] + _gap(letter))
        for letter in said:
            diagonal, row[0] = row[0], row[0] + _gap(letter)
            for column, other in enumerate(written, start=1):
                cheapest = min(
                    diagonal + self.substitution(letter, other),
                    row[column] + _gap(letter),
                    row[column - 1] + _gap(other),
                )
                diagonal, row[column] = row[column], cheapest
        return row[-1]


class SoundAlikes:
    """For a word, the words of a list that sound most like it.

    Args:
        words: Lower case, the more usual before the rare.
        costs: How far spellings lie apart.
    """

    def __init__(self, words: Iterable[str], costs: LetterCosts) -> None:
        self._costs = costs
        self._ranks = {word: rank for rank, word in enumerate(dict.fromkeys(words))}
        self._places: dict[str, list[str]] = defaultdict(list)
        for word in self._ranks:
            for place in _neighbours(sounds_of(word)):
                self._places[place].append(word)
        self._known: dict[str, tuple[Sequence[str], Sequence[float]]] = {}

    def near(self, word: str) -> tuple[Sequence[str], Sequence[float]]:
        """At most eight other words, and how likely each is; nothing where none sounds like it."""
        if word not in self._known:
            self._known[word] = self._search(word)
        return self._known[word]

    def _search(self, word: str) -> tuple[Sequence[str], Sequence[float]]:
        if len(word) > _LONGEST:
            return (), ()
        found = {other for place in _neighbours(sounds_of(word)) for other in self._places.get(place, ())}
        usual = sorted(found - {word}, key=lambda other: (abs(len(other) - len(word)), self._ranks[other]))[:60]
        scored = sorted(
            (self._costs.distance(word, other) / max(2, len(word)) + self._rarity(other), other) for other in usual
        )[:_MOST]
        return [other for _, other in scored], [math.exp((scored[0][0] - cost) / _FALLOFF * 3) for cost, _ in scored]

    def _rarity(self, word: str) -> float:
        # A recogniser prefers usual words: the last of the list weighs as much as a fifth of a wrong letter each.
        return 0.2 * self._ranks[word] / max(1, len(self._ranks))


def _neighbours(sounds: str) -> set[str]:
    """It, and it with one sound left out: two words with a common one differ in one sound."""
    return {sounds, *(sounds[:place] + sounds[place + 1 :] for place in range(len(sounds)) if len(sounds) > 1)}


def _gap(letter: str) -> float:
    return _VOWEL_GAP if letter in "aeiouyh'" else _GAP
