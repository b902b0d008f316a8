"""Small, seeded materials for the speech tests."""

from __future__ import annotations

import pytest

from projectone.speech.tokenizer import Tokenizer
from projectone.speech.vocabulary import train_tokenizer

TEXTS = [" the quick brown fox", " seven three nine", " call the office at nine", " go forward and stop"] * 3


@pytest.fixture(scope="session")
def tokenizer() -> Tokenizer:
    """A multilingual vocabulary with a window of two seconds."""
    return train_tokenizer(TEXTS, n_text_tokens=300, languages=("en", "de"), window_s=2.0)


@pytest.fixture(scope="session")
def english_tokenizer() -> Tokenizer:
    """The same, English-only."""
    return train_tokenizer(TEXTS, n_text_tokens=300, languages=(), window_s=2.0)
