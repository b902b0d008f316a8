"""The words of a tokenizer."""

from __future__ import annotations

import json

import pytest
from tests.fakes.tiny_bert import WORDS, tiny_tokenizer

from projectone.assist.encoder.wordpiece import whole_words
from projectone.errors import ArtifactError


def written(vocabulary: object) -> bytes:
    return json.dumps({"model": {"vocab": vocabulary}}).encode()


def test_whole_words_come_in_the_tokenizers_own_order() -> None:
    assert whole_words(tiny_tokenizer()) == [word for word in WORDS if not word.startswith("#")]
    assert whole_words(written({"the": 2, "a": 1, "b": 0, "##s": 3, "x1": 4, "[CLS]": 5})) == ["a", "the"]


def test_where_a_sign_begins_a_word_the_rest_is_none() -> None:
    assert whole_words(written([["<s>", 0.0], ["\u2581the", -1.0], ["ing", -2.0], ["\u2581rain", -3.0]])) == [
        "the",
        "rain",
    ]
    assert whole_words(written({"ing": 0, "\u0120rain": 1})) == ["rain"]


@pytest.mark.parametrize("content", [b"no json", b"{}", b'{"model": {"vocab": 3}}', b'{"model": {"vocab": [1]}}'])
def test_a_tokenizer_without_a_vocabulary_is_refused(content: bytes) -> None:
    with pytest.raises(ArtifactError, match="no vocabulary"):
        whole_words(content)
