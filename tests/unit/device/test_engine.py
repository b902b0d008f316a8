"""A loaded model answers with words and with what it says of the whole."""

from __future__ import annotations

import threading
import time
from concurrent.futures import Future
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tests.fakes.tiny_whisper import save_tiny, say

from projectone.device.engine import load_engine
from projectone.device.heard import TEXT_ONLY, Hints


def test_an_engine_says_when_words_were_said_unless_they_are_not_wanted(tmp_path: Path) -> None:
    engine = load_engine(save_tiny(tmp_path / "model", seed=1), language="en", numerics="float32")
    clip = say("red green", seed=3)
    try:
        heard = engine.transcribe(clip)
        assert " ".join(word.text for word in heard.words) == " ".join(heard.text.split())
        assert all(0 <= word.start_s <= word.end_s <= clip.size / 16_000 for word in heard.words)
        for hints in (TEXT_ONLY, Hints(is_partial=True)):
            assert engine.transcribe(clip, hints).words == ()
    finally:
        engine.close()


def test_silence_has_signals_and_no_words(tmp_path: Path) -> None:
    engine = load_engine(save_tiny(tmp_path / "model", seed=1), language="en", numerics="float32")
    try:
        heard = engine.transcribe(np.zeros(5 * 16_000, np.float32))
        assert heard.signals is not None
        assert 0 <= heard.signals.no_speech_prob <= 1
        assert heard.signals.avg_logprob < 0
        partial = engine.transcribe(np.zeros(16_000, np.float32), Hints(is_partial=True))
        assert partial.signals is not None
        assert partial.signals.temperature == pytest.approx(0)  # one try
    finally:
        engine.close()


def test_long_sound_says_how_far_it_is_and_ends_when_told(tmp_path: Path) -> None:
    engine = load_engine(save_tiny(tmp_path / "model", seed=1), language="en", numerics="float32")
    long, seen = np.zeros(95 * 16_000, np.float32), list[tuple[float, float]]()
    try:
        engine.transcribe(long, Hints(on_progress=lambda done_s, total_s: seen.append((done_s, total_s))))
        assert len(seen) >= 3
        assert seen == sorted(seen) and {total for _, total in seen} == {95.0}

        def stop(done_s: float, total_s: float) -> None:
            seen.append((done_s, total_s))
            raise InterruptedError

        del seen[:]
        with pytest.raises(InterruptedError):
            engine.transcribe(long, Hints(on_progress=stop))
        assert len(seen) == 1
        assert engine.transcribe(long[:16_000]).signals is not None, "it goes on working"
    finally:
        engine.close()


def test_who_gives_up_waiting_for_long_sound_ends_the_work(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    engine = load_engine(save_tiny(tmp_path / "model", seed=1), language="en", numerics="float32")
    windows, is_given_up = list[float](), threading.Event()

    def slow(done_s: float, total_s: float) -> None:
        windows.append(done_s)
        is_given_up.wait(20)

    def interrupted(self: Future[Any], timeout: float | None = None) -> Any:
        while not windows:
            time.sleep(0.001)
        raise KeyboardInterrupt

    try:
        with monkeypatch.context() as patch:
            patch.setattr(Future, "result", interrupted)
            with pytest.raises(KeyboardInterrupt):
                engine.transcribe(np.zeros(95 * 16_000, np.float32), Hints(on_progress=slow))
        is_given_up.set()
        engine.transcribe(np.zeros(16_000, np.float32))
        assert len(windows) == 1
    finally:
        engine.close()
