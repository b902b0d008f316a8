"""A correction keeps the times of what was heard rightly."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from projectone.device.forms import FORMS
from projectone.device.heard import Word
from projectone.device.recordings import Recording
from projectone.device.retimed import retimed

HEARD = (
    Word("call", 0.0, 0.4, 0.9),
    Word("Anna,", 0.5, 1.0, 0.3),
    Word("at", 1.0, 1.2, 0.9),
    Word("9.", 1.2, 1.8, 0.8),
)


CALL, ANNA, AT, NINE = ((word.start_s, word.end_s) for word in HEARD)


@pytest.mark.parametrize(
    ("said", "times"),
    [
        ("call Anna at 9", [CALL, ANNA, AT, NINE]),
        ("Call Ana Li at 9.", [CALL, (0.5, 0.8), (0.8, 1.0), AT, NINE]),
        ("at 9.", [AT, NINE]),
        ("please call Anna, at 9.", [(0.0, 0.0), CALL, ANNA, AT, NINE]),
        ("call Anna, at 9. thanks", [CALL, ANNA, AT, NINE, (1.8, 1.8)]),
        ("", []),
    ],
)
def test_words_that_were_heard_rightly_keep_their_times(said: str, times: list[tuple[float, float]]) -> None:
    found = retimed(HEARD, said)
    assert [word.text for word in found] == said.split()
    assert [(pytest.approx(word.start_s), pytest.approx(word.end_s)) for word in found] == times
    assert all(not word.is_doubtful for word in found)


@given(st.lists(st.sampled_from(["a", "b", "c", "dd"])), st.lists(st.sampled_from(["a", "b", "c", "dd", "e"])))
def test_every_word_is_there_once_and_time_never_goes_back(heard: list[str], said: list[str]) -> None:
    words = tuple(Word(text, float(index), index + 0.5, 0.9) for index, text in enumerate(heard))
    found = retimed(words, " ".join(said))
    assert [word.text for word in found] == said
    moments = [moment for word in found for moment in (word.start_s, word.end_s)]
    assert moments == sorted(moments)


def test_a_corrected_recording_is_written_as_corrected() -> None:
    recording = Recording("id", "call Anna, at 9.", "1.0.0", 2.0, "0" * 64, datetime.now(UTC), words=HEARD)
    assert "call Anna, at 9." in FORMS["srt"](recording)
    corrected = replace(recording, corrected_text="call Ana at 9.")
    for form in ("srt", "vtt", "txt"):
        assert "call Ana at 9." in FORMS[form](corrected)
    assert FORMS["srt"](corrected).splitlines()[1] == "00:00:00,000 --> 00:00:01,800"
