import sys

import numpy as np
import pytest

from projectone.errors import DataError
from projectone.speech.synthesis import EspeakSynthesizer

pytest.importorskip("espeakng_loader", reason="needs the extra 'voices'")


def test_a_new_synthesizer_says_the_same_again_whatever_was_said_before() -> None:
    first = EspeakSynthesizer("en")
    assert len(set(first.voices)) == len(first.voices) > 10
    asked = [first.voices[i] for i in (0, 0, 1, 5)]
    said = [first.say("Namrata called.", voice) for voice in asked]
    second = EspeakSynthesizer("en")
    for voice, before in zip(asked, said, strict=True):
        assert np.array_equal(second.say("Namrata called.", voice), before)
    for samples in said:
        assert samples.dtype == np.float32
        assert 0.3 * 16_000 < samples.size < 5 * 16_000
        assert 0.05 < np.abs(samples).max() <= 1
    assert len({samples.size for samples in said[1:]}) == 3


def test_every_voice_can_speak() -> None:
    synthesizer = EspeakSynthesizer("en")
    for voice in synthesizer.voices:
        assert synthesizer.say("one", voice).any()


def test_other_languages_speak_by_their_code() -> None:
    synthesizer = EspeakSynthesizer("de")
    assert synthesizer.say("Guten Tag", synthesizer.voices[0]).any()
    with pytest.raises(DataError, match="'xx'"):
        EspeakSynthesizer("xx")


def test_without_the_wheel_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "espeakng_loader", None)
    with pytest.raises(DataError, match=r"install projectone\[voices\]"):
        EspeakSynthesizer("en")
