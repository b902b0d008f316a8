"""What copies of a recording have in common, and different recordings have not."""

from __future__ import annotations

import numpy as np
import pytest
from tests.fakes.copied_clips import copy_of
from tests.fakes.tiny_whisper import Samples, say

from projectone.waveform import fingerprint
from projectone.waveform.fingerprint import N_VALUES, RATE_HZ, Fingerprint, at_speed, fingerprint_of


def lively(seed: int, text: str = "red green blue") -> Samples:
    return say(text, seed=seed, is_lively=True)


def likeness(one: Fingerprint, other: Fingerprint) -> tuple[float, float]:
    """Cosines of the two shapes."""
    pairs = ((one.whole, other.whole), (one.core, other.core))
    whole, core = (float(a / np.linalg.norm(a.astype(float)) @ (b / np.linalg.norm(b.astype(float)))) for a, b in pairs)
    return whole, core


def test_a_copy_is_alike_and_the_same_words_said_again_are_not() -> None:
    random = np.random.default_rng(1)
    first = fingerprint_of(lively(1))
    assert min(max(likeness(first, fingerprint_of(copy_of(lively(1), random)))) for _ in range(30)) > 0.99
    assert max(max(likeness(first, fingerprint_of(lively(seed)))) for seed in range(2, 32)) < 0.97


def test_loudness_does_not_count_at_all() -> None:
    clip = lively(1)
    assert np.abs(fingerprint_of(clip).whole - fingerprint_of(0.01 * clip).whole).max() <= 1


def test_silence_around_the_words_leaves_the_core_as_it_was() -> None:
    clip = lively(1)
    longer = fingerprint_of(np.pad(clip, (3200, 1600)))
    whole, core = likeness(fingerprint_of(clip), longer)
    assert whole < 0.9 < 0.99 < core
    assert longer.core_s == pytest.approx(fingerprint_of(clip).core_s, abs=0.02)
    assert longer.whole_s == pytest.approx(len(clip) / RATE_HZ + 0.3)


@pytest.mark.parametrize("n", [1, 79, 511, 512, 1600])
@pytest.mark.parametrize("level", [0.0, 0.5])
def test_even_a_moment_or_nothing_at_all_has_a_fingerprint(n: int, level: float) -> None:
    found = fingerprint_of(np.full(n, level, np.float32))
    assert found.whole.shape == found.core.shape == (N_VALUES,)
    assert found.whole.dtype == np.int8
    assert found.whole_s == n / RATE_HZ
    if level == 0.0:
        assert not found.whole.any()


def test_a_clip_is_heard_in_blocks_and_the_seams_are_not(monkeypatch: pytest.MonkeyPatch) -> None:
    found = fingerprint_of(lively(1))
    monkeypatch.setattr(fingerprint, "_FRAMES_AT_ONCE", 7)
    in_blocks = fingerprint_of(lively(1))
    assert np.abs(found.whole.astype(int) - in_blocks.whole).max() <= 1
    assert found.core_s == pytest.approx(in_blocks.core_s)


def test_a_long_clip_that_is_heard_half_as_often_sounds_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    clip = np.concatenate([lively(seed) for seed in range(12)])
    assert len(clip) > 4 * RATE_HZ
    seldom = fingerprint_of(clip)
    monkeypatch.setattr(fingerprint, "_LONG_HOP", fingerprint._HOP)
    often = fingerprint_of(clip)
    assert min(likeness(seldom, often)) > 0.998
    assert seldom.core_s == pytest.approx(often.core_s, abs=0.01)


def test_playing_faster_makes_it_shorter_and_higher() -> None:
    tone = np.sin(2 * np.pi * 500 * np.arange(RATE_HZ) / RATE_HZ).astype(np.float32)
    faster = at_speed(tone, 1.25)
    assert len(faster) == 12_800
    assert np.argmax(np.abs(np.fft.rfft(faster))) * RATE_HZ / len(faster) == pytest.approx(625, abs=2)
