"""What stands out beside speech is seen in a few figures, cut out alone, and mixed into others as loud as it was."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pytest

from projectone.waveform.events import KINDS, N_SLOTS, Kind, cut_event, describe, loudness, mix_event

RATE_HZ = 16_000


def voice(seed: int, *, n: int = RATE_HZ) -> npt.NDArray[np.float32]:
    """Harmonics of a pitch that wanders, swelling like syllables, over a quiet room."""
    random = np.random.default_rng(seed)
    times = np.arange(n) / RATE_HZ
    phase = 2 * np.pi * np.cumsum(random.uniform(100, 200) + 15 * np.sin(2 * np.pi * random.uniform(1, 3) * times))
    harmonics = sum(np.sin(k * phase / RATE_HZ) / k for k in range(1, 20))
    swell = np.abs(np.sin(2 * np.pi * random.uniform(1, 2) * times))
    return (0.05 * swell * harmonics + 1e-4 * random.standard_normal(n)).astype(np.float32)


def with_tone(clip: npt.NDArray[np.float32], hz: float, *, level: float = 0.02) -> npt.NDArray[np.float32]:
    mixed = clip.copy()
    mixed[6000:9000] += (level * np.sin(2 * np.pi * hz * np.arange(3000) / RATE_HZ)).astype(np.float32)
    return mixed


@pytest.mark.parametrize("hz", [1100.0, 3000.0, 7100.0])
def test_a_tone_is_a_line_of_its_slot(hz: float) -> None:
    change = (describe(with_tone(voice(1), hz)) - describe(voice(1))).reshape(len(KINDS), N_SLOTS)
    line = change[KINDS.index("line")]
    assert int(line.argmax()) in (int(hz // 250), int(hz // 250) - 1)
    assert line.max() > 6


def test_no_figure_knows_the_gain() -> None:
    clip = with_tone(voice(2), 3000.0)
    assert np.allclose(describe(clip), describe(0.25 * clip), atol=0.3)


@pytest.mark.parametrize("kind", ["line", "peak"])
def test_what_is_cut_out_is_the_tone_and_no_voice(kind: Kind) -> None:
    clip = with_tone(voice(3), 3050.0)
    event = cut_event(clip, kind, [12]) * loudness(clip)
    spectrum = np.abs(np.fft.rfft(event)) ** 2
    near = np.abs(np.fft.rfftfreq(len(event), 1 / RATE_HZ) - 3050) < 150
    assert spectrum[near].sum() > 0.95 * spectrum.sum()
    assert 0.01 < np.abs(event).max() < 0.03
    assert 2000 < len(event) < 6000


def test_mixed_into_another_clip_it_is_as_loud_beside_the_voice() -> None:
    clip, other = with_tone(voice(4), 3050.0), 0.1 * voice(5)
    mixed = mix_event(other, cut_event(clip, "line", [12]), at=0.5)
    there, here = (describe(one)[2 * N_SLOTS + 12] for one in (mixed, other))
    assert there > here + 10
    assert np.abs(mixed - np.pad(other, (0, len(mixed) - len(other)))).max() < 0.01
    all_along = mix_event(other, cut_event(clip, "floor", [12]), at=-1.0)
    assert len(all_along) == len(other)


def test_figures_of_short_and_silent_clips_are_finite() -> None:
    for clip in (np.zeros(100, np.float32), np.zeros(RATE_HZ, np.float32), voice(6, n=1600)):
        assert np.isfinite(describe(clip)).all()
        assert np.isfinite(mix_event(clip, cut_event(clip, "peak", [3]), at=0.0)).all()
