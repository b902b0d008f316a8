"""Terms of a list that a text comes near to: what a name was misheard as is often spelled much like it.

The bias of `biasing` finds a term only where decoding comes to its first token. A name whose beginning was misheard is
found here, by its letters: blanks and case do not count, so that "pits burg" is near to "Pittsburgh", and spelled
letters are near to other spelled letters. Pairs of neighbouring letters choose among a thousand terms in well under a
millisecond; edit distances are then computed for a few.

Source of the distance to the best part of a text: Sellers (1980).
"""

from __future__ import annotations

import itertools
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

_FEWEST_LETTERS = 4
_LEAST_SHARED = 0.3  # of a term's pairs of letters
_MOST_EDITS = 0.4  # for each letter of a term
_MOST_COMPARED = 24
_START = 1 << 20  # an edit in a number that also holds where the match began

Numbers = np.ndarray[Any, np.dtype[np.int64]]


@dataclass(frozen=True)
class Near:
    """Words of a text that are much like a term."""

    term: str
    start: int
    end: int
    n_edits: int


class NearTerms:
    """A list of terms by their letters.

    Args:
        terms: The list.
    """

    def __init__(self, terms: Sequence[str]) -> None:
        letters = {term: letters_of(term) for term in terms}
        self._terms = [term for term in terms if len(letters[term]) >= _FEWEST_LETTERS]
        self._letters = [letters[term] for term in self._terms]
        pairs = [_pairs(some) for some in self._letters]
        self._n_pairs = np.array([max(1, len(some)) for some in pairs])
        holders: dict[str, list[int]] = defaultdict(list)
        for index, some in enumerate(pairs):
            for pair in some:
                holders[pair].append(index)
        self._holders = {pair: np.array(indices) for pair, indices in holders.items()}

    def find(self, words: Sequence[str], n_most: int) -> list[Near]:
        """The terms that some words are nearest to, but for those that are there.

        Args:
            words: Of the text.
            n_most: So many at most.
        """
        spelled = [letters_of(word) for word in words]
        text = "".join(spelled)
        edges = [0, *itertools.accumulate(map(len, spelled))]
        found = []
        for index in self._alike(text):
            near = _nearest(self._letters[index], text, edges)
            if near is not None and 0 < near[0] <= _MOST_EDITS * len(self._letters[index]):
                n_edits, start, end = near
                found.append(Near(self._terms[index], start, end, n_edits))
        # The fewest edits for the letters that there are first.
        found.sort(key=lambda near: near.n_edits / len(letters_of(near.term)))
        return found[:n_most]

    def _alike(self, text: str) -> list[int]:
        """Terms that share enough pairs of letters with a text, those that share most first."""
        held = [self._holders[pair] for pair in _pairs(text) if pair in self._holders]
        if not held:
            return []
        share = np.bincount(np.concatenate(held), minlength=len(self._terms)) / self._n_pairs
        best = np.argsort(-share, kind="stable")[:_MOST_COMPARED]
        return [int(index) for index in best if share[index] >= _LEAST_SHARED]


def letters_of(text: str) -> str:
    """What is compared: letters and digits, without case."""
    return "".join(letter for letter in text.casefold() if letter.isalnum())


def _pairs(letters: str) -> set[str]:
    return {letters[at : at + 2] for at in range(len(letters) - 1)}


def _nearest(letters: str, text: str, edges: Sequence[int]) -> tuple[int, int, int] | None:
    """Fewest edits from whole words of a text to a term: how many, the first word and the one after the last."""
    size = len(text)
    columns = np.arange(size + 1, dtype=np.int64) * _START
    codes = np.array([ord(letter) for letter in text], np.int64)
    never = (len(letters) + size + 1) * _START
    row: Numbers = np.full(size + 1, never, np.int64)
    row[list(edges)] = list(edges)  # nothing of the term is matched, from a word's beginning on
    for letter in letters:
        below = row + _START
        below[1:] = np.minimum(below[1:], row[:-1] + _START * (codes != ord(letter)))
        row = np.minimum.accumulate(below - columns) + columns
    ends = np.array(edges[1:])
    best = int(ends[np.argmin(row[ends])]) if ends.size else 0
    if not best or row[best] >= never:
        return None
    n_edits, start = divmod(int(row[best]), _START)
    first = len(edges) - 1 - list(edges)[::-1].index(start)  # words without letters are left outside
    last = list(edges).index(best)
    return (n_edits, first, last) if last > first else None
