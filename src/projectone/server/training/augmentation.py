"""Small variations of a clip, decided by a generator that is handed in."""

from __future__ import annotations

import numpy as np

from projectone.server.training.config import AugmentationConfig
from projectone.server.training.examples import Mel, Samples
from projectone.speech.audio import SAMPLE_RATE

# The telephone's lower edge, and how wide the slopes are: a sudden edge would ring.
_TELEPHONE_LOW_HZ = 300.0
_SLOPE_HZ = 200.0


def vary_samples(
    samples: Samples, config: AugmentationConfig, random: np.random.Generator, max_samples: int
) -> Samples:
    """Another speed, another loudness, perhaps some noise or a telephone; never longer than `max_samples`."""
    speed = 1 + random.uniform(-config.speed, config.speed)
    n_new = min(max(1, round(samples.size / speed)), max_samples)
    if n_new != samples.size:
        # Linear interpolation dulls the highest octave a little, which is a variation too.
        positions = np.linspace(0, samples.size - 1, n_new)
        samples = np.interp(positions, np.arange(samples.size), samples).astype(np.float32)
    gain_db = random.uniform(-config.gain_db, config.gain_db)
    varied = samples * np.float32(10 ** (gain_db / 20))
    if random.random() < config.noise_probability:
        varied = varied + _noise(varied, config, random)
    # Nothing is drawn where this is off: runs with settings from before it stay what they were.
    if config.band_limit_probability and random.random() < config.band_limit_probability:
        varied = band_limited(varied, _TELEPHONE_LOW_HZ, random.uniform(*config.band_limit_hz))
    clipped: Samples = np.clip(varied, -1.0, 1.0).astype(np.float32)
    return clipped


def band_limited(samples: Samples, low_hz: float, high_hz: float) -> Samples:
    """What a telephone lets through: the sound between the two limits, the noise on it included."""
    # Zeros first: the transform is circular, and the end must not ring into the start.
    n_padded = samples.size + SAMPLE_RATE // 50
    spectrum = np.fft.rfft(samples, n_padded)
    frequencies = np.fft.rfftfreq(n_padded, 1 / SAMPLE_RATE)
    rises = np.clip((frequencies - low_hz) / _SLOPE_HZ + 0.5, 0, 1)
    falls = np.clip((high_hz - frequencies) / _SLOPE_HZ + 0.5, 0, 1)
    # A raised cosine on each side.
    gains = np.sin(np.pi / 2 * rises) ** 2 * np.sin(np.pi / 2 * falls) ** 2
    limited: Samples = np.fft.irfft(spectrum * gains, n_padded)[: samples.size].astype(np.float32)
    return limited


def _noise(samples: Samples, config: AugmentationConfig, random: np.random.Generator) -> Samples:
    """White or rumbling noise below the speech."""
    noise = random.standard_normal(samples.size).astype(np.float32)
    if random.random() < 0.5:
        # A leaky sum falls by 6 dB per octave, as traffic and fans roughly do.
        kernel = (0.9 ** np.arange(48)).astype(np.float32)
        noise = np.convolve(noise, kernel, mode="full")[: samples.size].astype(np.float32)
    snr_db = random.uniform(*config.noise_snr_db)
    level = float(np.sqrt(np.mean(samples**2))) * 10 ** (-snr_db / 20)
    scaled: Samples = (noise * (level / max(1e-9, float(np.sqrt(np.mean(noise**2)))))).astype(np.float32)
    return scaled


def mask_mel(mel: Mel, config: AugmentationConfig, random: np.random.Generator) -> Mel:
    """SpecAugment: some bands and some stretches take the clip's mean value.

    Source: Park et al., 2019, without time warping.
    """
    masked = mel.copy()
    mean = float(mel.mean())
    for _ in range(config.n_masks):
        width = int(random.integers(0, max(1, int(config.mask_share * mel.shape[1])) + 1))
        start = int(random.integers(0, mel.shape[1] - width + 1))
        masked[:, start : start + width] = mean
        length = int(random.integers(0, max(1, int(config.mask_share * mel.shape[0])) + 1))
        begin = int(random.integers(0, max(1, mel.shape[0] - length + 1)))
        masked[begin : begin + length] = mean
    return masked
