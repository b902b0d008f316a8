from __future__ import annotations

import pytest

from projectone.speech.prefix import decoder_prefix
from projectone.speech.tokenizer import Tokenizer


def test_a_multilingual_prefix_names_language_task_and_timestamps(tokenizer: Tokenizer) -> None:
    plain = decoder_prefix(tokenizer, language="de", timestamps=False)
    assert plain == [tokenizer.sot, tokenizer.language_id("de"), tokenizer.transcribe, tokenizer.no_timestamps]
    timed = decoder_prefix(tokenizer, language="en", task="translate", timestamps=True)
    assert timed == [tokenizer.sot, tokenizer.language_id("en"), tokenizer.translate]


def test_an_english_only_prefix_names_neither_language_nor_task(english_tokenizer: Tokenizer) -> None:
    prefix = decoder_prefix(english_tokenizer, language=None, timestamps=False)
    assert prefix == [english_tokenizer.sot, english_tokenizer.no_timestamps]


def test_earlier_text_comes_first_and_leaves_half_of_the_context_free(tokenizer: Tokenizer) -> None:
    earlier = list(range(40))
    prefix = decoder_prefix(tokenizer, language="en", timestamps=True, previous_text=earlier, n_text_ctx=32)
    assert prefix[0] == tokenizer.sot_prev
    assert prefix[1:16] == earlier[-15:]
    assert prefix[16] == tokenizer.sot


def test_a_multilingual_model_without_a_language_is_a_callers_mistake(tokenizer: Tokenizer) -> None:
    with pytest.raises(ValueError, match="detect it first"):
        decoder_prefix(tokenizer, language=None, timestamps=False)
