"""Subtitles that can be read: short lines, no cue over a pause, in the two formats that everything reads."""

from __future__ import annotations

import pytest

from projectone.device.heard import Word
from projectone.device.subtitles import LINE_LETTERS, cues_of, to_srt, to_vtt


def said(text: str, *, start_s: float = 0.0, word_s: float = 0.3) -> list[Word]:
    return [
        Word(word, start_s + index * word_s, start_s + (index + 1) * word_s, 0.9)
        for index, word in enumerate(text.split())
    ]


def test_a_pause_and_the_end_of_a_sentence_begin_a_new_cue() -> None:
    words = [*said("call Ana at nine"), *said("I said so two days ago. Then I left.", start_s=3.0)]
    assert [" ".join(cue.lines) for cue in cues_of(words)] == [
        "call Ana at nine",
        "I said so two days ago.",
        "Then I left.",
    ]


def test_a_cue_has_two_short_lines_and_seven_seconds_at_most() -> None:
    words = said("seven letters and more in every sentence that nobody ends " * 8)
    cues = cues_of(words)
    assert [word for cue in cues for line in cue.lines for word in line.split()] == [word.text for word in words]
    assert all(len(cue.lines) <= 2 and max(map(len, cue.lines)) <= LINE_LETTERS for cue in cues)
    slow = cues_of(said("one two three four five six seven eight nine ten", word_s=1.5))
    assert max(cue.end_s - cue.start_s for cue in slow) <= 7.0


def test_a_short_word_is_shown_long_enough_but_not_over_the_next() -> None:
    first, second = cues_of([Word("no", 1.0, 1.1, 0.9), Word("yes", 2.2, 2.3, 0.9)])
    assert (first.start_s, first.end_s) == (1.0, pytest.approx(1.8))
    assert (second.start_s, second.end_s) == (2.2, pytest.approx(3.0))
    close, _ = cues_of([Word("Well now then, all of it.", 1.0, 1.2, 0.9), Word("Yes", 1.3, 1.5, 0.9)])
    assert close.end_s == 1.3


def test_a_word_longer_than_a_line_has_one_of_its_own() -> None:
    (cue,) = cues_of(said(f"a {'x' * 60}"))
    assert cue.lines == ("a", "x" * 60)


def test_subrip_is_numbered_and_counts_milliseconds_after_a_comma() -> None:
    words = [*said("call Ana"), *said("at nine", start_s=3661.5)]
    assert to_srt(words) == (
        "1\n00:00:00,000 --> 00:00:00,800\ncall Ana\n\n2\n01:01:01,500 --> 01:01:02,300\nat nine\n"
    )
    assert to_srt([]) == ""


def test_webvtt_has_its_header_and_no_markup_of_strangers() -> None:
    assert to_vtt(said("a <b> & c")) == "WEBVTT\n\n00:00:00.000 --> 00:00:01.200\na &lt;b&gt; &amp; c\n"
    assert to_vtt([]) == "WEBVTT\n"
