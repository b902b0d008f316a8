"""Accounts that sound alike are one voice, a chain of people who sound a little alike is not."""

from __future__ import annotations

import numpy as np

from projectone.server.voices.same_voice import one_voice


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
