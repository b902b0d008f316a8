"""Random models of published sizes: the arithmetic is that of the real ones. And their folders for other engines."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import projectone.speech  # noqa: F401  # isort: skip  # the BLAS before mlx
import mlx.core as mx  # isort: skip

from projectone.speech.checkpoint import FeatureSettings, GenerationSettings, WhisperCheckpoint
from projectone.speech.mlx_whisper import save_mlx_whisper
from projectone.speech.tokenizer import Tokenizer
from projectone.speech.vocabulary import train_tokenizer
from projectone.speech.whisper import ModelDimensions, Whisper

from peers.turns import UnsuitedError  # isort: skip

_PUBLISHED_VOCABULARIES = (51864, 51865, 51866)

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


def save_for_mlx_whisper(checkpoint: WhisperCheckpoint, folder: Path) -> Path:
    """The folder that mlx-whisper opens.

    Raises:
        UnsuitedError: if it does not know the vocabulary.
    """
    if checkpoint.dims.n_vocab not in _PUBLISHED_VOCABULARIES:
        raise UnsuitedError("it knows the published vocabularies only")
    save_mlx_whisper(checkpoint, folder)
    return folder


def save_for_ctranslate2(saved: Path, folder: Path, compute_type: str) -> Path:
    """The folder that CTranslate2 and faster-whisper open, made from one that `save_checkpoint` wrote.

    Raises:
        ImportError: if CTranslate2, or what it reads checkpoints with, is not installed.
    """
    import torch  # noqa: F401  # the converter reads the folder through transformers
    from ctranslate2.converters import TransformersConverter

    TransformersConverter(str(saved)).convert(str(folder), quantization=compute_type)
    for name in ("tokenizer.json", "preprocessor_config.json"):
        shutil.copy(saved / name, folder / name)
    return folder
