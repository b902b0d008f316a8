"""How often a device refuses, or goes back from, a model that is as good for its user, and one that is worse.

    python -m benchmarks.acceptance [--runs 2000]

A made-up person corrects recordings of 4 to 20 words. Each recording has a difficulty of its own, which both models
feel; the words that go wrong are drawn for each model alone. With `selected`, only recordings in which the old model
got a word wrong are corrected, as people do: that flatters the new model, and costs power.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from projectone.device.acceptance.judging import REFUSED, Pair, judge
from projectone.device.health.after import WATCHED_TRANSCRIPTS, is_far_worse

# The spread of difficulty between recordings of one person: a Beta of this many pseudo-words.
_STEADINESS = 6.0


@dataclass(frozen=True, kw_only=True)
class Person:
    """Somebody's recordings, and how well two models hear them.

    Attributes:
        wer_before: Share of words that the old model gets wrong, over all that they say.
        wer_after: The same of the new model.
        is_selected: Whether they correct only what the old model got wrong.
    """

    n_recordings: int
    wer_before: float
    wer_after: float
    is_selected: bool = False


def draw(person: Person, generator: np.random.Generator) -> list[Pair]:
    """The recordings of one such person."""
    drawn: list[Pair] = []
    while len(drawn) < person.n_recordings:
        n_words = int(generator.integers(4, 21))
        mean = max(person.wer_before, person.wer_after)
        hardest = generator.beta(mean * _STEADINESS, (1 - mean) * _STEADINESS)
        before = int(generator.binomial(n_words, hardest * person.wer_before / mean))
        after = int(generator.binomial(n_words, hardest * person.wer_after / mean))
        if before or not person.is_selected:
            drawn.append(Pair(n_words, before, after))
    return drawn


def share_refused(
    person: Person,
    *,
    n_runs: int,
    seed: int,
    rule: Callable[[Sequence[Pair]], bool] = lambda drawn: judge(drawn).verdict in REFUSED,
) -> float:
    """The share of such people who keep the old model."""
    generator = np.random.default_rng(seed)
    return sum(rule(draw(person, generator)) for _ in range(n_runs)) / n_runs


def share_gone_back(
    rate_before: float, rate: float, *, n_before: int, n_runs: int, seed: int, n_most: int = WATCHED_TRANSCRIPTS
) -> tuple[float, int]:
    """The share of devices that go back from a model in use, looking after every recording, and when: the median."""
    generator = np.random.default_rng(seed)
    when = []
    for _ in range(n_runs):
        before, harmed = int(generator.binomial(n_before, rate_before)), 0
        for total, is_harmed in enumerate(generator.random(n_most) < rate, start=1):
            harmed += int(is_harmed)
            if is_harmed and is_far_worse(harmed, total, before, n_before):
                when.append(total)
                break
    return len(when) / n_runs, int(np.median(when)) if when else 0


def _print_gone_back(n_runs: int) -> None:
    print("\nshare of devices that go back from a model in use, and after how many recordings (median)")
    print("recordings before  rate   " + "  ".join(f"x{factor:<12g}" for factor in (1.0, 1.5, 2.0, 4.0)))
    for n_before in (20, 50, 200, 1000):
        for rate in (0.02, 0.05, 0.1, 0.2):
            found = [
                share_gone_back(rate, rate * factor, n_before=n_before, n_runs=n_runs, seed=0)
                for factor in (1.0, 1.5, 2.0, 4.0)
            ]
            print(f"{n_before:17}  {rate:.2f}   " + "  ".join(f"{share:6.1%} ({n:3})" for share, n in found))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=2000)
    n_runs = parser.parse_args().runs
    factors = (0.8, 1.0, 1.25, 1.5, 2.0, 3.0, 8.0)
    print("share of people who keep the old model, by how many times as many words the new one gets wrong")
    print("recordings  wer   corrected   " + "  ".join(f"x{factor:<5g}" for factor in factors))
    for n_recordings in (3, 5, 8, 12, 20, 40):
        for wer in (0.05, 0.12):
            for is_selected in (False, True):
                shares = [
                    share_refused(
                        Person(
                            n_recordings=n_recordings,
                            wer_before=wer,
                            wer_after=min(0.98, wer * factor),
                            is_selected=is_selected,
                        ),
                        n_runs=n_runs,
                        seed=0,
                    )
                    for factor in factors
                ]
                what = "selected" if is_selected else "all"
                print(f"{n_recordings:10}  {wer:.2f}  {what:10}  " + "  ".join(f"{share:6.1%}" for share in shares))
    _print_gone_back(n_runs)


if __name__ == "__main__":
    main()
