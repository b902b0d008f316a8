from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from projectone.speech.biasing import START, BiasedRows, BiasOptions, TermBias, TermTrie, prompt_of, spellings
from projectone.speech.tokenizer import Tokenizer

BOOST, MOST = 2.0, 5.0
N_TOKENS = 4
sequences = st.lists(st.lists(st.integers(0, N_TOKENS - 1), min_size=1, max_size=4), max_size=6)
written = st.lists(st.integers(0, N_TOKENS - 1), max_size=8)


def beginning(row: Sequence[int], anywhere: list[list[int]], at_start: list[list[int]]) -> tuple[tuple[int, ...], bool]:
    """By the definition: the longest beginning of a term that a row ends with, and whether it began the text."""
    if any(term[: len(row)] == list(row) for term in at_start):
        return tuple(row), True
    for length in range(len(row), 0, -1):
        tail = list(row[-length:])
        if any(term[:length] == tail for term in anywhere):
            return tuple(tail), False
    return (), False


def nats(depth: int) -> float:
    return min(BOOST * depth, MOST)


@given(sequences, sequences, written)
def test_the_trie_leans_as_its_definition_says(
    anywhere: list[list[int]], at_start: list[list[int]], row: list[int]
) -> None:
    trie = TermTrie(anywhere, at_start, boost=BOOST, max_boost=MOST)
    state = START
    for token in row:
        state = trie.advance(state, token)
    stem, is_at_start = beginning(row, anywhere, at_start) if row else ((), True)
    terms = at_start if is_at_start else anywhere
    whole = [length for length in range(1, len(stem) + 1) if list(stem[:length]) in terms]
    kept = nats(max(whole, default=0))
    expected = {}
    for token in range(N_TOKENS):
        longer, still_at_start = beginning([*row, token], anywhere, at_start)
        if longer:
            goes_on = len(longer) == len(stem) + 1 and still_at_start == is_at_start
            expected[token] = nats(len(longer)) - (kept if goes_on else 0.0)
    tokens, ahead = trie.lean(state)
    assert dict(zip(tokens.tolist(), ahead.tolist(), strict=True)) == expected


def test_a_beginning_that_is_left_gives_its_lean_back() -> None:
    trie = TermTrie([[0, 1, 2]], boost=2.0, max_boost=9.0)
    inside = trie.advance(trie.advance(START, 0), 1)
    assert trie.lean(inside)[1].max() == 6.0
    outside = trie.advance(inside, 3)
    assert dict(zip(*(part.tolist() for part in trie.lean(outside)), strict=True)) == {0: 2.0}


def rows(
    scores: list[float], *, terms: list[list[int]], floor: float = 0.0, is_written: bool = True
) -> tuple[int, bool]:
    """What is written first under a list, and whether that was the list's doing."""
    bias = object.__new__(TermBias)
    bias.options = BiasOptions(floor=floor)
    bias.trie = TermTrie(terms, boost=2.0, max_boost=8.0)
    biased = BiasedRows(bias, 1, is_written=is_written)
    logits = np.array(scores, np.float32)
    total = float(np.log(np.exp(logits).sum()))
    return biased.choose(0, logits, total, int(logits.argmax())), biased.is_turned[0]


def test_a_term_is_preferred_within_its_boost() -> None:
    assert rows([3.0, 1.5, 0.0], terms=[[1]]) == (1, True)
    assert rows([3.5, 1.4, 0.0], terms=[[1]]) == (0, False)


def test_what_the_model_rules_out_is_not_lifted() -> None:
    close = [3.0, 1.5, 0.0]
    assert rows(close, terms=[[1]], floor=0.1) == (1, True)
    assert rows(close, terms=[[1]], floor=0.3) == (0, False)  # its own probability is 0.18


def test_watching_changes_nothing_and_notes_the_turn() -> None:
    assert rows([3.0, 1.5, 0.0], terms=[[1]], is_written=False) == (0, True)


def test_a_forbidden_token_stays_forbidden() -> None:
    assert rows([3.0, -np.inf, 0.0], terms=[[1]]) == (0, False)


def test_an_empty_list_leans_nowhere() -> None:
    assert rows([3.0, 1.5, 0.0], terms=[]) == (0, False)


def test_every_way_to_write_a_term_leads_through_the_trie(tokenizer: Tokenizer) -> None:
    bias = TermBias(["  quick   Fox ", "", "quick Fox"], tokenizer)
    assert bias.terms == ("quick Fox",)
    for spelling in ("quick Fox", "quick fox", "Quick Fox", "Quick fox", "QUICK FOX"):
        assert spelling in spellings("quick Fox")
        for text in (f" {spelling}", spelling):
            state = START
            for token in tokenizer.encode(text):
                assert token in bias.trie.lean(state)[0]
                state = bias.trie.advance(state, token)


def test_a_term_without_its_blank_stands_at_the_beginning_only(tokenizer: Tokenizer) -> None:
    bias = TermBias(["fox"], tokenizer)
    first = tokenizer.encode("fox")[0]
    assert first in bias.trie.lean(START)[0]
    assert first not in bias.trie.lean(bias.trie.advance(START, tokenizer.encode(" nine")[0]))[0]


def test_long_lists_are_cut(tokenizer: Tokenizer) -> None:
    assert TermBias(["one", "two", "three"], tokenizer, BiasOptions(max_terms=2)).terms == ("one", "two")


def test_a_prompt_holds_as_many_terms_as_fit_and_the_first_stands_last(tokenizer: Tokenizer) -> None:
    terms = ["nine", "seven", "forward"]
    assert prompt_of(terms, tokenizer, n_most=100) == "forward, seven, nine"
    tight = len(tokenizer.encode(" seven, nine"))
    assert prompt_of(terms, tokenizer, n_most=tight) == "seven, nine"
    assert prompt_of(terms, tokenizer, n_most=0) == ""


@pytest.mark.parametrize("wrong", [{"boost": -1.0}, {"floor": 1.0}, {"max_terms": 0}, {"margin": float("nan")}])
def test_options_that_make_no_sense_are_refused(wrong: dict[str, float]) -> None:
    with pytest.raises(ValueError, match=next(iter(wrong))):
        BiasOptions(**wrong)  # type: ignore[arg-type]
