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


def test_a_glance_hears_a_voice_in_fewer_frames_and_noise_gets_the_full_look() -> None:
    for duration_s in (3.0, 10.0, 30.0):
        clip = speechlike(np.random.default_rng(4), duration_s)
        glance, full = measure_quality(clip).voice, measure_quality(clip, closely=True).voice
        assert 20 <= glance.n_frames < 40 <= full.n_frames
        assert full.voicing > glance.voicing - 1e-4 > 0.5, "its frames are among those of the full look"
        assert glance.snr_db == full.snr_db, "that is of all frames"
        assert glance.speaker_change is None
        assert full.speaker_change is not None
    noise = (0.2 * coloured(10 * RATE, 0.5, np.random.default_rng(4))).astype(np.float32)
    assert measure_quality(noise).voice == measure_quality(noise, closely=True).voice
    assert measure_quality(noise).voice.is_noise


def test_a_glance_and_the_full_look_judge_vowels_in_noise_alike() -> None:
    random = np.random.default_rng(5)
    verdicts = []
    for vowel_s in (0.0, 0.2, 1.0, 5.0):
        for _ in range(6):
            clip = (0.2 * coloured(8 * RATE, 0.5, random)).astype(np.float32)
            clip[RATE : RATE + int(vowel_s * RATE)] += speechlike(random, 5.0)[: int(vowel_s * RATE)]
            glance, full = measure_quality(clip), measure_quality(clip, closely=True)
            assert judge_quality(glance) == judge_quality(full)
            verdicts.append((judge_quality(full), glance.voice.n_frames < full.voice.n_frames))
    assert {("no-speech", False), (None, False), (None, True)} == set(verdicts)


def test_an_offset_changes_no_figure_of_a_voice() -> None:
    clip = speechlike(np.random.default_rng(6), 3.0)
    here, there = measure_quality(clip), measure_quality(clip + np.float32(0.1))
    assert there.dc_offset == pytest.approx(here.dc_offset + 0.1, abs=1e-5)
    # Between the harmonics of a made voice there is nothing but the roundings of 32 bits, and the offset has its own.
    assert there.voice.voicing == pytest.approx(here.voice.voicing, abs=2e-3)
    assert there.voice.snr_db == pytest.approx(here.voice.snr_db, abs=0.05)
    assert there.voice.n_frames == here.voice.n_frames


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
