import numpy as np
import pytest

from projectone.server.evaluation.bootstrap import ratio_interval, resampled_sums


def test_the_interval_of_many_equal_speakers_is_the_textbook_one() -> None:
    random = np.random.default_rng(0)
    errors = (random.random(2000) < 0.2).astype(float)
    interval = ratio_interval(errors, np.ones(2000), [str(i) for i in range(2000)])
    spread = 1.96 * np.sqrt(0.2 * 0.8 / 2000)
    assert interval.value == pytest.approx(errors.mean())
    # Speakers of one clip each: drawing within a speaker adds nothing.
    assert interval.high - interval.low == pytest.approx(2 * spread, rel=0.1)


def test_clips_that_fail_together_widen_the_interval() -> None:
    random = np.random.default_rng(1)
    speakers = np.repeat([f"s{i}" for i in range(20)], 50)
    errors = np.repeat(random.uniform(0, 0.6, 20), 50)
    blocked = ratio_interval(errors, np.ones(1000), speakers)
    naive = ratio_interval(errors, np.ones(1000), [str(i) for i in range(1000)])
    assert blocked.high - blocked.low > 4 * (naive.high - naive.low)


def test_one_speaker_still_has_an_interval() -> None:
    errors = [1.0, 0.0] * 30
    interval = ratio_interval(errors, np.ones(60), ["only"] * 60)
    assert 0.3 < interval.low < 0.45 < 0.55 < interval.high < 0.7


@pytest.mark.parametrize("n_speakers", [8, 25])
def test_the_interval_covers_the_truth_about_as_often_as_it_says(n_speakers: int) -> None:
    random = np.random.default_rng(2)
    n_covered = 0
    for trial in range(150):
        rates = random.beta(2, 6, n_speakers)  # the truth over all speakers is 0.25
        errors = (random.random((n_speakers, 12)) < rates[:, None]).astype(float).reshape(-1)
        speakers = np.repeat([str(i) for i in range(n_speakers)], 12)
        interval = ratio_interval(errors, np.ones(errors.size), speakers, n_resamples=500, seed=trial)
        n_covered += interval.low <= 0.25 <= interval.high
    # 95 % of 150 is 142.5; fewer than 134 would be a chance of one in a thousand.
    assert n_covered >= 134


def test_the_draws_depend_on_the_seed_alone() -> None:
    random = np.random.default_rng(3)
    arguments = (random.random(40), np.ones(40), [f"s{i % 7}" for i in range(40)])
    assert ratio_interval(*arguments, seed=5) == ratio_interval(*arguments, seed=5)
    assert ratio_interval(*arguments, seed=5) != ratio_interval(*arguments, seed=6)


def test_a_draw_takes_as_many_clips_as_its_speakers_have() -> None:
    speakers = ["a"] * 3 + ["b"] * 5
    _, sizes = resampled_sums(np.ones(8), np.ones(8), speakers, n_resamples=500, seed=0)
    assert set(sizes) == {6.0, 8.0, 10.0}


def test_nothing_to_count_is_nothing() -> None:
    assert ratio_interval([], [], []).high == 0
    assert ratio_interval([1.0], [0.0], ["a"]).value == 0
    with pytest.raises(ValueError, match="one length"):
        ratio_interval([1.0], [1.0], [])


def test_intervals_over_twenty_people_hold_the_truth_as_often_as_they_say() -> None:
    random = np.random.default_rng(0)
    people = [str(i) for i in range(20)]
    missed = 0
    for seed in range(400):
        gains = random.normal(0.0, 1.0, 20)
        interval = ratio_interval(list(gains), [1.0] * 20, people, n_resamples=2000, seed=seed)
        missed += not interval.low <= 0.0 <= interval.high
    # One in twenty is promised; draws alone, without Student's factor, miss one in ten.
    assert missed <= 0.08 * 400
