"""Changing how a recording sounds: what must stay does stay."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from starter.augment import (
    GENTLE,
    HARSH,
    SAMPLE_RATE,
    change_speed,
    change_throat,
    hide,
    place,
    record,
    trim_edges,
)

SEEDS = range(12)


def _word(seconds: float = 0.5, *, quiet_s: float = 0.2) -> np.ndarray:
    """A loud buzz between two stretches of faint noise."""
    rng = np.random.default_rng(3)
    quiet = 0.001 * rng.standard_normal(int(quiet_s * SAMPLE_RATE))
    buzz = np.sin(2 * np.pi * 200 * np.arange(int(seconds * SAMPLE_RATE)) / SAMPLE_RATE) + 0.1 * rng.standard_normal(
        int(seconds * SAMPLE_RATE)
    )
    return np.concatenate([quiet, 0.5 * buzz, quiet]).astype(np.float32)


@pytest.mark.parametrize("is_hard", [False, True])
def test_trimming_takes_the_quiet_edges_and_says_how_much_it_took_in_front(is_hard: bool) -> None:
    sound = _word()
    for seed in SEEDS:
        kept, start = trim_edges(sound, np.random.default_rng(seed), is_hard=is_hard)
        assert np.array_equal(kept, sound[start : start + kept.size])
        assert 0 < start <= 0.2 * SAMPLE_RATE  # into the quiet, never into the buzz
        assert start + kept.size >= 0.7 * SAMPLE_RATE
        assert kept.size < sound.size


@pytest.mark.parametrize(
    "sound",
    [
        pytest.param(np.zeros(8000, dtype=np.float32), id="digital silence"),
        pytest.param(np.full(1000, 0.1, dtype=np.float32), id="too short to judge"),
        pytest.param(np.eye(1, 8000, 4000, dtype=np.float32)[0], id="a single click"),
        pytest.param(np.linspace(1, 0, 8000, dtype=np.float32) ** 40, id="dies away at once"),
    ],
)
def test_trimming_never_cuts_everything(sound: np.ndarray) -> None:
    for seed in SEEDS:
        kept, start = trim_edges(sound, np.random.default_rng(seed), is_hard=True)
        assert kept.size == sound.size or kept.size > 0.1 * SAMPLE_RATE
        assert np.array_equal(kept, sound[start : start + kept.size])


def test_faster_speech_is_shorter_by_the_factor_and_higher() -> None:
    tone = np.sin(2 * np.pi * 1000 * np.arange(SAMPLE_RATE) / SAMPLE_RATE).astype(np.float32)
    for seed in SEEDS:
        changed, factor = change_speed(tone, np.random.default_rng(seed), most=0.22)
        assert 0.78 <= factor <= 1.22
        assert abs(changed.size * factor - tone.size) <= 2
        peak_hz = np.argmax(np.abs(np.fft.rfft(changed))) * SAMPLE_RATE / changed.size
        assert abs(peak_hz - 1000 * factor) <= 2


def test_a_placed_sound_lies_where_it_is_said_to_lie() -> None:
    sound = _word()
    offsets = set()
    for seed in SEEDS:
        placed, before = place(sound, np.random.default_rng(seed), room=20_000)
        assert placed.size <= 20_000
        assert np.array_equal(placed[before : before + sound.size], sound)
        assert not placed[:before].any()
        assert not placed[before + sound.size :].any()
        offsets.add(before)
    assert len(offsets) > 1


def _share_above(sound: np.ndarray, hz: float) -> float:
    """How much of the energy lies above `hz`."""
    power = np.abs(np.fft.rfft(sound)) ** 2
    return float(power[np.fft.rfftfreq(sound.size, 1 / SAMPLE_RATE) > hz].sum() / power.sum())


def test_a_telephone_band_is_empty_above_its_edge() -> None:
    # A power of two: the transform is as long as the sound, so that cutting does not smear the band's end.
    noise = np.random.default_rng(1).standard_normal(1 << 14).astype(np.float32)
    telephone = replace(HARSH, telephone=1.0)
    for seed in SEEDS:
        heard, top_hz = record(noise, np.random.default_rng(seed), telephone)
        assert 3600 <= top_hz <= 4050
        assert _share_above(heard, top_hz) < 1e-9
        assert _share_above(heard, 0.75 * top_hz) > 1e-3


def test_a_wide_band_reaches_up_to_the_end() -> None:
    noise = np.random.default_rng(1).standard_normal(1 << 14).astype(np.float32)
    for seed in SEEDS:
        heard, top_hz = record(noise, np.random.default_rng(seed), replace(GENTLE, telephone=0.0))
        assert top_hz == 8000
        assert _share_above(heard, 4100) > 1e-3


def test_single_digits_come_over_a_telephone_more_often_than_sentences() -> None:
    noise = np.random.default_rng(1).standard_normal(4096).astype(np.float32)
    often, seldom = (
        sum(record(noise, np.random.default_rng(seed), strength)[1] < 8000 for seed in range(200))
        for strength in (HARSH, GENTLE)
    )
    assert often > seldom + 20


def test_any_room_and_line_leaves_length_finite_samples_and_an_audible_level() -> None:
    sound = _word()
    worn = replace(HARSH, worn=1.0)
    for seed in SEEDS:
        heard, _ = record(sound, np.random.default_rng(seed), worn)
        assert heard.shape == sound.shape
        assert heard.dtype == np.float32
        assert np.isfinite(heard).all()
        assert 0.05 <= np.abs(heard).max() <= 1.0


def test_silence_stays_silence_on_a_worn_line() -> None:
    silent = np.zeros(4096, dtype=np.float32)
    for seed in SEEDS:
        heard, _ = record(silent, np.random.default_rng(seed), replace(HARSH, worn=1.0))
        assert not heard.any()


def test_another_throat_moves_formants_a_little_and_leaves_the_ends_of_the_band() -> None:
    places = np.tile(np.arange(80, dtype=np.float32), (4, 1))
    moved_by = []
    for seed in SEEDS:
        # What comes out in each band is the number of the band it came from.
        source = change_throat(places, np.random.default_rng(seed), top_hz=4000.0, most=0.15)
        assert source.shape == places.shape
        assert np.array_equal(source[0], source[3])
        assert np.all(np.diff(source[0]) > 0)  # no band is passed over, none comes twice
        assert np.allclose(source[:, 62:], places[:, 62:], atol=0.05)  # above 4 kHz nothing moves
        assert abs(source[0, 0]) <= 0.3
        moved_by.append(float(source[0, 30] - 30))
    assert max(moved_by) > 1
    assert min(moved_by) < -1
    assert np.abs(moved_by).max() < 6


def test_no_throat_is_changed_where_the_factor_is_one() -> None:
    mel = np.random.default_rng(5).standard_normal((10, 80)).astype(np.float32)
    same = change_throat(mel, np.random.default_rng(0), top_hz=8000.0, most=0.0)
    assert np.allclose(same, mel, atol=0.02)


def test_hiding_touches_real_frames_only_and_not_many() -> None:
    for seed in SEEDS:
        mel = np.random.default_rng(seed).standard_normal((100, 80)).astype(np.float32)
        before = mel.copy()
        hide(mel, 60, np.random.default_rng(seed))
        assert np.array_equal(mel[60:], before[60:])
        is_changed = (mel[:60] != before[:60]).mean()
        assert is_changed < 0.5
