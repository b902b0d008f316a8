"""Accounts that sound alike are one voice, a chain of people who sound a little alike is not."""

from __future__ import annotations

import tracemalloc

import numpy as np
import pytest

from projectone.server.voices.same_voice import NEAR, one_voice


def at(degrees: float) -> np.ndarray:
    vector = np.zeros(256, np.float32)
    vector[0], vector[1] = np.cos(np.radians(degrees)), np.sin(np.radians(degrees))
    return vector


def test_accounts_near_each_other_are_one_voice_and_others_have_their_own() -> None:
    accounts = {"ada": at(0), "eve": at(10), "kim": at(5), "lou": at(90), "max": at(93), "sam": at(180)}
    assert sorted(map(sorted, one_voice(accounts))) == [["ada", "eve", "kim"], ["lou", "max"]]


def test_a_chain_of_people_is_cut_where_its_ends_lie_far_apart() -> None:
    chain = {f"p{number:02}": at(20.0 * number) for number in range(9)}  # neighbours at a cosine of 0.94
    groups = one_voice(chain)
    assert max(len(group) for group in groups) == 2


def test_nobody_and_one_account_are_no_group() -> None:
    assert one_voice({}) == []
    assert one_voice({"ada": at(0)}) == []


def plainly(accounts: dict[str, np.ndarray]) -> list[frozenset[str]]:
    """The definition: of all pairs the nearest becomes one, until none is near enough. Needs a table of all pairs."""
    groups = [[name] for name in sorted(accounts)]
    vectors = np.stack([accounts[name] for name in sorted(accounts)]).astype(np.float64)
    cosine = vectors @ vectors.T
    place = {name: number for number, name in enumerate(sorted(accounts))}
    while len(groups) > 1:
        pairs = [(a, b) for a in range(len(groups)) for b in range(a)]
        means = [cosine[np.ix_([place[n] for n in groups[a]], [place[n] for n in groups[b]])].mean() for a, b in pairs]
        if max(means) < NEAR:
            break
        a, b = pairs[int(np.argmax(means))]
        groups[b] += groups.pop(a)
    return [frozenset(group) for group in groups if len(group) > 1]


def crowd(seed: int, n_people: int, n_accounts: int, spread: float) -> dict[str, np.ndarray]:
    """Accounts of some people, who sound a little alike, and some of them the same to the bit."""
    random = np.random.default_rng(seed)
    people = random.normal(size=(n_people, 256)) + 2.0 * random.normal(size=256)
    heard = people[random.integers(n_people, size=n_accounts)] + spread * random.normal(size=(n_accounts, 256))
    heard[: n_accounts // 5] = heard[0]
    heard /= np.linalg.norm(heard, axis=1, keepdims=True)
    return {f"p{number:04}": vector for number, vector in enumerate(heard.astype(np.float32))}


@pytest.mark.parametrize("spread", [0.1, 0.5, 0.7, 0.8])
@pytest.mark.parametrize("seed", range(5))
def test_the_groups_are_those_of_the_definition(seed: int, spread: float) -> None:
    accounts = crowd(seed, 6, 40, spread)
    assert set(one_voice(accounts)) == set(plainly(accounts))


def test_accounts_that_are_the_same_to_the_bit_are_one_voice() -> None:
    vector = next(iter(crowd(0, 1, 2, 0.1).values()))
    accounts = {f"p{number:03}": vector for number in range(333)}
    assert one_voice(accounts) == [frozenset(accounts)]


def test_memory_grows_as_the_accounts_do_and_no_faster() -> None:
    accounts = crowd(1, 300, 1_500, 0.3)
    tracemalloc.start()
    try:
        assert len(one_voice(accounts)) > 200
        peak_bytes = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak_bytes < 3 * 1_500 * 256 * 4, "a table of all pairs alone is twice that"
