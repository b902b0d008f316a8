"""Texts in their own letters are let through; look-alikes and foreign ones are seen."""

# ruff: noqa: RUF001 - look-alikes are what is tested

import pytest

from projectone.contracts.alphabets import has_foreign_letters


@pytest.mark.parametrize(
    ("text", "language"),
    [
        ("a naïve café in Łódź, 7 o'clock", "en"),
        ("Übergröße, ca. 5 µg am 2.ª", "de"),
        ("привет, это Москва и iPhone", "ru"),
        ("昨日はラーメンを食べた。ＯＫ", "ja"),
        ("नमस्ते दुनिया", "hi"),
        ("می‌خواهم", "fa"),
        ("42", "ru"),
        ("Добар dan", "sr"),
        ("안녕하세요 漢字", "ko"),
    ],
)
def test_a_text_in_the_letters_of_its_language_is_let_through(text: str, language: str) -> None:
    assert not has_foreign_letters(text, language)


@pytest.mark.parametrize(
    ("text", "language"),
    [
        ("раypal is safe", "en"),  # two Cyrillic letters at the front
        ("the whole word привет", "en"),
        ("ΟΚ then", "en"),  # Greek capitals
        ("pаris", "fr"),
        ("𝐛old letters", "en"),
        ("only Latin words", "ru"),
        ("Кириллица", "de"),
        ("γεια", "ru"),
        ("москвa", "ru"),  # one Latin letter at the end
    ],
)
def test_look_alikes_and_foreign_letters_are_seen(text: str, language: str) -> None:
    assert has_foreign_letters(text, language)
