from __future__ import annotations

import jiwer
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from projectone.speech.wer import Edit, ErrorCounts, align, character_errors, total_errors, word_errors

# Few different words, so that there are repeats and many equally short alignments.
TEXTS = st.lists(st.sampled_from(["a", "b", "c", "seven", "sven"]), max_size=12).map(" ".join)


@settings(max_examples=400)
@given(TEXTS, TEXTS)
def test_word_counts_equal_jiwers(reference: str, hypothesis: str) -> None:
    theirs, ours = jiwer.process_words(reference, hypothesis), word_errors(reference, hypothesis)
    assert ours.rate == pytest.approx(theirs.wer)
    assert (ours.hits, ours.substitutions, ours.deletions, ours.insertions) == (
        theirs.hits,
        theirs.substitutions,
        theirs.deletions,
        theirs.insertions,
    )


@settings(max_examples=200)
@given(TEXTS, TEXTS)
def test_character_counts_equal_jiwers(reference: str, hypothesis: str) -> None:
    theirs, ours = jiwer.process_characters(reference, hypothesis), character_errors(reference, hypothesis)
    assert ours.rate == pytest.approx(theirs.cer)
    assert (ours.hits, ours.substitutions, ours.deletions, ours.insertions) == (
        theirs.hits,
        theirs.substitutions,
        theirs.deletions,
        theirs.insertions,
    )


@given(st.lists(st.tuples(TEXTS, TEXTS), min_size=1, max_size=5))
def test_the_rate_of_a_corpus_equals_jiwers(pairs: list[tuple[str, str]]) -> None:
    references, hypotheses = [r for r, _ in pairs], [h for _, h in pairs]
    ours = total_errors(word_errors(r, h) for r, h in pairs)
    assert ours.rate == pytest.approx(jiwer.process_words(references, hypotheses).wer)


@given(TEXTS, TEXTS)
def test_an_alignment_reads_as_both_texts(reference: str, hypothesis: str) -> None:
    edits = align(reference.split(), hypothesis.split())
    assert [e.reference for e in edits if e.reference is not None] == reference.split()
    assert [e.hypothesis for e in edits if e.hypothesis is not None] == hypothesis.split()
    assert all((e.reference == e.hypothesis) == (e.kind == "equal") for e in edits)


def test_an_alignment_says_which_word_became_which() -> None:
    assert align(["call", "the", "office", "now"], ["call", "an", "office"]) == (
        Edit("equal", "call", "call"),
        Edit("substitute", "the", "an"),
        Edit("equal", "office", "office"),
        Edit("delete", "now", None),
    )


def test_speech_where_there_was_none_counts_its_words() -> None:
    assert word_errors("", "so it goes").rate == 3
    assert word_errors("", "") == ErrorCounts()
    assert word_errors("", "").rate == 0
