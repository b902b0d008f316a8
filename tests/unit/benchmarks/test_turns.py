"""Taking turns: the best of them, and few for what is far behind."""

from __future__ import annotations

from benchmarks.peers.turns import take_turns


class Bench:
    """Works that take what they are told to, on a clock of their own; the first turn of each takes longer."""

    def __init__(self, **seconds: float) -> None:
        self.now = 0.0
        self.turns = dict.fromkeys(seconds, 0)
        self.works = {name: lambda name=name, taken=taken: self._work(name, taken) for name, taken in seconds.items()}

    def _work(self, name: str, taken: float) -> None:
        self.now += taken + (1.0 if self.turns[name] == 0 else 0.0)
        self.turns[name] += 1

    def best(self, **settings: float) -> dict[str, float]:
        found = take_turns(self.works, n_runs=5, clock=lambda: self.now, **settings)
        return {name: round(taken, 9) for name, taken in found.items()}


def test_each_is_given_the_best_of_its_turns_without_the_first() -> None:
    bench = Bench(quick=1.0, slow=8.0)
    assert bench.best() == {"quick": 1.0, "slow": 8.0}
    assert bench.turns == {"quick": 6, "slow": 6}


def test_what_is_far_behind_gets_two_turns_that_count() -> None:
    bench = Bench(quick=1.0, near=3.9, slow=8.0)
    assert bench.best(far_behind=4.0) == {"quick": 1.0, "near": 3.9, "slow": 8.0}
    assert bench.turns == {"quick": 6, "near": 6, "slow": 3}
