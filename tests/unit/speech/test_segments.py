from __future__ import annotations

import pytest

from projectone.speech.decoding import DecodingResult
from projectone.speech.segments import split_window
from projectone.speech.tokenizer import Tokenizer


def heard(tokenizer: Tokenizer, *parts: float | str) -> DecodingResult:
    """A result whose timestamps are given in seconds and whose texts are given as texts."""
    tokens: list[int] = []
    for part in parts:
        tokens += tokenizer.encode(part) if isinstance(part, str) else [tokenizer.timestamp_begin + round(part * 50)]
    return DecodingResult(
        tokens=tuple(tokens),
        text="",
        language="en",
        avg_logprob=-0.1,
        no_speech_prob=0.0,
        compression_ratio=1.0,
        temperature=0.0,
    )


def cut(tokenizer: Tokenizer, *parts: float | str) -> tuple[list[tuple[float, float, str]], int]:
    segments, n_done = split_window(heard(tokenizer, *parts), tokenizer, start_frame=300, n_frames=200)
    return [(s.start_s, s.end_s, s.text) for s in segments], n_done


def test_without_timestamps_the_window_is_one_segment(tokenizer: Tokenizer) -> None:
    assert cut(tokenizer, " seven three") == ([(3.0, 5.0, " seven three")], 200)


def test_segments_end_where_two_timestamps_meet_and_an_open_one_is_decoded_again(tokenizer: Tokenizer) -> None:
    found = cut(tokenizer, 0.0, " seven", 0.5, 0.6, " three", 1.2, 1.2, " ni")
    assert found == ([(3.0, 3.5, " seven"), (3.6, 4.2, " three")], 120)


def test_one_timestamp_at_the_end_finishes_the_window(tokenizer: Tokenizer) -> None:
    found = cut(tokenizer, 0.0, " seven", 0.5, 0.6, " three", 1.2)
    assert found == ([(3.0, 3.5, " seven"), (3.6, 4.2, " three")], 200)


def test_a_single_pair_ends_at_its_closing_timestamp(tokenizer: Tokenizer) -> None:
    assert cut(tokenizer, 0.0, " seven", 0.5) == ([(3.0, 3.5, " seven")], 200)


def test_segments_without_words_or_length_are_left_out(tokenizer: Tokenizer) -> None:
    assert cut(tokenizer, 0.0, " ", 0.5, 0.5, " three", 1.0) == ([(3.5, 4.0, " three")], 200)
    assert cut(tokenizer) == ([], 200)


@pytest.mark.parametrize("parts", [(0.0, 0.0, " seven"), (0.0, " a", 1.9, 2.02, " b")])
def test_a_window_always_gets_somewhere_and_never_past_its_end(tokenizer: Tokenizer, parts: tuple[float | str]) -> None:
    assert 0 < cut(tokenizer, *parts)[1] <= 200
