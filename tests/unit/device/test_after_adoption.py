"""When counts of one device are enough to go back from a model, and how often chance alone would be."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from benchmarks.acceptance import share_gone_back

from projectone.device.health.after import WATCHED_TRANSCRIPTS, Use, complaint, is_far_worse

NOW = datetime(2026, 11, 22, tzinfo=UTC)


def use(version: str = "1.1.0", **counts: int) -> Use:
    values = {"transcripts": 0, "empty": 0, "corrected": 0, "load_failures": 0, "unanswered_starts": 0}
    return Use(version=version, since=NOW, **(values | counts))


BEFORE = use("1.0.0", transcripts=100, empty=2, corrected=10)


@pytest.mark.parametrize(
    ("now", "words"),
    [
        (use(load_failures=2), "could not be loaded"),
        (use(unanswered_starts=3), "ended 3 times"),
        (use(transcripts=30, empty=12), "hears nothing in 40% of your recordings, and in 2% with model 1.0.0"),
        (use(transcripts=30, corrected=20), "you correct it in 67%"),
    ],
)
def test_what_speaks_against_a_model_is_said(now: Use, words: str) -> None:
    assert words in (complaint(now, BEFORE) or "")


@pytest.mark.parametrize(
    ("now", "before"),
    [
        (use(load_failures=1, unanswered_starts=2), BEFORE),
        (use(transcripts=30, empty=1, corrected=3), BEFORE),
        (use(transcripts=30, corrected=20), use(transcripts=19)),  # too little is known of the one before
        (use(transcripts=30, corrected=20), None),
        (use(transcripts=WATCHED_TRANSCRIPTS + 1, corrected=290), BEFORE),  # one that this person is used to
        (use(transcripts=5, corrected=7), use("1.0.0", transcripts=30, corrected=30)),
    ],
)
def test_what_may_be_chance_or_is_long_past_is_no_reason(now: Use, before: Use | None) -> None:
    assert complaint(now, before) is None


def test_better_is_never_worse() -> None:
    assert not is_far_worse(0, 300, 30, 100)
    assert not is_far_worse(5, 300, 30, 100)


@pytest.mark.parametrize("rate", [0.02, 0.1, 0.3])
def test_a_model_that_does_as_well_is_hardly_ever_gone_back_from(rate: float) -> None:
    """150 devices that look after each of 200 recordings; one percent and three standard errors are 3.5 percent."""
    assert share_gone_back(rate, rate, n_before=100, n_runs=150, seed=1, n_most=200)[0] <= 0.035


def test_a_model_that_is_corrected_four_times_as_often_is_found_within_weeks() -> None:
    share, when = share_gone_back(0.1, 0.4, n_before=100, n_runs=50, seed=2, n_most=200)
    assert share >= 0.9
    assert when <= 60
