"""The path through the attention, and the words along it."""

from __future__ import annotations

import math
from itertools import pairwise

import numpy as np
import pytest

from projectone.speech.timing import Trace, dtw, find_alignment, median_filter
from projectone.speech.tokenizer import Tokenizer


def plain_dtw(x: np.ndarray) -> tuple[list[int], list[int]]:
    """The reference's loops, word for word (whisper/timing.py)."""
    n_rows, n_columns = x.shape
    cost = np.full((n_rows + 1, n_columns + 1), np.inf)
    trace = np.full((n_rows + 1, n_columns + 1), -1)
    cost[0, 0] = 0
    for j in range(1, n_columns + 1):
        for i in range(1, n_rows + 1):
            c0, c1, c2 = cost[i - 1, j - 1], cost[i - 1, j], cost[i, j - 1]
            if c0 < c1 and c0 < c2:
                c, t = c0, 0
            elif c1 < c0 and c1 < c2:
                c, t = c1, 1
            else:
                c, t = c2, 2
            cost[i, j], trace[i, j] = x[i - 1, j - 1] + c, t
    i, j, path = n_rows, n_columns, []
    trace[0, :], trace[:, 0] = 2, 1
    while i > 0 or j > 0:
        path.append((i - 1, j - 1))
        i, j = (i - (trace[i, j] in (0, 1))), (j - (trace[i, j] in (0, 2)))
    rows, columns = zip(*reversed(path), strict=True)
    return list(rows), list(columns)


@pytest.mark.parametrize("shape", [(1, 1), (1, 9), (5, 1), (4, 4), (7, 40), (30, 12)])
def test_the_path_is_that_of_the_reference(shape: tuple[int, int]) -> None:
    x = np.random.default_rng(sum(shape)).normal(size=shape).astype(np.float32)
    assert dtw(x) == plain_dtw(x)


def test_a_row_is_entered_where_the_toll_is_least() -> None:
    x, toll = np.zeros((2, 9), np.float32), np.ones((2, 9), np.float32)
    toll[1, 6] = 0.0
    rows, columns = dtw(x, toll)
    assert columns[rows.index(1)] == 6


def test_a_slanted_row_shares_no_column_with_the_row_above() -> None:
    x = np.full((3, 6), 5.0, np.float32)
    x[:, 2] = -5.0  # all three would be there at once
    straight, slanted = dtw(x), dtw(x, is_slanted=[True] * 3)
    assert len(set(straight[1])) < len(straight[1])
    assert len(set(slanted[1])) == len(slanted[1])


@pytest.mark.parametrize("n", [1, 3, 4, 7, 50])
def test_the_median_is_that_of_seven_mirrored_neighbours(n: int) -> None:
    x = np.random.default_rng(n).normal(size=(2, 3, n)).astype(np.float32)
    if n <= 3:
        np.testing.assert_array_equal(median_filter(x), x)
        return
    padded = np.pad(x, [(0, 0), (0, 0), (3, 3)], mode="reflect")
    windows = np.lib.stride_tricks.sliding_window_view(padded, 7, axis=-1)
    np.testing.assert_array_equal(median_filter(x), np.median(windows, axis=-1))


def trace_of(tokens: list[int], spans: list[tuple[int, int]], *, n_positions: int, n_before: int = 2) -> Trace:
    """Each token looks at its span; what follows the last one looks at the end of the window."""
    shares = np.full((3, n_before + len(tokens) + 1, n_positions), 1e-3, np.float32)
    for row, (first, end) in enumerate([*spans, (n_positions - 5, n_positions)], start=n_before):
        shares[:, row, first:end] += 1 / (end - first)
    logprobs = tuple(math.log(0.9 - 0.1 * index) for index in range(len(tokens)))
    return Trace(tuple(tokens), logprobs, shares / shares.sum(axis=-1, keepdims=True), n_before)


def test_words_lie_where_their_tokens_look(tokenizer: Tokenizer) -> None:
    tokens = tokenizer.encode(" seven") + tokenizer.encode(" three")
    n_first = len(tokenizer.encode(" seven"))
    edges = np.linspace(10, 80, len(tokens) + 1).astype(int).tolist()
    trace = trace_of(tokens, list(pairwise(edges)), n_positions=100)
    words = find_alignment(trace, tokenizer, language="en", n_positions=90)
    assert [word.text for word in words] == ["seven", "three"]
    assert words[0].end_s == words[1].start_s == pytest.approx(edges[n_first] * 0.02, abs=0.04)
    assert words[1].end_s == pytest.approx(1.6, abs=0.14)  # the row after the last token looks at the last 5 of 100
    assert words[1].first_token == n_first


def test_timestamps_among_the_tokens_are_passed_over(tokenizer: Tokenizer) -> None:
    seven, three = tokenizer.encode(" seven"), tokenizer.encode(" three")
    begin = tokenizer.timestamp_begin
    tokens = [begin, *seven, begin + 40, begin + 50, *three, begin + 80]
    places = [*[(0, 5)], *[(10, 40)] * len(seven), *[(0, 5)] * 2, *[(50, 80)] * len(three), (0, 5)]
    words = find_alignment(trace_of(tokens, places, n_positions=100), tokenizer, language="en", n_positions=100)
    assert [word.text for word in words] == ["seven", "three"]
    assert words[1].start_s == pytest.approx(1.0, abs=0.2)
    assert words[1].first_token == len(seven) + 3


def test_a_word_begins_in_the_quiet_moment_before_it(tokenizer: Tokenizer) -> None:
    tokens = tokenizer.encode(" seven") + tokenizer.encode(" three")
    n_first = len(tokenizer.encode(" seven"))
    # Both look at the beginning of their word alone, as small models do; the sound falls silent at 60 of 100.
    spans = [(10, 14)] * n_first + [(62, 66)] * (len(tokens) - n_first)
    trace = trace_of(tokens, spans, n_positions=100)
    loudness = np.ones(100, np.float32)
    loudness[[60, 99]] = 0.0
    words = find_alignment(trace, tokenizer, language="en", n_positions=100, loudness=loudness)
    assert [word.start_s for word in words[1:]] == [pytest.approx(1.2)]
    assert words[-1].end_s == pytest.approx(2.0)  # nothing is said after it


def test_no_word_is_without_length_where_the_sound_is_heard(tokenizer: Tokenizer) -> None:
    tokens = tokenizer.encode(" seven three nine")
    trace = trace_of(tokens, [(50, 51)] * len(tokens), n_positions=100)
    words = find_alignment(trace, tokenizer, language="en", n_positions=100, loudness=np.ones(100, np.float32))
    assert len(words) == 3
    assert min(word.end_s - word.start_s for word in words) >= 0.06 - 1e-9
    crowded = find_alignment(trace, tokenizer, language="en", n_positions=4, loudness=np.ones(4, np.float32))
    assert all(word.start_s <= word.end_s <= 0.08 for word in crowded)


def test_a_word_is_as_doubtful_as_its_tokens_together(tokenizer: Tokenizer) -> None:
    tokens = tokenizer.encode(" xy")
    assert len(tokens) > 1
    trace = trace_of(tokens, [(10, 20)] * len(tokens), n_positions=100)
    (word,) = find_alignment(trace, tokenizer, language="en", n_positions=100)
    assert word.probability == pytest.approx(math.exp(np.mean(trace.logprobs)))


def test_nothing_said_has_no_words(tokenizer: Tokenizer) -> None:
    assert find_alignment(trace_of([], [], n_positions=100), tokenizer, language="en", n_positions=100) == []
