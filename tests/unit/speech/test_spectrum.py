"""Sound to power in mel bands, and what is made of it over several blocks of frames."""

from __future__ import annotations

import numpy as np
import pytest

from projectone.speech.audio import log_mel
from projectone.speech.spectrum import BLOCK, HALF, HOP_LENGTH, N_FFT, MelPower, mel_filters


def _noise(n_frames: int, seed: int = 0) -> np.ndarray:
    return (0.1 * np.random.default_rng(seed).standard_normal(n_frames * HOP_LENGTH)).astype(np.float32)


def _plain_power(samples: np.ndarray, n_frames: int) -> np.ndarray:
    """A windowed Fourier transform of every frame, in float64."""
    mirrored = np.pad(samples.astype(np.float64), HALF, mode="reflect")
    window = np.sin(np.pi * np.arange(N_FFT) / N_FFT) ** 2
    frames = np.stack([mirrored[first * HOP_LENGTH :][:N_FFT] for first in range(n_frames)])
    return np.abs(np.fft.rfft(frames * window)) ** 2


@pytest.mark.parametrize("n_mels", [80, 128])
def test_power_is_that_of_a_windowed_fourier_transform(n_mels: int) -> None:
    n_frames = 2 * BLOCK + 17
    samples, power = _noise(n_frames), MelPower(n_mels)
    blocks = [power.block(samples, first, min(BLOCK, n_frames - first)).copy() for first in range(0, n_frames, BLOCK)]
    expected = _plain_power(samples, n_frames) @ mel_filters(n_mels)
    # Rounding of float32, a hundred numbers deep; bands that hold no bin have no power.
    np.testing.assert_allclose(np.concatenate(blocks), expected, rtol=5e-5)


@pytest.mark.parametrize("k", [1, 2, 49, 50, 51, 99, 100, 101, 102, 150, 198, 199])
def test_a_tone_is_heard_at_its_place_whatever_its_phase(k: int) -> None:
    n_frames = 20
    at = np.arange(n_frames * HOP_LENGTH)
    for phase in (0.0, 0.7, np.pi / 2):
        tone = np.cos(2 * np.pi * k * at / N_FFT + phase).astype(np.float32)
        heard = MelPower(80).block(tone, 0, n_frames)[5:15]
        expected = (_plain_power(tone, n_frames) @ mel_filters(80))[5:15]
        np.testing.assert_allclose(heard, expected, rtol=1e-4, atol=1e-6 * expected.max())


def test_a_frame_has_the_same_bits_whatever_follows() -> None:
    samples = _noise(3 * BLOCK)
    whole = log_mel(samples)
    for n_frames in (5, BLOCK - 1, BLOCK, BLOCK + 1, 2 * BLOCK + 90):
        part = log_mel(samples[: n_frames * HOP_LENGTH])
        # The last three frames reach over the end; all is louder than the floor.
        np.testing.assert_array_equal(part[:-3], whole[: n_frames - 3])


@pytest.mark.parametrize("loud_block", [0, 1, 2])
def test_the_loudest_moment_sets_the_floor_of_all_blocks(loud_block: int) -> None:
    samples = np.float32(1e-6) * _noise(3 * BLOCK)
    start = (loud_block * BLOCK + 40) * HOP_LENGTH
    samples[start : start + 100 * HOP_LENGTH] *= np.float32(1e6)
    mel = log_mel(samples)
    assert mel.min() == mel.max() - np.float32(2)
    quiet = np.r_[0:30, 2 * BLOCK + 200 : 3 * BLOCK] if loud_block else np.r_[BLOCK : 3 * BLOCK]
    assert (mel[quiet] == mel.min()).all()
