from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from projectone.speech.logit_rules import LogitRules, Scores, logsumexp, prefer_timestamps

# A vocabulary of ten: text 0 to 3, end 4, two control tokens, then three timestamps from 7 on.
EOT, NO_TIMESTAMPS, BEGIN, N_VOCAB = 4, 6, 7, 12
RULES = LogitRules(
    n_vocab=N_VOCAB, eot=EOT, timestamp_begin=BEGIN, no_timestamps=NO_TIMESTAMPS, max_initial_timestamp_index=2
)


def allowed(rules: LogitRules, sampled: list[int], scores: Scores | None = None) -> set[int]:
    # Text is made likelier than all timestamps together, so that only the hard rules are seen.
    row = np.where(np.arange(N_VOCAB) < BEGIN, 10.0, 0.0).astype(np.float32)[None] if scores is None else scores
    rules.apply(row, [sampled])
    return set(np.flatnonzero(np.isfinite(row[0])).tolist())


def test_a_blank_and_nothing_at_all_are_forbidden_only_at_the_beginning() -> None:
    rules = LogitRules(n_vocab=N_VOCAB, eot=EOT, never=[5], not_first=[0, EOT])
    assert allowed(rules, []) == set(range(N_VOCAB)) - {0, EOT, 5}
    assert allowed(rules, [1]) == set(range(N_VOCAB)) - {5}


def test_the_first_token_is_a_timestamp_near_the_beginning() -> None:
    assert allowed(RULES, []) == {7, 8, 9}


def test_after_the_opening_timestamp_comes_no_timestamp() -> None:
    assert allowed(RULES, [BEGIN]) == {0, 1, 2, 3, EOT, 5}


def test_after_text_a_timestamp_may_come_but_none_that_goes_back_or_closes_an_empty_segment() -> None:
    assert allowed(RULES, [8, 2]) == {0, 1, 2, 3, EOT, 5, 9, 10, 11}


def test_a_closing_timestamp_is_followed_by_the_end_or_the_next_opening_one() -> None:
    assert allowed(RULES, [7, 2, 9]) == {EOT, 5, 9, 10, 11}


def test_after_a_pair_comes_text() -> None:
    assert allowed(RULES, [7, 2, 9, 9]) == {0, 1, 2, 3, EOT, 5}


def test_many_unlikely_timestamps_together_beat_one_likely_word() -> None:
    scores = np.full((2, N_VOCAB), 0.0, np.float32)
    scores[0, 1], scores[1, 1] = 1.0, 3.0  # five timestamps at 0 weigh ln 5, about 1.6
    prefer_timestamps(scores, BEGIN)
    assert np.isneginf(scores[0, :BEGIN]).all()
    assert np.isfinite(scores[1]).all()


@given(st.lists(st.floats(-80, 80, width=32) | st.just(-np.inf), min_size=1, max_size=6))
def test_logsumexp_is_the_log_of_the_sum(values: list[float]) -> None:
    expected = np.logaddexp.reduce(np.array(values, np.float64))
    assert logsumexp(np.array([values], np.float32))[0] == pytest.approx(expected, rel=1e-4, abs=1e-4)


@given(st.lists(st.integers(0, 2**31), min_size=1, max_size=12))
def test_some_token_is_always_left_and_time_never_runs_backwards(seeds: list[int]) -> None:
    sampled: list[int] = []
    for seed in seeds:
        scores = np.random.default_rng(seed).normal(size=(1, N_VOCAB)).astype(np.float32)
        choices = allowed(RULES, sampled, scores)
        assert choices
        sampled.append(int(scores[0].argmax()))
        if sampled[-1] == EOT:
            break
    times = [token for token in sampled if token >= BEGIN]
    assert times == sorted(times)
