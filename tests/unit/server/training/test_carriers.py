from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import pytest

from projectone.errors import DataError
from projectone.server.training.carriers import Correction, Term, carrier_clips, corrected_terms


class Tones:
    """A synthesiser that hums: each voice at a pitch of its own, as long as the text."""

    voices: Sequence[str] = ("low", "high")

    def say(self, text: str, voice: str) -> npt.NDArray[np.float32]:
        if "silent" in text:
            raise DataError("no-speech", "nothing came out")
        pitch = 0.05 * (1 + self.voices.index(voice))
        return np.sin(np.arange(800 * len(text)) * pitch).astype(np.float32)


def test_terms_are_words_that_the_model_did_not_hear() -> None:
    corrections = [
        Correction(heard="call normada today", text="Call Namrata today."),
        Correction(heard="ask nomad for the report", text="Ask Namrata for the report."),
        Correction(heard="the sirup is empty", text="The syrup is empty!"),
    ]
    assert corrected_terms(corrections) == [Term("Namrata", 2), Term("syrup", 1)]


def test_a_word_that_was_heard_elsewhere_is_no_term() -> None:
    corrections = [Correction(heard="the report", text="my report"), Correction(heard="their", text="there")]
    assert [term.word for term in corrected_terms(corrections)] == ["there"]
    known = Correction(heard="over there", text="over there")
    assert corrected_terms([*corrections, known]) == []


def test_numbers_and_small_words_are_no_terms() -> None:
    assert corrected_terms([Correction(heard="x", text="a 1234 of it's Bo O")]) == [Term("Bo", 1), Term("it's", 1)]


def test_the_most_often_corrected_terms_are_kept() -> None:
    corrections = [Correction("x", "Zebra"), Correction("x", "Aachen"), Correction("y", "Zebra")]
    assert corrected_terms(corrections, most=1) == [Term("Zebra", 2)]
    assert [term.word for term in corrected_terms(corrections)] == ["Zebra", "Aachen"]


def test_every_term_is_said_in_several_sentences_and_voices() -> None:
    clips = carrier_clips([Term("Namrata", 2), Term("Aachen", 1)], Tones(), n_per_term=3, seed=1)
    assert [("Namrata" in clip.text, "Aachen" in clip.text) for clip in clips] == [(True, False)] * 3 + [
        (False, True)
    ] * 3
    assert len({clip.clip_id for clip in clips}) == 6
    assert len({clip.text for clip in clips}) == 6
    again, other = (carrier_clips([Term("Namrata", 2)], Tones(), n_per_term=3, seed=seed) for seed in (1, 2))
    assert [clip.text for clip in again] == [clip.text for clip in clips[:3]]
    assert [clip.text for clip in other] != [clip.text for clip in again]
    # Two voices, three sentences: both are used before one speaks again.
    assert (
        len({round(float(np.abs(np.fft.rfft(clip.samples)).argmax() / clip.samples.size), 3) for clip in clips[:3]})
        == 2
    )


def test_a_sentence_that_cannot_be_said_is_left_out() -> None:
    clips = carrier_clips([Term("silent", 1), Term("loud", 1)], Tones(), templates=["say {}"], n_per_term=1)
    assert [clip.text for clip in clips] == ["say loud"]


def test_a_template_needs_one_place() -> None:
    with pytest.raises(ValueError, match="expected one"):
        carrier_clips([Term("x", 1)], Tones(), templates=["say {} and {}"])
