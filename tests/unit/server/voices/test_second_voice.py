"""What speaks for a second voice: seconds of somebody else, or a voice that changes at a cut and not by chance."""

from __future__ import annotations

import numpy as np
import pytest

from projectone.server.voices.activity import FRAME_S, RATE_HZ, SHORTEST, WINDOW
from projectone.server.voices.embedding import loud_frames
from projectone.server.voices.second_voice import distance_at_cut, is_narrow, second_speaker_s, windows_of


def voices(*names: int) -> np.ndarray:
    """Stretches, each of the voice of its number, with a little chance."""
    random = np.random.default_rng(sum(names))
    vectors = np.eye(256, dtype=np.float32)[list(names)] + 0.01 * random.standard_normal((len(names), 256))
    unit: np.ndarray = (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float32)
    return unit


def test_the_second_speaker_counts_where_they_say_most() -> None:
    chances = np.zeros((3, 293, 3), np.float32)
    chances[:, :, 1] = 1.0
    chances[1, 100:200, 2] = 0.9
    chances[2, :10, 0] = 1.0
    assert second_speaker_s(chances) == pytest.approx(90 * FRAME_S)
    chances[:, :, 1] = 0.0
    assert second_speaker_s(chances) == 0.0, "whoever is left speaks alone in each window"


def test_a_voice_that_gives_way_to_another_is_far_from_it_and_one_voice_is_near_itself() -> None:
    assert distance_at_cut(voices(*[1] * 12)) < 0.05
    two = distance_at_cut(voices(*[1] * 6, *[2] * 6))
    assert two > 2.0
    assert two > distance_at_cut(voices(*[1] * 10, *[2] * 2)) > 1.0, "the fewer stretches, the less they say"


def test_of_too_few_stretches_nothing_is_said() -> None:
    assert distance_at_cut(voices()) == 0.0
    assert distance_at_cut(voices(1, 2, 2)) == 0.0, "the three overlap"
    assert distance_at_cut(voices(1, 1, 2, 2)) > 0.0


def test_a_telephone_is_known_by_its_band() -> None:
    noise = np.random.default_rng(4).standard_normal(RATE_HZ).astype(np.float32)
    spectrum = np.fft.rfft(noise)
    spectrum[4000:] *= 1e-3
    assert not is_narrow(noise)
    assert is_narrow(np.fft.irfft(spectrum, RATE_HZ).astype(np.float32))
    assert not is_narrow(np.fft.irfft(spectrum, RATE_HZ).astype(np.float32) + 0.1 * noise), (
        "hiss in the upper half is no telephone"
    )


def test_frames_of_noise_alone_are_no_voice() -> None:
    bands = np.full((100, 40), 1e-3, np.float32)  # 17 dB below
    bands[30:60] = 0.05
    assert 30 <= len(loud_frames(bands)) <= 36
    bands[:30] = bands[60:] = 1e-6
    bands[40:50] = 1e-3  # quiet speech, where there is no noise
    assert 30 <= len(loud_frames(bands)) <= 36
    assert len(loud_frames(np.full((100, 40), 0.05, np.float32))) == 100


def test_windows_reach_to_the_end_and_a_short_clip_is_one() -> None:
    long = np.arange(2 * WINDOW + 7, dtype=np.float32)
    windows = windows_of(long)
    assert windows.shape == (4, WINDOW)
    assert windows[0, 0] == 0
    assert windows[-1, -1] == long[-1]
    assert windows_of(long[: WINDOW - 1]).shape == (1, WINDOW - 1)
    assert windows_of(long[:99]).shape == (1, SHORTEST)
