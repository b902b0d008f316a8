"""Words are kept out of the silence around them."""

from __future__ import annotations

import numpy as np
import pytest

from projectone.speech.pauses import keep_out, loudness_of
from projectone.speech.timing import WordTiming

RATE_HZ = 16_000


def sound(*parts: tuple[float, float], noise: float = 1e-3) -> np.ndarray:
    """Tones of a length and an amplitude, one after the other, in noise."""
    random = np.random.default_rng(0)
    tones = [level * np.sin(np.arange(round(length_s * RATE_HZ)) * 0.3) for length_s, level in parts]
    whole = np.concatenate(tones)
    return (whole + noise * random.standard_normal(whole.size)).astype(np.float32)


def word(text: str, start_s: float, end_s: float) -> WordTiming:
    return WordTiming(text, start_s, end_s, 0.9, 0)


def test_pauses_are_found_where_nothing_sounds() -> None:
    heard = loudness_of(sound((0.5, 0.0), (1.0, 0.3), (0.05, 0.0), (0.5, 0.3), (0.3, 0.0), (0.4, 0.2), (0.03, 0.0)))
    assert heard is not None
    assert heard.pauses == (pytest.approx((0, 0.5)), pytest.approx((2.05, 2.35)), pytest.approx((2.75, 2.78)))


def test_in_loud_noise_nothing_is_a_pause_and_nothing_is_said_of_loudness() -> None:
    assert loudness_of(sound((1.0, 0.3), (0.5, 0.0), (1.0, 0.3), noise=0.1)) is None
    assert loudness_of(np.zeros(100, np.float32)) is None
    assert loudness_of(np.zeros(RATE_HZ, np.float32)) is None


def test_a_position_is_as_quiet_as_its_quietest_moment() -> None:
    heard = loudness_of(sound((0.1, 0.3), (0.2, 0.0), (0.2, 0.3)))
    assert heard is not None
    positions = heard.of_positions(0, 25)
    assert positions[0] == 0.0  # before the recording it is quiet
    assert positions[1:5].min() > 0.5
    assert positions[5:16].max() < 0.1
    assert positions[16:].min() > 0.5
    shifted = heard.of_positions(10, 15)
    np.testing.assert_array_equal(shifted, positions[5:20])
    assert heard.of_positions(40, 15)[5:].max() == 0.0  # and behind it


def test_a_boundary_near_a_pause_becomes_two() -> None:
    words = [word("a", 0.0, 1.05), word("b", 1.05, 2.0)]
    kept = keep_out(words, [(0.0, 0.2), (1.1, 1.5), (1.9, 2.5)])
    assert [(w.start_s, w.end_s) for w in kept] == [(0.2, 1.1), (1.5, 1.9)]


def test_a_pause_within_a_word_changes_nothing() -> None:
    words = [word("a", 0.0, 2.0)]
    assert keep_out(words, [(0.8, 1.0)]) == words
    assert keep_out([], [(0.8, 1.0)]) == []


def test_a_short_word_within_a_pause_keeps_its_order() -> None:
    words = [word("a", 0.0, 1.2), word("b", 1.2, 1.26), word("c", 1.26, 2.0)]
    kept = keep_out(words, [(1.0, 1.5)])
    assert [w.start_s for w in kept] == sorted(w.start_s for w in kept)
    assert all(w.start_s <= w.end_s for w in kept)
    assert (kept[0].end_s, kept[2].start_s) == (1.0, 1.5)
