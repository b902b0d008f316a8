from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from projectone.speech.normalize import normalize_text, number_words


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("  Hello,   World!\n", "hello world"),
        ("[laughter] Um, I (sighs) can't.", "i can not"),
        ("I'm sure they won't; it's been fun", "i am sure they will not it has been fun"),
        ("Mr. O\u2019Neil's café", "mister o neil is cafe"),
        ("RUBOUT G M E F THREE NINE", "rubout g m e f three nine"),
        ("Call 739 at 21:05", "call seven hundred thirty nine at twenty one zero five"),
        ("1,250 and 5551234", "one thousand two hundred fifty and five five five one two three four"),
        ("Straße Ærø Łódź", "strasse aero lodz"),
        ("twenty-one", "twenty one"),
        ("", ""),
        ("...!?", ""),
        ("gonna go", "going to go"),
    ],
)
def test_english(text: str, expected: str) -> None:
    assert normalize_text(text) == expected


def test_other_languages_keep_their_letters_and_lose_symbols() -> None:
    assert normalize_text("¿Qué tal? [risas]", language="es") == "qué tal"
    assert normalize_text("Um 5 Uhr, Straße!", language="de") == "um 5 uhr straße"
    assert normalize_text("नमस्ते!", language="hi") == "नमस्ते"


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
    ],
)
def test_numerals_become_words(digits: str, words: str) -> None:
    assert number_words(digits) == words


@given(st.text(max_size=60), st.sampled_from(["en", "de"]))
def test_normalising_twice_changes_nothing(text: str, language: str) -> None:
    once = normalize_text(text, language=language)
    assert normalize_text(once, language=language) == once
    assert once == " ".join(once.split())
