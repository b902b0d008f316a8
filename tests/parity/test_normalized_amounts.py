"""Amounts in texts against Whisper's English normaliser: what it tells apart differs, what it equates is equal."""

from __future__ import annotations

from typing import Any

import pytest

from projectone.speech.normalize import normalize_text
from projectone.speech.wer import word_errors

whisper = pytest.importorskip(
    "transformers.models.whisper.english_normalizer", reason="parity needs the parity extra (transformers)"
)

pytestmark = pytest.mark.parity

NUMBERS = ("0", "1", "5", "20", "417", "1,250", "10,000", "86,300", "1,000,000", "3,456,789", "3.5", "12.25")


@pytest.fixture(scope="module")
def theirs() -> Any:
    return whisper.EnglishTextNormalizer({})


@pytest.mark.parametrize("shape", ["{}", "{}%", "${}", "€{}"])
@pytest.mark.parametrize("number", NUMBERS)
def test_an_amount_in_words_is_the_same_amount_to_whispers_normaliser(theirs: Any, shape: str, number: str) -> None:
    text = f"it costs {shape.format(number)} today"
    assert theirs(normalize_text(text)) == theirs(text)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("take 5%", "take $5"),
        ("it costs €20", "it costs $20"),
        ("five", "$5"),
        ("5 million", "$5 million"),
        ("3.5", "35"),
        ("twenty percent", "20%"),
        ("one million", "1,000,000"),
        ("three point five", "3.5"),
        ("point five", ".5"),
        ("five dollars and fifty cents", "$5.50"),
        ("fifty cents", "$0.50"),
        ("three million dollars", "$3 million"),
        ("five pounds", "£5"),
        ("$10000", "$10,000"),
    ],
)
def test_two_texts_are_charged_where_whispers_normaliser_charges_them(theirs: Any, one: str, other: str) -> None:
    ours = word_errors(normalize_text(one), normalize_text(other)).errors
    assert (ours > 0) == (word_errors(theirs(one), theirs(other)).errors > 0)


@pytest.mark.parametrize(("one", "other"), [("nineteen ninety", "1990"), ("10000", "10,000"), ("5 per cent", "5%")])
def test_what_is_declared_to_cost_more_than_with_whispers_normaliser_does(theirs: Any, one: str, other: str) -> None:
    assert word_errors(normalize_text(one), normalize_text(other)).errors > 0
    assert theirs(one) == theirs(other)
