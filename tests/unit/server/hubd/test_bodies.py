from __future__ import annotations

import random

import pytest

from projectone.server.hubd.bodies import exactly, lines_of
from projectone.server.hubd.refusals import Refusal


def test_lines_are_the_same_wherever_the_stream_was_cut() -> None:
    text = b"one\n\ntwo\r\nthree " + b"x" * 100 + b"\n \nlast"
    for _ in range(50):
        cuts = sorted(random.sample(range(len(text)), 5))
        pieces = [text[start:end] for start, end in zip([0, *cuts], [*cuts, len(text)], strict=True)]
        assert list(lines_of(pieces, max_lines=10)) == [b"one", b"two", b"three " + b"x" * 100, b"last"]


def test_too_many_lines_are_refused_before_the_rest_is_read() -> None:
    def pieces() -> object:
        yield b"a\n" * 3
        raise AssertionError("read on")

    with pytest.raises(Refusal, match="More than 2"):
        list(lines_of(pieces(), max_lines=2))  # type: ignore[arg-type]


@pytest.mark.parametrize("pieces", [[b"abc"], [b"ab", b"cde"], []])
def test_a_body_of_another_length_is_refused(pieces: list[bytes]) -> None:
    with pytest.raises(Refusal, match="expected 4 bytes"):
        list(exactly(pieces, 4))
