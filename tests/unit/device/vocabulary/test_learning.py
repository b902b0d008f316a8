"""What a correction teaches, and what not."""

from __future__ import annotations

import pytest

from projectone.device.vocabulary.learning import MAX_LEARNED, learned_terms, occurrences


@pytest.mark.parametrize(
    ("heard", "corrected", "terms"),
    [
        ("call normada today", "call Namrata today", ["Namrata"]),
        ("call an am rata, today", "Call Namrata, today.", ["Namrata"]),
        ("ask anna koval ska about it", "ask Ana Kowalska about it", ["Ana Kowalska", "Ana", "Kowalska"]),
        ("the patient takes met for men", "the patient takes metformin", ["metformin"]),
        ("p i t s b u r g h", "p i t t s b u r g h", ["p i t t s b u r g h"]),
        ("it is m a r g p now", "it is m a r k b now", ["m a r k b"]),
        ("it runs on be twelve", "it runs on B12", ["B12"]),
        ("won too three", "one two three", []),
        ("i no that", "I know that", []),
        ("i will come", "I will come at eight thirty", []),
        ("call namrata", "call Namrata", []),
        ("go", "Go, please!", []),
        ("", "Namrata", []),
        ("Namrata", "", []),
    ],
)
def test_names_and_rare_words_are_learned_and_everyday_words_are_not(
    heard: str, corrected: str, terms: list[str]
) -> None:
    assert learned_terms(heard, corrected) == terms


def test_a_sentence_that_was_written_anew_teaches_nothing() -> None:
    corrected = "Quantum chromodynamics describes gluons binding quarks inside hadrons"
    assert learned_terms("one two three four five six seven eight", corrected) == []


def test_a_correction_teaches_a_few_terms_or_none() -> None:
    names = [f"Zanzibar{letter}" for letter in "abcdefghijk"]
    heard = " and ".join(["x", "y"] * 5)
    assert len(learned_terms(heard, " and ".join(names))) <= MAX_LEARNED


def test_a_term_counts_as_whole_words() -> None:
    assert occurrences("Mark", "mark, marked Mark.") == 2
    assert occurrences("New York", "in new york") == 1
    assert occurrences("York", "Yorkshire") == 0
