import numpy as np
import pytest
from tests.fakes.tiny_whisper import say, tiny_checkpoint

from projectone.speech.timestamped import pieces_of, place_in_time

TINY = tiny_checkpoint()
BEGIN, EOT = TINY.tokenizer.timestamp_begin, TINY.tokenizer.eot


@pytest.mark.parametrize(
    ("tokens", "pieces"),
    [
        ((BEGIN, 5, BEGIN + 50), ((0.0, 1.0),)),
        ((BEGIN + 5, 5, 6, BEGIN + 50, BEGIN + 55, 7, BEGIN + 60), ((0.1, 1.0), (1.1, 1.2))),
        ((BEGIN + 5, 5, 6), ((0.1, None),)),
        ((5,), ((0.0, None),)),
        ((BEGIN + 50, 5, BEGIN + 20), ((1.0, 0.4),)),
        ((BEGIN,), ()),
        ((), ()),
    ],
)
def test_pieces_are_told_as_they_were_written(
    tokens: tuple[int, ...], pieces: tuple[tuple[float, float | None], ...]
) -> None:
    assert pieces_of(tokens, TINY.tokenizer) == pieces


def test_each_clip_is_placed_as_it_would_be_alone() -> None:
    clips = [say("red blue", seed=1), say("green", seed=2), np.zeros(16_000, np.float32)]
    together = place_in_time(TINY, clips, language="en")
    assert together == [place_in_time(TINY, [clip], language="en")[0] for clip in clips]
    assert all(start_s >= 0 for pieces in together for start_s, _ in pieces)
