"""Sounds in which nobody speaks, made by code: every golden set has them, and every run has the same.

Silence, noises, hum, many voices at once of which no word can be made out, tones and music. A language of tones is the
one case in which some of them are speech: there, as everywhere, the model in production is the measure.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

import numpy as np
import numpy.typing as npt

from projectone.server.evaluation.golden import SAMPLE_RATE_HZ, Samples

PROBE_S = 2.0
_N = round(PROBE_S * SAMPLE_RATE_HZ)
_SYLLABLE_S = 0.18
_FORMANTS_HZ = ((250.0, 850.0), (800.0, 2400.0), (2200.0, 3200.0))
_N_VOICES = 8

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Probe:
    """One sound. `is_silent`: there is nothing in it that could be taken for a voice."""

    name: str
    samples: Samples
    is_silent: bool


@cache
def probes() -> tuple[Probe, ...]:
    """All of them, 2 s at 16 kHz each; the same numbers on every machine up to the rounding of its sine."""
    times = np.arange(_N) / SAMPLE_RATE_HZ
    sounds: list[tuple[str, Floats, float]] = [
        ("silence", np.zeros(_N), 0.0),
        *((f"{level}-dither", _noise(seed, 0.0), rms) for seed, (level, rms) in enumerate(_DITHERS.items())),
        *((f"{name}-noise-{loud}", _noise(seed, slope), rms) for seed, (name, slope, loud, rms) in enumerate(_NOISES)),
        *((f"hum-{hz}-hz", _harmonics(times, float(hz), 12, 1.0), 0.03) for hz in (50, 60)),
        ("fan", _noise(20, 1.0) * (1 + 0.5 * np.sin(2 * np.pi * 11 * times)), 0.05),
        *((f"babble-{seed}", _babble(times, seed), 0.06) for seed in (1, 2)),
        ("tone-440-hz", np.sin(2 * np.pi * 440 * times), 0.1),
        ("dial-tone", np.sin(2 * np.pi * 350 * times) + np.sin(2 * np.pi * 440 * times), 0.1),
        ("busy-tone", np.sin(2 * np.pi * 425 * times) * (times % 1.0 < 0.5), 0.1),
        ("sweep", np.sin(2 * np.pi * (200 * times + 900 * times**2)), 0.1),
        ("chord", sum((_plucked(times, 0.0, hz, 1.2) for hz in (261.6, 329.6, 392.0)), np.zeros(_N)), 0.1),
        ("melody", _melody(times), 0.1),
        ("drums", _bursts(30, (0.0, 0.5, 0.75, 1.0, 1.5), 0.06), 0.1),
        ("typing", _bursts(31, (0.1, 0.31, 0.44, 0.7, 0.83, 1.2, 1.31, 1.66), 0.008), 0.05),
        ("breath", _noise(32, 0.5) * np.maximum(0, np.sin(2 * np.pi * 0.5 * times)) ** 3, 0.02),
    ]
    return tuple(Probe(name, _at(sound, rms), rms <= _SILENT_RMS) for name, sound, rms in sounds)


_DITHERS = {"faint": 3e-5, "audible": 3e-4}
_SILENT_RMS = 1e-4  # -80 dB of full scale: what a good microphone hears in an empty room
# Name, exponent of 1/f in the amplitude, loudness, root mean square.
_NOISES = (
    ("white", 0.0, "low", 0.003),
    ("white", 0.0, "high", 0.1),
    ("pink", 0.5, "low", 0.003),
    ("pink", 0.5, "high", 0.1),
    ("brown", 1.0, "low", 0.003),
    ("brown", 1.0, "high", 0.1),
)


def _at(sound: Floats, rms: float) -> Samples:
    loudness = float(np.sqrt(np.mean(sound**2)))
    scaled = sound * (rms / loudness) if loudness else sound
    return np.clip(scaled, -1.0, 1.0).astype(np.float32)


def _noise(seed: int, slope: float) -> Floats:
    """Gaussian noise whose amplitude falls with frequency to the power of `slope`: white, pink, brown."""
    spectrum = np.fft.rfft(np.random.Generator(np.random.PCG64(seed)).standard_normal(_N))
    frequencies = np.fft.rfftfreq(_N, 1 / SAMPLE_RATE_HZ)
    return np.asarray(np.fft.irfft(spectrum * np.maximum(frequencies, 20.0) ** -slope, _N), np.float64)


def _harmonics(times: Floats, hz: float, n: int, slope: float) -> Floats:
    return np.asarray(sum(np.sin(2 * np.pi * hz * k * times) / k**slope for k in range(1, n + 1)), np.float64)


def _babble(times: Floats, seed: int) -> Floats:
    """Eight voices of vowels that nobody meant, each with its own pitch, pace and mouth."""
    random = np.random.Generator(np.random.PCG64(seed))
    mixed = np.zeros(_N)
    n_syllables = int(PROBE_S / _SYLLABLE_S) + 2
    coarse = times[::80]  # mouths move slowly
    for _ in range(_N_VOICES):
        pitch = random.uniform(90, 250)
        at = coarse / _SYLLABLE_S + random.uniform()
        formants = [np.interp(at, np.arange(n_syllables), random.uniform(*band, n_syllables)) for band in _FORMANTS_HZ]
        loudness = np.interp(at, np.arange(n_syllables), random.uniform(0, 1, n_syllables) ** 2)
        for k in range(1, int(3400 / pitch)):
            weight = loudness * sum(np.exp(-0.5 * ((k * pitch - formant) / 120) ** 2) for formant in formants)
            phase = random.uniform(0, 2 * np.pi)
            mixed += np.interp(times, coarse, weight) * np.sin(2 * np.pi * k * pitch * times + phase)
    return mixed


def _plucked(times: Floats, start_s: float, hz: float, length_s: float) -> Floats:
    since = times - start_s
    sounding = (since >= 0) * np.exp(-3 * np.maximum(since, 0) / length_s)
    return np.asarray(sounding * _harmonics(times, hz, 6, 1.5), np.float64)


def _melody(times: Floats) -> Floats:
    notes_hz = (261.6, 293.7, 329.6, 392.0, 440.0, 392.0, 329.6, 293.7)
    return np.asarray(sum(_plucked(times, 0.25 * place, hz, 0.4) for place, hz in enumerate(notes_hz)), np.float64)


def _bursts(seed: int, starts_s: tuple[float, ...], length_s: float) -> Floats:
    times = np.arange(_N) / SAMPLE_RATE_HZ
    envelope = sum(np.exp(-np.maximum(times - start_s, 0) / length_s) * (times >= start_s) for start_s in starts_s)
    return np.asarray(_noise(seed, 0.0) * envelope, np.float64)
