from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from projectone.server.training import TrainingConfig
from projectone.server.training.carriers import Correction
from projectone.server.work.carriers import carriers_for


class Tones:
    """A synthesiser whose voices are pitches."""

    voices: Sequence[str] = ("low", "high")

    def say(self, text: str, voice: str) -> npt.NDArray[np.float32]:
        return np.sin(np.arange(800 * len(text)) * 0.05 * (1 + self.voices.index(voice))).astype(np.float32)


CORRECTIONS = [Correction("call normada", "call Namrata"), Correction("in aahen", "in Aachen")]


def languages_asked_for(config: TrainingConfig, corrections: Sequence[Correction]) -> tuple[list[str], list[str]]:
    """Which synthesisers were opened, and what was said."""
    opened: list[str] = []

    def open_synthesizer(language: str) -> Tones:
        opened.append(language)
        return Tones()

    clips = carriers_for(corrections, config, open_synthesizer=open_synthesizer)
    return opened, [clip.text for clip in clips]


def test_every_corrected_word_gets_its_sentences_in_the_language() -> None:
    opened, texts = languages_asked_for(TrainingConfig(carriers_per_term=3), CORRECTIONS)
    assert opened == ["en"]
    assert len([text for text in texts if "Aachen" in text]) == 3
    assert len([text for text in texts if "Namrata" in text]) == 3


def test_other_languages_get_the_word_alone() -> None:
    opened, texts = languages_asked_for(TrainingConfig(carriers_per_term=2, language="de"), CORRECTIONS)
    assert opened == ["de"]
    assert texts == ["Aachen", "Aachen", "Namrata", "Namrata"]


def test_nobody_is_asked_to_speak_where_nothing_is_to_be_said() -> None:
    assert languages_asked_for(TrainingConfig(), CORRECTIONS) == ([], [])
    assert languages_asked_for(TrainingConfig(carriers_per_term=3), [Correction("call", "call")]) == ([], [])
