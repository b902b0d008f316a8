"""Whether a new model is worse for one person, by how many words two models got wrong in the same recordings of theirs.

The recordings are few, so chance is asked first: if neither model were better, each recording's difference would be as
likely to point the other way. The share of all ways to turn the signs that speak against the new model at least as
much as what was seen is an exact probability, whatever the recordings are like. Below `ALPHA`, the old model is kept.
Fewer than five recordings that differ can never fall below it. There only a collapse counts, which no chance explains.

Both rules are simulated: `benchmarks/acceptance.py` prints how often a model that is as good is refused, and how often
a worse one is found.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Literal

ALPHA: Final = 0.05
"""Chance of refusing a model that is as good, at most. Refusing costs little: the next release is tried again."""

COLLAPSED_SHARE: Final = 0.8
"""A model that gets so many of a person's words wrong..."""

COLLAPSED_FACTOR: Final = 2.0
"""... and so many times as many as the model before..."""

COLLAPSED_WORDS: Final = 8
"""... in at least so many words, has collapsed for them."""

ENOUGH_RECORDINGS: Final = 5
"""With fewer, nothing is said about better or worse."""

Verdict = Literal["better", "as-good", "untold", "worse", "collapsed"]
"""What the recordings say about the new model; `untold` where there are too few."""

REFUSED: Final[tuple[Verdict, ...]] = ("worse", "collapsed")
"""With these the old model stays."""


@dataclass(frozen=True)
class Pair:
    """One recording, heard by both models.

    Attributes:
        n_words: How many words the person says there are; at least one.
        wrong_before: How many of them the old model got wrong.
        wrong_after: How many of them the new one got wrong.
    """

    n_words: int
    wrong_before: int
    wrong_after: int

    def __post_init__(self) -> None:
        if not (self.n_words >= 1 and 0 <= self.wrong_before <= self.n_words and 0 <= self.wrong_after <= self.n_words):
            raise ValueError(f"pair: expected 0 <= wrong <= n_words and n_words >= 1, got {self}")


@dataclass(frozen=True)
class Judgement:
    """What the recordings say, and how sure that is.

    Attributes:
        p_worse: Chance of seeing the new model do at least so much worse if it were as good.
        p_better: The same for better.
    """

    verdict: Verdict
    n_recordings: int
    n_words: int
    wrong_before: int
    wrong_after: int
    p_worse: float
    p_better: float


def judge(pairs: Sequence[Pair], *, alpha: float = ALPHA) -> Judgement:
    """The verdict on a new model."""
    n_words = sum(pair.n_words for pair in pairs)
    before, after = sum(pair.wrong_before for pair in pairs), sum(pair.wrong_after for pair in pairs)
    differences = [pair.wrong_after - pair.wrong_before for pair in pairs]
    p_worse, p_better = sign_flip(differences), sign_flip([-difference for difference in differences])
    verdict: Verdict = "as-good" if len(pairs) >= ENOUGH_RECORDINGS else "untold"
    if n_words >= COLLAPSED_WORDS and after >= COLLAPSED_SHARE * n_words and after >= COLLAPSED_FACTOR * before:
        verdict = "collapsed"
    elif p_worse <= alpha:
        verdict = "worse"
    elif p_better <= alpha:
        verdict = "better"
    return Judgement(verdict, len(pairs), n_words, before, after, p_worse, p_better)


def sign_flip(differences: Sequence[int]) -> float:
    """Chance that a sum is at least as large as this one, if every difference were as likely to have the other sign.

    Exact: every way to turn the signs is counted, by their sums.
    """
    ways = {0: 1}
    for difference in differences:
        if difference:
            turned: dict[int, int] = {}
            for total, n in ways.items():
                for step in (difference, -difference):
                    turned[total + step] = turned.get(total + step, 0) + n
            ways = turned
    observed = sum(differences)
    return sum(n for total, n in ways.items() if total >= observed) / sum(ways.values())
