from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from projectone.server.pipeline.schedule import SchedulePolicy, Situation, due

NOW = datetime(2026, 11, 21, 12, tzinfo=UTC)
QUIET = Situation(now=NOW, n_waiting=0, waiting_since=None, last_ended_at=None)
POLICY = SchedulePolicy(min_new_samples=10)


def test_nothing_is_due_without_samples() -> None:
    assert due(POLICY, replace(QUIET, last_ended_at=NOW - timedelta(days=400))) is None


def test_enough_samples_are_due_at_once() -> None:
    waiting = replace(QUIET, n_waiting=10, waiting_since=NOW)
    assert due(POLICY, waiting) == "threshold"
    assert due(POLICY, replace(waiting, n_waiting=9)) is None


def test_a_few_samples_are_due_after_a_week() -> None:
    waiting = replace(QUIET, n_waiting=1, waiting_since=NOW - timedelta(days=7))
    assert due(POLICY, waiting) == "schedule"
    assert due(POLICY, replace(waiting, waiting_since=NOW - timedelta(days=6))) is None


def test_the_week_counts_from_the_last_run() -> None:
    waiting = replace(QUIET, n_waiting=1, waiting_since=NOW - timedelta(days=30))
    assert due(POLICY, replace(waiting, last_ended_at=NOW - timedelta(days=6))) is None
    assert due(POLICY, replace(waiting, last_ended_at=NOW - timedelta(days=7))) == "schedule"


@pytest.mark.parametrize(("n_fruitless", "rest_h"), [(1, 1), (2, 2), (4, 8), (60, 7 * 24)])
def test_a_run_that_released_nothing_is_followed_by_a_rest(n_fruitless: int, rest_h: int) -> None:
    waiting = replace(QUIET, n_waiting=99, waiting_since=NOW, n_fruitless=n_fruitless)
    just_before = NOW - timedelta(hours=rest_h) + timedelta(seconds=1)
    assert due(POLICY, replace(waiting, last_ended_at=just_before)) is None
    assert due(POLICY, replace(waiting, last_ended_at=NOW - timedelta(hours=rest_h))) == "threshold"


def test_a_policy_checks_itself() -> None:
    with pytest.raises(ValueError, match="min_new_samples"):
        SchedulePolicy(min_new_samples=0)
    with pytest.raises(ValueError, match="every"):
        SchedulePolicy(every=timedelta(0))


def test_samples_that_were_not_worth_training_on_wait_for_others_or_for_the_week() -> None:
    waiting = replace(QUIET, n_waiting=25, n_declined=20, waiting_since=NOW, last_ended_at=NOW - timedelta(days=6))
    assert due(POLICY, waiting) is None
    assert due(POLICY, replace(waiting, n_waiting=30)) == "threshold"
    assert due(POLICY, replace(waiting, last_ended_at=NOW - timedelta(days=7))) == "schedule"


def test_a_model_that_has_to_go_is_replaced_in_time_without_a_new_sample() -> None:
    recalled = replace(QUIET, replace_by=NOW + timedelta(days=45))
    assert due(POLICY, recalled) == "withdrawal"
    assert due(POLICY, replace(recalled, replace_by=NOW + timedelta(days=46))) is None
    assert due(POLICY, replace(recalled, n_waiting=99, waiting_since=NOW)) == "withdrawal"
    assert due(POLICY, replace(recalled, n_fruitless=1, last_ended_at=NOW)) is None
