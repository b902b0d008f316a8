"""Personal data is found where it is, and nowhere else."""

import json
from collections import Counter
from pathlib import Path

import pytest
from tests.unit.server.corpus.personal_items import KINDS, LANGUAGES, items

from projectone.server.corpus.personal import find_personal
from projectone.server.corpus.spoken_numbers import digits_of_words


@pytest.mark.parametrize("language", LANGUAGES)
def test_of_a_hundred_items_in_each_language_at_least_ninety_five_are_found(language: str) -> None:
    own = [(kind, text) for of, kind, text in items() if of == language]
    assert Counter(kind for kind, _ in own) == dict.fromkeys(KINDS, 20)
    missed = [(kind, text) for kind, text in own if not find_personal(text, language)]
    assert len(missed) <= 0.05 * len(own), missed
    named = [kind for kind, text in own if kind in find_personal(text, language)]
    assert len(named) >= 0.9 * len(own), "and nearly always under its own name"


@pytest.mark.parametrize(
    ("words", "language", "digits"),
    [
        ("double four oh twenty one", "en", "4 4 0 21"),
        ("dreiundvierzig null zwo", "de", "43 0 2"),
        ("quatre-vingt-dix-sept zéro six soixante et onze vingt et un", "fr", "97 0 6 71 21"),
        ("vingt quatre dix-huit quatre-vingts", "fr", "24 18 80"),
        ("ein haus", "en", "ein haus"),
        ("один два", "ru", "один два"),
    ],
)
def test_number_words_become_the_digits_that_they_dictate(words: str, language: str, digits: str) -> None:
    assert digits_of_words(words, language) == digits.split()


@pytest.mark.parametrize(
    "text",
    [
        "in 1984 there were 2 500 000 people",
        "nineteen eighty four twenty seventeen",
        "4111 1111 1111 1112",  # one digit off: no card
        "DE89 3704 0044 0532 0130 01",
        "order number 20261121",
        "look at the dot on the map",
        "three point one four one five nine two six",
        "my passport came on june twenty-five, nineteen sixty-three",
        "starting at 10:56:18 a.m.",
    ],
)
def test_numbers_and_words_that_are_nobodys_are_let_through(text: str) -> None:
    assert find_personal(text) == ()


def is_telephone_number(text: str) -> bool:
    """Ten digits, said one by one: such prompts of AN4 are telephone numbers, and rightly held."""
    return sum(word.isdigit() for word in digits_of_words(text, "en")) in (10, 11)


def test_of_the_real_texts_at_most_one_in_a_hundred_is_held(real_data: Path) -> None:
    texts = [
        json.loads(line)["text"]
        for manifest in sorted(real_data.glob("*/manifest.jsonl"))
        for line in manifest.read_text().splitlines()
    ]
    assert len(texts) > 3000
    held = [text for text in texts if find_personal(text)]
    assert len(held) <= 0.01 * len(texts)
    assert [text for text in held if not is_telephone_number(text)] == []
