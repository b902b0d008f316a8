"""Which words of a text that is still being spoken will stay: those on which two hypotheses agree.

A word that the model hears twice, the second time with more sound after it, is stable from then on. Stable words never
change and never go: later hypotheses are laid against them, and only what follows them is taken.

Source: LocalAgreement-2 of Liu, Spanakis and Niehues (2020), used with Whisper by Machacek, Dabre and Bojar (2023).
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import takewhile

# Two hypotheses on nearly the same sound agree on its mistakes, too.
_APART_BYTES = 16_000  # half a second


class Agreement:
    """The words of one window of sound.

    Attributes:
        stable: What stays.
        tentative: What the newest hypothesis says after that.
    """

    def __init__(self, stable: Sequence[str] = ()) -> None:
        """Nothing heard yet but words that were stable before the window began."""
        self.stable = list(stable)
        self.tentative: list[str] = []
        self._earlier: list[tuple[int, list[str]]] = []

    def hear(self, words: Sequence[str], end_bytes: int, *, is_cut_off: bool) -> None:
        """Take a hypothesis about the sound from the window's start to `end_bytes`.

        Args:
            words: What it says, from the start.
            end_bytes: Where its sound ends.
            is_cut_off: Whether somebody was still speaking there: the last word may be half a word.
        """
        following = list(words[length_of_match(self.stable, words) :])
        apart = [heard for at, heard in self._earlier if at <= end_bytes - _APART_BYTES]
        if apart:
            before = apart[-1][length_of_match(self.stable, apart[-1]) :]
            n_agreed = len(list(takewhile(_are_same, zip(before, following, strict=False))))
            n_agreed = min(n_agreed, len(following) - is_cut_off)
            self.stable += following[: max(0, n_agreed)]
            following = following[max(0, n_agreed) :]
            self._earlier = self._earlier[len(apart) - 1 :]
        self.tentative = following
        self._earlier.append((end_bytes, list(words)))

    def settle(self, words: Sequence[str]) -> tuple[list[str], list[str]]:
        """End the window with what is heard in its first part alone.

        Args:
            words: Of the part that ends now.

        Returns:
            The words of that part, and the stable ones that come after it; together they begin with all stable words.
        """
        n_stable = length_of_match(words, self.stable)
        n_words = length_of_match(self.stable, words)
        if n_words < len(words):  # more was said than is stable
            return [*self.stable, *words[n_words:]], []
        return self.stable[:n_stable], self.stable[n_stable:]


def length_of_match(known: Sequence[str], words: Sequence[str]) -> int:
    """How many of the first `words` tell what `known` tells: those with the fewest edits.

    Where several have as few: those that end with the same word, and then those that are as many.
    """
    row = list(range(len(known) + 1))
    best, n_best = (row[-1], bool(known), len(known)), 0
    for n_taken, word in enumerate(words, start=1):
        diagonal, row[0] = row[0], n_taken
        for i, other in enumerate(known, start=1):
            edits = min(diagonal + (not _are_same((word, other))), row[i] + 1, row[i - 1] + 1)
            diagonal, row[i] = row[i], edits
        ends_alike = bool(known) and _are_same((word, known[-1]))
        found = (row[-1], not ends_alike, abs(len(known) - n_taken))
        if found < best:
            best, n_best = found, n_taken
    return n_best


def _are_same(pair: tuple[str, str]) -> bool:
    first, second = map(_plain, pair)
    return first == second


def _plain(word: str) -> str:
    return "".join(letter for letter in word.casefold() if letter.isalnum()) or word
