"""Voices are told from noises of any loudness; what has a pitch or moves is never noise."""

from collections.abc import Iterator

import numpy as np
import pytest
from tests.hostile.audio_families import speechlike

from projectone.waveform import quality
from projectone.waveform.quality import judge_quality, measure_quality, why_unusable
from projectone.waveform.voice import Voice, measure_voice

RATE = 16_000


def coloured(n: int, slope: float, random: np.random.Generator) -> np.ndarray:
    """White (0), pink (0.5) or brown (1) noise that peaks at 1."""
    spectrum = np.fft.rfft(random.normal(size=n))
    shaped = np.fft.irfft(spectrum * np.maximum(np.arange(len(spectrum)), 20 * n / RATE) ** -slope, n)
    return shaped / np.abs(shaped).max()


def noises(seed: int = 0) -> Iterator[np.ndarray]:
    """A hundred noises that swell, burst, fade or blow, so that no level tells them from speech."""
    random = np.random.default_rng(seed)
    for _ in range(10):
        n = RATE * int(random.integers(1, 4))
        times = np.arange(n) / RATE
        bursts = np.full(n, 0.01)
        for start in random.integers(0, n - 4000, size=5):
            bursts[start : start + random.integers(800, 4000)] = random.uniform(0.2, 1)
        courses = (0.05 + np.sin(2 * np.pi * random.uniform(1, 5) * times) ** 2, bursts, np.linspace(0.02, 1, n))
        for slope in (0.0, 0.5, 1.0):
            for course in courses:
                yield (0.4 * coloured(n, slope, random) * course).astype(np.float32)
        gusts = np.clip(2 * np.abs(coloured(n, 1.0, random)), 0.01, 1)
        yield (0.4 * coloured(n, 1.2, random) * gusts).astype(np.float32)


def test_noise_is_refused_whatever_its_loudness_does(monkeypatch: pytest.MonkeyPatch) -> None:
    clips = list(noises())
    assert len(clips) == 100
    assert [why_unusable(clip) for clip in clips] == ["no-speech"] * 100
    monkeypatch.setattr(Voice, "is_noise", False)
    n_passed = sum(judge_quality(measure_quality(clip)) is None for clip in clips)
    assert n_passed >= 95, "control: the look at levels alone lets them through"


def test_a_whisper_moves_and_a_held_vowel_has_a_pitch_and_neither_is_noise() -> None:
    random = np.random.default_rng(1)
    pieces = [coloured(3200, slope, random) for slope in (0.0, 1.0, 0.3, 1.2, 0.0)]
    whisper = 0.1 * np.concatenate(pieces).astype(np.float32)
    assert measure_voice(whisper).movement_db > 3
    assert measure_voice(whisper).voicing < 0.5
    vowel = speechlike(random, 1.0) + random.normal(0, 0.02, RATE).astype(np.float32)
    assert measure_voice(vowel).voicing > 0.45
    assert not measure_voice(whisper).is_noise
    assert not measure_voice(vowel).is_noise


def test_the_figures_are_what_they_say() -> None:
    random = np.random.default_rng(2)
    clip = random.normal(0, 0.001, 2 * RATE).astype(np.float32)
    clip[RATE // 2 : RATE] += speechlike(random, 0.5)
    voice = measure_voice(clip)
    assert 0.1 < voice.speech_ratio < 0.35, "half a second of two, less its soft ends"
    speech, noise = np.mean(speechlike(np.random.default_rng(3), 0.5) ** 2) / 4, 0.001**2
    assert voice.snr_db == pytest.approx(10 * np.log10(speech / noise), abs=3)
    assert measure_voice(np.zeros(100, np.float32)).speech_ratio == 0
    assert quality.WHY["no-speech"].count("dB") == 2
