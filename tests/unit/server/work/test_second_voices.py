"""A clip in which two people seem to speak waits for a person, where the networks of voices are there and are asked."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from tests.fakes.benchmark_scripts import load_script
from tests.unit.waveform.test_events import RATE_HZ, voice

from projectone.server.voices.installed import HOW_TO_INSTALL, are_installed
from projectone.server.work import look as looking
from projectone.server.work.look import Question, look
from projectone.server.work.sealed_pool import SealedPool
from projectone.waveform.wav import encode_wav

Samples = npt.NDArray[np.float32]


class Figure:
    """Networks that say what they are told to."""

    def __init__(self, figure: float) -> None:
        self.figure = figure
        self.n_heard = 0

    def second_voice(self, samples: Samples) -> float:
        self.n_heard += 1
        return self.figure


@pytest.fixture
def benchmark(monkeypatch: pytest.MonkeyPatch) -> Any:
    """How mixes of two people are made; the same as `benchmarks/speakers.py` shows figures of."""
    return load_script("speakers", monkeypatch)


def question(*, holds_speakers: bool) -> Question:
    return Question("00" * 32, "yes", holds_speakers=holds_speakers)


def test_a_second_voice_is_held_with_its_figure_and_only_if_that_is_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    clip = encode_wav(3 * voice(1, n=2 * RATE_HZ))
    for figure, hold in ((1.0, ("many-speakers",)), (0.99, ())):
        networks = Figure(figure)
        monkeypatch.setattr(looking, "open_networks", lambda networks=networks: networks)
        found = look(clip, question(holds_speakers=True)).findings
        assert (found.discard, found.hold, found.measures["second_voice"]) == (None, hold, figure)
        control = look(clip, question(holds_speakers=False)).findings
        assert control.hold == ()
        assert "second_voice" not in control.measures
        assert networks.n_heard == 1, "who did not ask does not wait for it"


def test_a_clip_that_teaches_nothing_is_not_heard(monkeypatch: pytest.MonkeyPatch) -> None:
    networks = Figure(5.0)
    monkeypatch.setattr(looking, "open_networks", lambda: networks)
    silence = encode_wav(np.zeros(RATE_HZ, np.float32))
    found = look(silence, question(holds_speakers=True)).findings
    assert found.discard is not None
    assert (found.hold, networks.n_heard) == ((), 0)


@pytest.mark.slow
@pytest.mark.skipif(not are_installed(), reason=f"the networks of voices are not installed: {HOW_TO_INSTALL}")
def test_of_fifty_real_clips_of_two_people_nine_in_ten_are_held(
    real_data: Path, monkeypatch: pytest.MonkeyPatch, benchmark: Any
) -> None:
    """T22: 50 mixes of two people who take turns, and single clips, all of speakers that no limit was read from."""
    monkeypatch.setattr(benchmark, "OF_EACH", 1)
    monkeypatch.setattr(benchmark, "CORPORA", ("an4", "speechocean762"))
    _, others = benchmark.read_speakers(real_data, only=1)
    pool = SealedPool()

    def n_held(clips: Sequence[Samples], *, holds_speakers: bool) -> int:
        pages = [clips[at : at + 8] for at in range(0, len(clips), 8)]
        asked = question(holds_speakers=holds_speakers)
        futures = [pool.submit([(asked, encode_wav(clip)) for clip in page]) for page in pages]
        looks = [answer for future in futures if future is not None for answer in future.result()]
        assert len(looks) == len(clips)
        return sum("many-speakers" in answer.findings.hold for answer in looks)

    mixed = benchmark.mixes(others, 50, "in turns", seed=2)
    single = [clip.samples for clip in others[::2]]
    try:
        assert n_held(mixed, holds_speakers=False) == 0, "control: nobody asks"
        assert n_held(mixed, holds_speakers=True) >= 45
        assert n_held(single, holds_speakers=True) <= 0.06 * len(single)
    finally:
        pool.close()
