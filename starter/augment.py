"""Makes one recording sound like many: speed, room, microphone, telephone band, noise, cut edges, silence around."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

SAMPLE_RATE = 16_000
Sound = npt.NDArray[np.float32]


def trim_edges(sound: Sound, rng: np.random.Generator, *, is_hard: bool = False) -> tuple[Sound, int]:
    """Cut the quiet before and after the speech, down to a random small margin; gives the samples cut in front.

    The hard way leaves no margin and takes weak consonants along, as clips of single words often are cut.
    """
    frame = 160
    n_frames = sound.size // frame
    if n_frames < 8:
        return sound, 0
    level = np.abs(sound[: n_frames * frame]).reshape(n_frames, frame).max(axis=1)
    threshold, most_s = (rng.uniform(0.06, 0.25), 0.02) if is_hard else (rng.uniform(0.02, 0.08), 0.12)
    loud = np.flatnonzero(level > level.max() * threshold)
    margins = rng.uniform(0.0, most_s, size=2) * SAMPLE_RATE
    start = max(0, int(loud[0] * frame - margins[0]))
    end = min(sound.size, int((loud[-1] + 1) * frame + margins[1]))
    return (sound[start:end], start) if end - start > 1600 else (sound, 0)


def change_speed(sound: Sound, rng: np.random.Generator, *, most: float = 0.15) -> tuple[Sound, float]:
    """Play it faster or slower: pitch and tempo move together; gives the factor."""
    factor = rng.uniform(1 - most, 1 + most)
    positions = np.arange(0, sound.size - 1, factor)
    return np.interp(positions, np.arange(sound.size), sound).astype(np.float32), factor


def place(sound: Sound, rng: np.random.Generator, *, room: int) -> tuple[Sound, int]:
    """Put up to half a second of silence before and after it, within `room` samples; gives the offset too."""
    before, after = (int(SAMPLE_RATE * rng.uniform(0, 0.5)) if rng.random() < 0.4 else 0 for _ in range(2))
    spare = max(0, room - sound.size)
    before = min(before, spare)
    after = min(after, spare - before)
    return np.pad(sound, (before, after)), before


def _microphone(n_bins: int, rng: np.random.Generator) -> npt.NDArray[np.float64]:
    """A smooth random frequency response, sometimes of a telephone."""
    hz = np.linspace(0, SAMPLE_RATE / 2, n_bins)
    knots_hz = np.geomspace(60, 8000, 9)
    gains_db = rng.normal(0, rng.uniform(0, 4), size=9)
    response = 10 ** (np.interp(hz, knots_hz, gains_db) / 20)
    if rng.random() < 0.2:
        response *= 1 / (1 + (rng.uniform(60, 350) / np.maximum(hz, 1.0)) ** 4)
    return response


def _telephone(n_bins: int, rng: np.random.Generator) -> npt.NDArray[np.float64]:
    hz = np.linspace(0, SAMPLE_RATE / 2, n_bins)
    edge_hz, width_hz = rng.uniform(3200, 3950), rng.uniform(50, 500)
    return np.clip((edge_hz + width_hz - hz) / width_hz, 0.0, 1.0)


def _room(n_fft: int, rng: np.random.Generator) -> npt.NDArray[np.complex64]:
    """The spectrum of a direct sound and a decaying tail."""
    n_tail = int(SAMPLE_RATE * rng.uniform(0.05, 0.3))
    tail = rng.standard_normal(n_tail, dtype=np.float32) * np.exp(-6.9 * np.arange(n_tail) / n_tail)
    tail *= rng.uniform(0.1, 0.9) / np.sqrt(np.sum(tail**2))
    tail[0] = 1.0
    return np.fft.rfft(tail.astype(np.float32), n_fft).astype(np.complex64)


def _noise(n_bins: int, rng: np.random.Generator) -> npt.NDArray[np.complex64]:
    """Noise of a random colour, as a spectrum."""
    slope = rng.uniform(0.0, 1.1)
    parts = rng.standard_normal((2, n_bins), dtype=np.float32)
    colour = (np.arange(1, n_bins + 1, dtype=np.float32) / n_bins) ** -slope
    spectrum: npt.NDArray[np.complex64] = ((parts[0] + 1j * parts[1]) * colour).astype(np.complex64)
    return spectrum


def record(sound: Sound, rng: np.random.Generator) -> Sound:
    """The same sound through another room, microphone and line, with noise; peak between 0.05 and 1."""
    n_fft = 1 << int(np.ceil(np.log2(max(sound.size, 2048))))
    spectrum = np.fft.rfft(sound, n_fft).astype(np.complex64)
    spectrum *= _microphone(spectrum.size, rng)
    if rng.random() < 0.2:
        spectrum *= _room(n_fft, rng)
    if rng.random() < 0.6:
        noise = _noise(spectrum.size, rng)
        # Speech fills only part of the transform, so its power is that of the loud part, not of the whole.
        share = max(0.2, sound.size / n_fft)
        power = np.sum(np.abs(spectrum) ** 2) / share
        noise *= np.sqrt(power / np.sum(np.abs(noise) ** 2) * 10 ** (-rng.uniform(12, 45) / 10))
        spectrum += noise
    if rng.random() < 0.45:
        spectrum *= _telephone(spectrum.size, rng)
    out = np.fft.irfft(spectrum, n_fft)[: sound.size]
    peak = float(np.max(np.abs(out))) or 1.0
    scaled: Sound = (out * (10 ** rng.uniform(-1.3, 0.0) / peak)).astype(np.float32)
    return scaled


def hide(mel: npt.NDArray[np.float32], n_real: int, rng: np.random.Generator) -> None:
    """SpecAugment, in place: up to two bands and two stretches of time take the mean value."""
    mean = float(mel[:n_real].mean())
    for _ in range(2):
        width = int(rng.integers(0, 11))
        start = int(rng.integers(0, mel.shape[1] - width))
        mel[:n_real, start : start + width] = mean
    for _ in range(2):
        width = int(rng.integers(0, max(1, min(20, n_real // 10))))
        start = int(rng.integers(0, max(1, n_real - width)))
        mel[start : start + width] = mean
