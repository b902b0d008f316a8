from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from projectone.speech.normalize import normalize_text


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
    ("text", "expected"),
    [("Mr_Smith", "mister smith"), ("úm, yes", "yes"), ("ǿ", "o"), ("uhn't", "not"), ("He's gotta", "he has got to")],
)
def test_a_word_that_a_mark_or_an_underscore_hides_is_read_the_first_time(text: str, expected: str) -> None:
    assert normalize_text(text) == expected


def test_a_letter_that_lower_case_takes_apart_is_put_together() -> None:
    assert normalize_text("J\u030c", language="cs") == "\u01f0"


# What the rules are about, since chance alone seldom writes it.
PIECES = ("um", "mmm", "mr", "dr", "prof", "gonna", "i'ma", "won't", "let", "n't", "'s", "'d", "'m", "been", "got", "_")
SIGNS = (" ", "'", "ú", "\u0301", "ǽ", "-", ".", ",", "$", "€", "%", "(", "]", "<", "5", "20", "007", "1,000")
TEXTS = st.lists(st.sampled_from((*PIECES, *SIGNS)) | st.characters(), max_size=12).map("".join)


@settings(max_examples=500)
@given(TEXTS, st.sampled_from(["en", "de"]))
def test_normalising_twice_changes_nothing(text: str, language: str) -> None:
    once = normalize_text(text, language=language)
    assert normalize_text(once, language=language) == once
    assert once == " ".join(once.split())
