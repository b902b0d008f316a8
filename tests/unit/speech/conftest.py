"""Small, seeded materials for the speech tests."""

from __future__ import annotations

import mlx.core as mx
import pytest
from mlx.utils import tree_map

from projectone.speech.checkpoint import FeatureSettings, GenerationSettings, WhisperCheckpoint
from projectone.speech.tokenizer import Tokenizer
from projectone.speech.vocabulary import train_tokenizer
from projectone.speech.whisper import ModelDimensions, Whisper

TEXTS = [" the quick brown fox", " seven three nine", " call the office at nine", " go forward and stop"] * 3


@pytest.fixture(scope="session")
def tokenizer() -> Tokenizer:
    """A multilingual vocabulary with a window of two seconds."""
    return train_tokenizer(TEXTS, n_text_tokens=300, languages=("en", "de"), window_s=2.0)


@pytest.fixture(scope="session")
def english_tokenizer() -> Tokenizer:
    """The same, English-only."""
    return train_tokenizer(TEXTS, n_text_tokens=300, languages=(), window_s=2.0)


@pytest.fixture
def checkpoint(tokenizer: Tokenizer) -> WhisperCheckpoint:
    """A model of random weights with a window of two seconds: 100 encoder positions."""
    return random_checkpoint(tokenizer)


def random_checkpoint(tokenizer: Tokenizer, *, seed: int = 0, n_mels: int = 20, n_state: int = 16) -> WhisperCheckpoint:
    """Seeded weights at a size that decodes in milliseconds."""
    dims = ModelDimensions(
        n_mels=n_mels,
        n_audio_ctx=100,
        n_audio_state=n_state,
        n_audio_head=2,
        n_audio_layer=1,
        n_vocab=tokenizer.n_vocab,
        n_text_ctx=32,
        n_text_state=n_state,
        n_text_head=2,
        n_text_layer=2,
    )
    model = Whisper(dims)
    mx.random.seed(seed)
    model.update(tree_map(lambda p: mx.random.normal(p.shape) * 0.3, model.parameters()))
    # A lean towards end-of-text, or random weights would never stop.
    decoder = model.decoder
    decoder.ln.bias = decoder.ln.bias + decoder.token_embedding.weight[tokenizer.eot]
    return WhisperCheckpoint(
        model=model,
        dims=dims,
        tokenizer=tokenizer,
        generation=GenerationSettings.for_tokenizer(tokenizer, n_text_ctx=dims.n_text_ctx),
        features=FeatureSettings(feature_size=n_mels, chunk_length_s=2),
    )
