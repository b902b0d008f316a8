"""What can be heard at the new rate stays as it was; what cannot is gone."""

import time

import numpy as np
import pytest

from projectone.waveform.resample import resample, to_16k_mono

EDGE = 400  # samples at each end that the filter sees only half of


def sine(frequency_hz: float, rate: int, duration_s: float = 0.5) -> np.ndarray:
    return np.sin(2 * np.pi * frequency_hz * np.arange(int(rate * duration_s)) / rate)


@pytest.mark.parametrize("rate", [8000, 11025, 12000, 22050, 24000, 32000, 44100, 48000])
@pytest.mark.parametrize("frequency_hz", [150, 1000, 3300])
def test_a_tone_stays_that_tone(rate: int, frequency_hz: float) -> None:
    found = to_16k_mono(sine(frequency_hz, rate), rate)
    wanted = sine(frequency_hz, 16000, len(found) / 16000)
    # 16 bits resolve 3e-5; the filter's own ripple is below that.
    assert np.abs(found - wanted[: len(found)])[EDGE:-EDGE].max() < 3e-5


@pytest.mark.parametrize("rate", [22050, 32000, 44100, 48000])
def test_nothing_above_the_new_limit_comes_back_as_an_alias(rate: int) -> None:
    for frequency_hz in np.linspace(8200, rate / 2 - 100, 7):
        found = to_16k_mono(sine(frequency_hz, rate), rate)
        assert np.abs(found)[EDGE:-EDGE].max() < 1e-3  # -60 dB at the edge of the band, -90 dB beyond


@pytest.mark.parametrize(("n", "rate"), [(1, 8000), (7, 44100), (4801, 48000), (3, 22050)])
def test_the_length_is_rounded_up(n: int, rate: int) -> None:
    assert len(to_16k_mono(np.ones(n), rate)) == -(-n * 16000 // rate)


def test_channels_are_averaged() -> None:
    found = to_16k_mono(np.stack([np.ones(100), np.zeros(100)], axis=1), 16000)
    np.testing.assert_array_equal(found, np.full(100, 0.5, np.float32))


def test_a_tone_survives_the_way_up_and_back() -> None:
    start = sine(900, 16000).astype(np.float32)
    back = resample(resample(start, 16000, 44100), 44100, 16000)
    np.testing.assert_allclose(back[EDGE:-EDGE], start[EDGE:-EDGE], atol=5e-5)


def test_an_odd_rate_costs_no_more_than_a_usual_one() -> None:
    # A stranger chooses the rate; 47999 and 16000 have no common divisor.
    started = time.process_time()
    found = to_16k_mono(sine(1000, 47999, 10.0), 47999)
    assert time.process_time() - started < 3.0
    wanted = sine(1000, 16000, 10.0)
    np.testing.assert_allclose(found[EDGE:4000], wanted[EDGE:4000], atol=0.05)  # the clock is at most 0.05 % off


@pytest.mark.parametrize("rate", [0, 999, 200_000])
def test_an_impossible_rate_is_refused(rate: int) -> None:
    with pytest.raises(ValueError, match="rate"):
        to_16k_mono(np.ones(10), rate)
