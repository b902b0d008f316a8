"""The synthetic people that the starter learns from are all there."""

from __future__ import annotations

from dataclasses import replace

import pytest
from starter import data
from starter.text import ACCENTED_DIGITS

from projectone.demo.voices import STARTER_VOICES, synthesize
from projectone.errors import DataError


def test_every_voice_speaks_english_and_with_every_accent_of_another_language() -> None:
    spoken = [*STARTER_VOICES, *(replace(STARTER_VOICES[0], language=language) for language in ACCENTED_DIGITS)]
    assert all(synthesize("one", voice).size > 1000 for voice in spoken)


def test_a_voice_that_espeak_lacks_ends_the_training_instead_of_going_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(data, "STARTER_VOICES", [replace(STARTER_VOICES[0], language="en-nowhere")])
    with pytest.raises(DataError, match="en-nowhere"):
        data.synthetic_clips(1, sentences=["a blue boat"], names=["anna"], seed=0)
