"""Words are what stands between blanks, and marks at their edges are not spoken."""

from __future__ import annotations

import pytest

from projectone.speech.tokenizer import Tokenizer
from projectone.speech.vocabulary import train_tokenizer
from projectone.speech.word_tokens import split_to_word_tokens


@pytest.fixture(scope="module")
def letters() -> Tokenizer:
    """A vocabulary of single bytes: every letter is a token, and most others are several."""
    return train_tokenizer([" a"], n_text_tokens=257)


TEXTS = [
    " call Ana",
    "  two  blanks ",
    " well-known don't.",
    ' "Yes," she said.',
    " fünf Grüße für 東京",
    " - dash",
    "no blank first",
]


@pytest.mark.parametrize("text", TEXTS)
def test_the_words_are_those_between_blanks_and_have_all_tokens(text: str, letters: Tokenizer) -> None:
    tokens = letters.encode(text)
    words = split_to_word_tokens(letters, tokens, "en")
    assert [word.text for word in words] == text.split()
    assert [letters.decode(tokens[word.first : word.end]).strip() for word in words] == text.split()
    assert all(word.first <= word.spoken_first < word.spoken_end <= word.end for word in words)


def test_marks_at_the_edges_are_not_spoken(letters: Tokenizer) -> None:
    tokens = letters.encode(' "Yes," (no) don\'t ...')
    words = split_to_word_tokens(letters, tokens, "en")
    spoken = [letters.decode(tokens[word.spoken_first : word.spoken_end]) for word in words]
    assert spoken == ["Yes", "no", " don't", " ..."]


def test_a_language_without_blanks_is_cut_at_its_characters(letters: Tokenizer) -> None:
    tokens = letters.encode("「東京」です。")
    words = split_to_word_tokens(letters, tokens, "ja")
    assert "".join(word.text for word in words) == "「東京」です。"
    assert [word.text for word in words][-2:] == ["で", "す。"]


def test_bytes_that_make_no_character_stay_in_a_word(letters: Tokenizer) -> None:
    tokens = letters.encode(" ab 東")[:-1]
    words = split_to_word_tokens(letters, tokens, "en")
    assert [word.text for word in words] == ["ab", "\ufffd\ufffd"]
    assert words[-1].end == len(tokens)
    assert split_to_word_tokens(letters, [], "en") == []
