"""A loaded model answers with words and with what it says of the whole."""

from __future__ import annotations

from pathlib import Path

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
