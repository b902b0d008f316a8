"""Texts as vectors: by hashing, which needs no model, and by a sentence encoder."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Literal

import numpy as np

from projectone.assist.encoder.bert_files import BertFiles, read_bert
from projectone.assist.encoder.int8_bert import Int8Bert
from projectone.assist.encoder.numpy_bert import NumpyBert
from projectone.assist.encoder.wordpiece import WordPiece
from projectone.assist.protocols import Vectors

Numerics = Literal["float32", "int8"]


class HashingEmbedder:
    """Words and their three-letter pieces, counted at places that a hash gives: no download, the same everywhere.

    Args:
        width: Numbers of a vector.
    """

    def __init__(self, width: int = 384) -> None:
        if width < 1:
            raise ValueError(f"width: expected 1 or more, got {width}")
        self._width = width

    def embed(self, texts: Sequence[str]) -> Vectors:
        """Length one for each text, (texts, width); all zeros for a text without a letter or digit."""
        vectors = np.zeros((len(texts), self._width), np.float32)
        for vector, text in zip(vectors, texts, strict=True):
            for piece in _pieces(text):
                digest = int.from_bytes(hashlib.blake2b(piece.encode(), digest_size=8).digest(), "little")
                # The sign keeps what shares a place from adding up.
                vector[(digest >> 1) % self._width] += 1 if digest & 1 else -1
            length = np.sqrt(vector @ vector)
            if length:
                vector /= length
        return vectors


class SentenceEmbedder:
    """A sentence encoder: the mean over the tokens of a BERT, of length one.

    Args:
        files: The encoder.
        numerics: ``"int8"`` is about three times as fast on a CPU and needs onnxruntime.
        n_threads: Of int8; as many as there are cores by default.

    Raises:
        ArtifactError: if the tokenizer does not fit.
        SettingsError: if onnx or onnxruntime is not installed, and int8 asked for.
    """

    def __init__(self, files: BertFiles, *, numerics: Numerics = "float32", n_threads: int = 0) -> None:
        sizes = files.config
        self._wordpiece = WordPiece(
            files.tokenizer, n_vocabulary=sizes.vocab_size, max_places=sizes.max_position_embeddings
        )
        self._width = sizes.hidden_size
        self._bert = (
            NumpyBert(sizes, files.tensors)
            if numerics == "float32"
            else Int8Bert(sizes, files.tensors, n_threads=n_threads)
        )

    def embed(self, texts: Sequence[str]) -> Vectors:
        """Length one for each text, (texts, width).

        One sentence after the other: a batch would compute with padding, and a result would hang on its neighbours.
        """
        vectors = np.empty((len(texts), self._width), np.float32)
        for vector, tokens in zip(vectors, self._wordpiece.tokens(texts), strict=True):
            vector[:] = self._bert.vector(tokens)
        return vectors


def load_embedder(folder: Path, *, numerics: Numerics = "float32") -> SentenceEmbedder:
    """The sentence encoder in a folder, stock or in eight bits.

    Raises:
        ArtifactError: naming the file, key or tensor that is not as it must be.
        SettingsError: if onnx or onnxruntime is not installed, and int8 asked for.
    """
    return SentenceEmbedder(read_bert(folder), numerics=numerics)


def _pieces(text: str) -> list[str]:
    words = re.findall(r"\w+", text.casefold())
    return [
        piece
        for word in words
        for piece in (word, *(f"{word}>"[start : start + 3] for start in range(max(0, len(word) - 1))))
    ]
