from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from projectone.speech.amounts import amounts_in_words, number_words
from projectone.speech.normalize import normalize_text
from projectone.speech.wer import word_errors


@pytest.mark.parametrize(
    ("said", "written"),
    [
        ("twenty percent", "20%"),
        ("five percent off", "5 % off"),
        ("one million", "1,000,000"),
        ("twelve thousand three hundred forty five", "12,345"),
        ("three point five", "3.5"),
        ("point five", ".5"),
        ("it is three point five", "It is 3.5."),
        ("one dollar", "$1"),
        ("twelve thousand dollars", "$12000"),
        ("one dollar and fifty cents", "$1.50"),
        ("fifty cents", "$0.50"),
        ("five dollars", "$5.00"),
        ("twenty euros", "20 €"),
        ("five pounds and one penny", "£5.01"),
        ("five cents", "5¢"),
        ("one point five million dollars", "$1.5 million"),
        ("five dollars or six", "$5 or 6"),
        ("us five dollars", "US$5"),
    ],
)
def test_an_amount_is_what_it_is_called(said: str, written: str) -> None:
    assert word_errors(normalize_text(said), normalize_text(written)).errors == 0


@pytest.mark.parametrize(
    ("one", "other"),
    [("take 5%", "take $5"), ("it costs €20", "it costs $20"), ("$5", "5"), ("3.5", "3 5"), ("$5 million", "$5")],
)
def test_amounts_of_different_things_differ(one: str, other: str) -> None:
    assert word_errors(normalize_text(one), normalize_text(other)).errors > 0


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Call 739 at 21:05", "call seven hundred thirty nine at twenty one zero five"),
        ("5551234", "five five five one two three four"),
        ("5.11.2020", "five eleven two thousand twenty"),
        ("1,2,3", "one hundred twenty three"),
        ("version v1.2", "version v1 two"),
        ("a $ or a %", "a or a"),
        ("so... 5.", "so five"),
    ],
)
def test_numerals_that_are_no_amounts_are_read_as_before(text: str, expected: str) -> None:
    assert normalize_text(text) == expected


def test_other_languages_keep_their_numerals() -> None:
    assert normalize_text("es kostet 3,50 €", language="de") == "es kostet 3 50"


@given(st.text(alphabet=st.characters(exclude_characters="$€£¢¥₹%.,"), max_size=40))
def test_a_text_without_symbols_and_separators_stays_as_it_is(text: str) -> None:
    assert amounts_in_words(text) == text


@pytest.mark.parametrize(
    ("digits", "words"),
    [
        ("0", "zero"),
        ("13", "thirteen"),
        ("20", "twenty"),
        ("100", "one hundred"),
        ("1999", "one thousand nine hundred ninety nine"),
        ("4000", "four thousand"),
        ("007", "zero zero seven"),
        ("12345", "one two three four five"),
    ],
)
def test_numerals_become_words(digits: str, words: str) -> None:
    assert number_words(digits) == words
