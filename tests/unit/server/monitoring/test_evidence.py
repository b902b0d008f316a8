"""What stops a release: how often without a reason, how soon with one, and what the usual test would do."""

import math
import os
import random

import numpy as np
import pytest

from projectone.server.monitoring.evidence import (
    METRICS,
    Arms,
    Limits,
    Tally,
    judge,
    least_devices,
    least_factor,
    log_evidence,
    log_harm,
    log_likelihood_ratio,
)
from projectone.server.monitoring.simulation import Fleet, failures, first_stop, log_evidence_paths, z_paths

BASE_RATES = (0.001, 0.005, 0.01, 0.02, 0.05, 0.10, 0.20)
# All 4,000 runs of every row take a minute: PROJECTONE_FULL_ROLLOUT=1 has them.
N_RUNS = 4_000 if os.environ.get("PROJECTONE_FULL_ROLLOUT") else 150
ONE_PERCENT = math.log(100)


def stops(fleet: Fleet, n_runs: int, seed: int) -> "np.ndarray[tuple[int], np.dtype[np.int64]]":
    return first_stop(log_evidence_paths(*failures(fleet, n_runs, np.random.default_rng(seed))), ONE_PERCENT)


def test_the_evidence_is_the_bayes_factor_of_its_definition() -> None:
    def beta(a: float, b: float) -> float:  # as the integral, by its sum over a fine grid
        grid = (np.arange(200_000) + 0.5) / 200_000
        return float(np.log(np.mean(grid ** (a - 1) * (1 - grid) ** (b - 1))))

    def marginal(failed: int, total: int) -> float:
        return beta(1 + failed, 50 + total - failed) - beta(1, 50)

    expected = marginal(2, 300) + marginal(9, 200) - marginal(11, 500)
    assert log_evidence(Tally(9, 200), Tally(2, 300)) == pytest.approx(expected, abs=1e-6)


def test_whole_arrays_give_what_single_tallies_give() -> None:
    fleet = Fleet(control_rate=0.03, treated_rate=0.08, n_looks=12, per_look=17, controls=3)
    treated, n_treated, control, n_control = failures(fleet, 5, np.random.default_rng(1))
    paths = log_evidence_paths(treated, n_treated, control, n_control)
    for run in range(5):
        for look in range(12):
            one = Tally(int(treated[run, look]), int(n_treated[look]))
            other = Tally(int(control[run, look]), int(n_control[look]))
            assert paths[run, look] == pytest.approx(log_harm(one, other), abs=1e-8)


@pytest.mark.parametrize("controls", [1, 3, 10])
@pytest.mark.parametrize("per_look", [20, 200])
def test_a_release_without_harm_is_hardly_ever_stopped(controls: int, per_look: int) -> None:
    worst = 0.0
    for n, rate in enumerate(BASE_RATES):
        fleet = Fleet(control_rate=rate, treated_rate=rate, per_look=per_look, controls=controls)
        worst = max(worst, float((stops(fleet, N_RUNS, seed=n) >= 0).mean()))
    # 0.40 % in 4,000 runs (docs/rollout.md); of 150 runs two may be stopped by chance.
    assert worst <= (0.006 if N_RUNS == 4_000 else 0.0134)


def test_the_usual_test_looked_at_again_and_again_stops_many_without_harm() -> None:
    fleet = Fleet(control_rate=0.01, treated_rate=0.01)
    arms = failures(fleet, 600, np.random.default_rng(7))
    peeked = first_stop(z_paths(*arms), 2.326)  # one side, 1 %
    assert (peeked >= 0).mean() > 0.06
    assert (first_stop(log_evidence_paths(*arms), ONE_PERCENT) >= 0).mean() <= 0.01


@pytest.mark.parametrize(
    ("factor", "controls", "least_found", "most_devices"),
    [(5, 1, 1.0, 800), (2, 1, 0.98, 5_000), (5, 10, 1.0, 400), (2, 10, 0.98, 2_600), (1.5, 10, 0.93, 9_000)],
)
def test_harm_is_found_after_so_many_devices(
    factor: float, controls: int, least_found: float, most_devices: int
) -> None:
    fleet = Fleet(control_rate=0.01, treated_rate=0.01 * factor, controls=controls)
    found = stops(fleet, 150, seed=11)
    assert (found >= 0).mean() >= least_found
    assert (np.median(found[found >= 0]) + 1) * fleet.per_look <= most_devices


def test_a_better_model_is_never_stopped() -> None:
    assert log_evidence(Tally(0, 5_000), Tally(500, 5_000)) > ONE_PERCENT
    assert log_harm(Tally(0, 5_000), Tally(500, 5_000)) == 0.0
    judgement = judge({"empty": [Arms(treated=Tally(0, 5_000), control=Tally(500, 5_000))]})
    assert judgement.stop is None


def test_devices_are_compared_within_their_tier_and_app_alone() -> None:
    # The older app fails more, with the release and without, and most who have the release have it: no harm was done.
    old, new = Arms(Tally(90, 900), Tally(10, 100)), Arms(Tally(1, 100), Tally(9, 900))
    assert judge({"corrected": [old, new]}).stop is None
    mixed = Arms(old.treated + new.treated, old.control + new.control)
    assert judge({"corrected": [mixed]}).stop == "corrected"


def test_each_metric_gets_its_share_of_the_error() -> None:
    assert Limits(alpha=0.01).threshold == pytest.approx(math.log(100 * len(METRICS)))
    with pytest.raises(ValueError, match="alpha"):
        Limits(alpha=1.0)


def test_three_crash_loops_among_the_first_fifty_stop_at_once() -> None:
    assert judge({}, early_crash_loops=2).stop is None
    assert judge({}, early_crash_loops=3).stop == "crash-loops"


def test_what_has_no_control_is_held_against_what_is_bearable() -> None:
    stopped = {factor: 0 for factor in (1, 5)}
    generator = random.Random(3)
    for factor in stopped:
        for _ in range(100):
            failed = 0
            for n in range(1, 601):
                failed += generator.random() < 0.01 * factor
                if log_likelihood_ratio(Tally(failed, n), 0.01) >= Limits().threshold:
                    stopped[factor] += 1
                    break
    assert stopped[1] == 0
    assert stopped[5] >= 90
    assert judge({"load-failed": [Arms(treated=Tally(40, 500))]}).stop == "load-failed"


def test_nobody_who_reports_stops_nothing() -> None:
    judgement = judge({})
    assert judgement.stop is None
    assert [finding.metric for finding in judgement.findings] == list(METRICS)
    assert all(finding.treated.interval == (0.0, 1.0) for finding in judgement.findings)


def test_small_fleets_are_told_what_they_cannot_see() -> None:
    few, many = least_devices(0.01, 5), least_devices(0.01, 2)
    assert few is not None
    assert many is not None
    assert 100 < few < 500 < 1_500 < many < 4_000
    assert least_devices(0.00001, 1.1) is None


@pytest.mark.parametrize(
    ("usual", "factor", "devices", "low", "high"),
    [
        (0.01, 2, 500, 0.0, 0.1),  # five percent of ten thousand devices: the mildest harm is not seen there
        (0.01, 2, 2_500, 0.5, 0.75),
        (0.01, 5, 500, 0.85, 1.0),
        (0.1, 2, 500, 0.7, 0.9),
    ],
)
def test_so_often_is_harm_found_by_so_many_devices(
    usual: float, factor: float, devices: int, low: float, high: float
) -> None:
    fleet = Fleet(control_rate=usual, treated_rate=usual * factor, n_looks=devices // 20, per_look=20, controls=10)
    paths = log_evidence_paths(*failures(fleet, 400, np.random.default_rng(4)))
    found = float((first_stop(paths, Limits().threshold) >= 0).mean())
    assert low <= found <= high


def test_the_least_harm_that_so_many_show_is_the_harm_for_which_so_many_are_needed() -> None:
    assert least_factor(0.01, 500) == 3.5
    assert least_factor(0.1, 500) == 2.0
    assert least_factor(0.01, least_devices(0.01, 5) or 0) == 5.0
    assert least_factor(0.01, 5) is None or (least_factor(0.01, 5) or 0) > 20
    assert least_factor(0.5, 1) is None


def test_an_interval_holds_the_rate() -> None:
    assert Tally(5, 100).interval == pytest.approx((0.0215, 0.1118), abs=1e-3)
    with pytest.raises(ValueError, match="failures"):
        Tally(3, 2)
