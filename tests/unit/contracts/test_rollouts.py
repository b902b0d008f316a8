"""Whose turn it is, by the smaller of what was signed and what is current."""

from datetime import UTC, datetime, timedelta

import pytest

from projectone.contracts.rollouts import (
    N_BUCKETS,
    RolloutPlan,
    RolloutStage,
    RolloutState,
    bucket_of,
    percent_of,
    stages_from,
    turn_of,
)
from projectone.errors import ContractError

NOW = datetime(2026, 11, 21, 12, 0, tzinfo=UTC)
DAY = timedelta(days=1)
SALT = "5" * 32
STEPS = ((0, DAY), (100, DAY), (500, DAY), (2_500, DAY), (10_000, DAY))
PLAN = RolloutPlan(salt=SALT, stages=stages_from(NOW, STEPS))


def state(buckets: int, *, seq: int = 7, is_halted: bool = False) -> RolloutState:
    known = RolloutState(channel="stable", seq=seq, buckets=buckets)
    return known.model_copy(update={"is_halted": True, "reason": "empty"}) if is_halted else known


def device_in(low: int, high: int) -> str:
    return next(name for name in map(str, range(100_000)) if low <= bucket_of(SALT, name) < high)


def test_devices_spread_evenly_over_the_buckets() -> None:
    counts = [0] * 100
    for n in range(100_000):
        counts[bucket_of(SALT, f"device-{n}") // 100] += 1
    chi2 = sum((count - 1_000) ** 2 / 1_000 for count in counts) / 99
    assert 0.6 < chi2 < 1.45  # 99 degrees of freedom: 1 in 1,000 either way
    assert 900 < counts[0] < 1_100


def test_a_wider_share_holds_the_narrower_one() -> None:
    plan = RolloutPlan(salt=SALT, stages=(RolloutStage(not_before=NOW, max_buckets=N_BUCKETS),))
    for n in range(300):
        had_turn = False
        for buckets in (0, 100, 500, 2_500, 10_000):
            turn = turn_of(f"d{n}", 7, plan, state(buckets), NOW)
            assert turn.may_install or not had_turn
            had_turn = turn.may_install
        assert had_turn


def test_each_release_begins_with_other_people() -> None:
    first = {n for n in range(100_000) if bucket_of("a" * 32, str(n)) < 100}
    second = {n for n in range(100_000) if bucket_of("b" * 32, str(n)) < 100}
    assert len(first & second) < 40  # a hundredth of a hundredth is 10
    # The control: with one salt it would always be the same people.
    assert {n for n in range(100_000) if bucket_of("a" * 32, str(n)) < 100} == first


def test_a_stolen_online_key_widens_nothing() -> None:
    device = device_in(100, 500)
    assert not turn_of(device, 7, PLAN, state(10_000), NOW + 1.5 * DAY).may_install
    assert turn_of(device, 7, PLAN, state(10_000), NOW + 2 * DAY).may_install


def test_the_current_share_holds_back_what_the_plan_would_allow() -> None:
    device = device_in(500, 2_500)
    assert turn_of(device, 7, PLAN, state(2_500), NOW + 9 * DAY).may_install
    assert not turn_of(device, 7, PLAN, state(100), NOW + 9 * DAY).may_install


def test_without_a_state_of_this_release_nobody_has_a_turn() -> None:
    device = device_in(0, 100)
    for missing in (None, state(10_000, seq=6), state(10_000, seq=8)):
        assert not turn_of(device, 7, PLAN, missing, NOW + 9 * DAY).may_install


def test_a_stopped_release_is_for_nobody_whoever_asks() -> None:
    device = device_in(0, 100)
    for plan in (PLAN, None):
        turn = turn_of(device, 7, plan, state(10_000, is_halted=True), NOW + 9 * DAY, is_asking_early=True)
        assert (turn.may_install, turn.is_halted, turn.reason) == (False, True, "empty")


def test_who_asks_early_is_compared_with_nobody() -> None:
    device = device_in(5_000, 10_000)
    assert turn_of(device, 7, PLAN, state(0), NOW, is_asking_early=True).cohort == "canary"
    assert turn_of(device_in(0, 100), 7, PLAN, state(100), NOW + DAY, is_asking_early=True).cohort == "treated"


def test_the_next_devices_in_line_are_the_controls() -> None:
    cohorts = [turn_of(str(n), 7, PLAN, state(100), NOW + DAY).cohort for n in range(20_000)]
    n_treated, n_control = cohorts.count("treated"), cohorts.count("control")
    assert 150 < n_treated < 250
    assert n_control == pytest.approx(10 * n_treated, rel=0.25)
    assert cohorts.count(None) == 20_000 - n_treated - n_control


def test_a_release_without_a_plan_is_for_everybody() -> None:
    assert turn_of("any", 7, None, None, NOW).may_install


def test_stages_must_widen_in_time() -> None:
    later, wider = RolloutStage(not_before=NOW + DAY, max_buckets=100), RolloutStage(not_before=NOW, max_buckets=500)
    assert RolloutPlan(salt=SALT, stages=(wider,)).most_buckets(NOW - DAY) == 0
    for stages in ((later, wider), (wider, later)):
        broken = {"salt": SALT, "stages": [stage.model_dump(mode="json") for stage in stages], "ticket_key": ""}
        with pytest.raises(ContractError, match="stages"):
            RolloutPlan.from_bytes(str(broken).replace("'", '"').encode())
    assert percent_of(250) == 2.5
