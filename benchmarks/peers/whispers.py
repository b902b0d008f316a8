"""Random models of published sizes: the arithmetic is that of the real ones."""

from __future__ import annotations

import json

import projectone.speech  # noqa: F401  # isort: skip  # the BLAS before mlx
import mlx.core as mx  # isort: skip

from projectone.speech.checkpoint import FeatureSettings, GenerationSettings, WhisperCheckpoint
from projectone.speech.tokenizer import Tokenizer
from projectone.speech.vocabulary import train_tokenizer
from projectone.speech.whisper import ModelDimensions, Whisper

SIZES = {
    "tiny": ModelDimensions(80, 1500, 384, 6, 4, 51865, 448, 384, 6, 4),
    "base": ModelDimensions(80, 1500, 512, 8, 6, 51865, 448, 512, 8, 6),
    # The starter's: for a quick look.
    "starter": ModelDimensions(80, 500, 192, 3, 5, 1534, 128, 192, 3, 2),
}


def random_checkpoint(dims: ModelDimensions) -> WhisperCheckpoint:
    """Random weights of these dimensions with a vocabulary of their size."""
    codes = ["en", *(f"{first}{second}" for first in "abcdefghij" for second in "abcdefghij")][:99]
    window_s = dims.n_audio_ctx // 50
    raw = json.loads(train_tokenizer([" seven three"], n_text_tokens=260, languages=codes, window_s=window_s).source)
    vocabulary, n_added = raw["model"]["vocab"], len(raw["added_tokens"])
    vocabulary.update({f"filler{i}": i for i in range(len(vocabulary), dims.n_vocab - n_added)})
    for offset, token in enumerate(raw["added_tokens"]):
        token["id"] = dims.n_vocab - n_added + offset
    tokenizer = Tokenizer(json.dumps(raw))
    mx.random.seed(0)
    return WhisperCheckpoint(
        model=Whisper(dims),
        dims=dims,
        tokenizer=tokenizer,
        generation=GenerationSettings.for_tokenizer(tokenizer, n_text_ctx=dims.n_text_ctx),
        features=FeatureSettings(chunk_length_s=window_s),
    )
