"""One voice that gives way to another is told from one voice that says different things; who takes turns is found."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from tests.fakes.benchmark_scripts import load_script
from tests.unit.waveform.test_events import RATE_HZ, voice

from projectone.server.corpus.validation import check_sample
from projectone.waveform.speakers import MANY_SPEAKERS_NATS, NOTHING_TO_COMPARE, compare_halves
from projectone.waveform.voice import measure_voice

SPREADS = np.array([0.2, 0.5, 3.0], np.float32)


def test_two_people_are_likelier_only_where_the_halves_differ() -> None:
    random = np.random.default_rng(1)
    one = random.standard_normal((80, 3)).astype(np.float32)
    two = one.copy()
    two[50:, 2] += 2.5
    assert compare_halves(one, SPREADS) < 4
    assert compare_halves(two, SPREADS) > 40
    assert compare_halves(one[:19], SPREADS) == NOTHING_TO_COMPARE


def test_a_clip_of_two_voices_is_held_and_keeps_its_figure_if_it_is_asked_for() -> None:
    low, high = voice(1, n=2 * RATE_HZ), voice(2, n=2 * RATE_HZ)
    times = np.arange(2 * RATE_HZ) / RATE_HZ
    swell = 0.3 * np.abs(np.sin(2 * np.pi * 1.5 * times))
    high = (swell * sum(np.sin(2 * np.pi * 310 * k * times) / k**2 for k in range(1, 8))).astype(np.float32)
    both = np.concatenate([3 * low, high])
    asked = check_sample(both, "red green", holds_speakers=True)
    assert asked.hold == ("many-speakers",)
    control = check_sample(both, "red green")
    assert control.hold == ()
    assert asked.measures["speaker_change"] > MANY_SPEAKERS_NATS
    assert "speaker_change" not in control.measures, "a glance was enough to hear a voice"
    assert asked.measures["n_frames"] >= 2 * control.measures["n_frames"]
    assert check_sample(3 * low, "red green", holds_speakers=True).hold == ()


def test_a_clip_without_a_voice_says_nothing_about_speakers() -> None:
    noise = np.random.default_rng(3).standard_normal(RATE_HZ).astype(np.float32) * 0.1
    assert measure_voice(noise).speaker_change == NOTHING_TO_COMPARE


@pytest.mark.slow
def test_of_real_people_who_take_turns_many_are_found_and_of_single_ones_few(
    real_data: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """T22: 50 clips of two people each, and single ones, all of speakers that the table was not made from."""
    benchmark = load_script("speakers", monkeypatch)
    monkeypatch.setattr(benchmark, "OF_EACH", 1)
    monkeypatch.setattr(benchmark, "CORPORA", ("an4", "speechocean762"))
    _, others = benchmark.read_speakers(real_data, only=1)
    single = [benchmark.nats_of(clip.samples) for clip in others]
    mixed = [benchmark.nats_of(clip) for clip in benchmark.mixes(others, 50, "in turns", seed=2)]
    assert sum(nats > MANY_SPEAKERS_NATS for nats in single) <= 0.04 * len(single)
    assert sum(nats > MANY_SPEAKERS_NATS for nats in mixed) >= 13
