"""Whether something moved: how often chance alone says so, and what is named when something did."""

from __future__ import annotations

import os

import numpy as np
import pytest
from tests.fakes.quality_weeks import USUAL, USUAL_INTENTS, Shares, answers, moved

from projectone.contracts.quality import TRUTH_SHARE, weeks_before
from projectone.contracts.questions import HISTOGRAMS_OF, N_BINS, Histogram
from projectone.server.monitoring.drift import DriftLimits, Watched, watch
from projectone.server.monitoring.two_samples import chi_square_tail, stability_index, two_sample_p

FULL = bool(os.environ.get("PROJECTONE_FULL_DRIFT"))
LIMITS = DriftLimits()


def a_year(*weeks: Shares, n_devices: int = 700, seed: int = 1) -> dict[str, dict[Histogram, tuple[int, ...]]]:
    source = np.random.default_rng(seed)
    return {weeks_before("2026-W01", -place): answers(shares, n_devices, source) for place, shares in enumerate(weeks)}


@pytest.mark.parametrize(
    ("statistic", "n_free", "tail"),
    [(3.841, 1, 0.05), (5.991, 2, 0.05), (14.067, 7, 0.05), (24.322, 7, 0.001), (37.71, 7, 3.46e-6), (0.0, 3, 1.0)],
)
def test_the_tail_of_chi_square_is_that_of_the_tables(statistic: float, n_free: int, tail: float) -> None:
    assert chi_square_tail(statistic, n_free) == pytest.approx(tail, rel=0.02)


def test_chance_alone_is_as_seldom_as_it_says() -> None:
    """Far out, where an alarm is: the approximation by chi-square holds for as few answers as are judged."""
    source = np.random.default_rng(2)
    n = 200_000 if FULL else 4_000
    shares = TRUTH_SHARE * np.array(USUAL["duration"]) + (1 - TRUTH_SHARE) / N_BINS
    before, after = source.multinomial(400, shares, n), source.multinomial(LIMITS.min_answers, shares, n)
    found = np.array([two_sample_p(a, b) for a, b in zip(before.tolist(), after.tolist(), strict=True)])
    for level in (0.05, 0.01, 0.001, *((LIMITS.alpha_each("speech"),) if FULL else ())):
        n_below = int(np.sum(found < level))
        assert n_below <= n * level + 4 * np.sqrt(n * level), level


def test_stable_years_raise_alarms_as_seldom_as_stated() -> None:
    n = 200 if FULL else 4
    years = [watch(a_year(*[USUAL] * 52, seed=seed), LIMITS) for seed in range(n)]
    n_alarms = sum(bool(year.drifts) for year in years)
    assert n_alarms <= LIMITS.alpha * n + 2 * np.sqrt(LIMITS.alpha * n) if FULL else n_alarms == 0
    # The control: an ordinary test at five percent, looked at every week, speaks up in every such year.
    naive = [
        watch(a_year(*[USUAL] * 52, seed=seed), DriftLimits(alpha=0.05 * 52 * 7 * 2, min_index=0)) for seed in (0, 1)
    ]
    assert all(year.drifts for year in naive)


def test_what_moved_is_named_with_its_classes_and_since_when() -> None:
    found = watch(a_year(*[USUAL] * 10, *[moved("signal_to_noise")] * 3))
    (drift,) = found.drifts
    assert drift.comparison.histogram == "signal_to_noise"
    assert drift.since == weeks_before("2026-W01", -10)
    assert drift.comparison.week <= weeks_before("2026-W01", -11)
    place, before, after = drift.moved[0]
    assert place == 0 and before < 0.15 and after > 0.25
    assert found.reference == tuple(weeks_before("2026-W01", -n) for n in range(4))
    assert {item.histogram for item in found.comparisons} == set(HISTOGRAMS_OF["speech"])


def test_in_a_large_fleet_too_the_week_is_named_from_which_on_answers_differ() -> None:
    for n_devices in (20_000, 2_000_000):  # of the latter every chance is too small to be written
        found = watch(a_year(*[USUAL] * 10, *[moved("signal_to_noise")] * 5, n_devices=n_devices))
        assert {drift.since for drift in found.drifts} == {weeks_before("2026-W01", -10)}


def test_a_difference_too_small_to_matter_is_no_alarm() -> None:
    slightly = {name: tuple(0.93 * np.array(USUAL[name]) + 0.07 * np.eye(N_BINS)[3]) for name in USUAL}
    weeks = a_year(*[USUAL] * 4, *[slightly] * 2, n_devices=200_000)
    found = watch(weeks)
    assert min(item.p_value for item in found.comparisons) < LIMITS.alpha_each("speech") and not found.drifts
    assert watch(weeks, DriftLimits(min_index=0.0)).drifts  # the control


def test_a_new_model_is_held_against_the_one_before_and_may_be_better() -> None:
    before = a_year(*[USUAL] * 6)
    worse, better = a_year(*[moved("log_probability")] * 3, seed=3), a_year(*[moved("edit_rate")] * 3, seed=3)

    def found(weeks: dict[str, dict[Histogram, tuple[int, ...]]]) -> Watched:
        return watch({weeks_before(week, -6): item for week, item in weeks.items()}, earlier=before)

    (drift,) = found(worse).drifts
    assert drift.comparison.is_release and drift.comparison.histogram == "log_probability"
    assert found(better).drifts == ()  # fewer words are corrected
    assert watch(worse).drifts == ()  # without the model before, these are its own first weeks


def test_a_classifier_is_held_against_the_one_before_but_not_by_its_own_map_of_sentences() -> None:
    usual, worse = a_year(*[USUAL_INTENTS] * 6), moved("fit", "sketch", usual=USUAL_INTENTS)
    weeks = {weeks_before(week, -6): item for week, item in a_year(*[worse] * 8, seed=3).items()}
    found = watch(weeks, earlier=usual, family="intents")
    assert [drift.comparison.histogram for drift in found.drifts] == ["fit"]
    later = a_year(*[USUAL_INTENTS] * 6, *[worse] * 2)
    assert {drift.comparison.histogram for drift in watch(later, family="intents").drifts} == {"fit", "sketch"}


def test_few_answers_are_not_judged() -> None:
    assert watch(a_year(*[USUAL] * 4, moved("duration"), n_devices=60)).comparisons == ()
    assert watch({}).reference == ()


def test_the_index_is_that_of_the_true_shares_and_nought_where_chance_alone_speaks() -> None:
    source, n = np.random.default_rng(5), 200
    for share, low, high in ((0.0, 0.0, 0.12), (0.3, 0.5, 0.8), (0.6, 1.7, 2.2)):
        shares = (1 - share) * np.array(USUAL["duration"]) + share * np.eye(N_BINS)[0]
        sides = [TRUTH_SHARE * side + (1 - TRUTH_SHARE) / N_BINS for side in (np.array(USUAL["duration"]), shares)]
        drawn = zip(
            *(source.multinomial(k, side, n).tolist() for k, side in zip((400, 100), sides, strict=True)), strict=True
        )
        assert low <= np.mean([stability_index(a, b) for a, b in drawn]) <= high  # true: 0, 0.64, 1.96
