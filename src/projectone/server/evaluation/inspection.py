"""What can be said of a model's files before anything is heard: whether it can be used, its vocabulary, its cost."""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path

from projectone.contracts.base import canonical_json, sha256_hex
from projectone.contracts.evidence import Defect
from projectone.errors import ArtifactError
from projectone.speech.checkpoint import CHECKPOINT_FILES, load_checkpoint
from projectone.speech.tensor_file import read_header, read_tensors
from projectone.speech.whisper import ModelDimensions

WEIGHTS = "model.safetensors"
_TOKENIZER = "tokenizer.json"


def find_defects(folder: Path) -> tuple[Defect, ...]:
    """Why the model in `folder` cannot be used: numbers that are not finite, or files that do not fit together.

    Every number of every tensor is looked at.
    """
    try:
        read_header(folder / WEIGHTS)
        try:
            read_tensors(folder / WEIGHTS)
        except ArtifactError as error:
            return (Defect(code="not-finite", reason=str(error)),)
        load_checkpoint(folder)
    except ArtifactError as error:
        return (Defect(code="not-a-model", reason=str(error)),)
    return ()


def vocabulary_digest(folder: Path) -> str:
    """What each token id stands for, as a digest; how the file is laid out has no say in it.

    Raises:
        ArtifactError: if the folder has no vocabulary that can be read.
    """
    try:
        raw = json.loads((folder / _TOKENIZER).read_bytes())
        merges = [pair if isinstance(pair, str) else " ".join(pair) for pair in raw["model"]["merges"]]
        added = sorted((int(token["id"]), str(token["content"])) for token in raw["added_tokens"])
        return sha256_hex(canonical_json({"vocab": raw["model"]["vocab"], "merges": merges, "added": added}))
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ArtifactError(f"{_TOKENIZER} cannot be read: {error}") from error


def size_of(folder: Path) -> int:
    """Bytes of the files that make the model."""
    return sum((folder / name).stat().st_size for name in CHECKPOINT_FILES if (folder / name).is_file())


def operations(dims: ModelDimensions, *, n_windows: int, n_tokens: int) -> float:
    """Multiply-adds of hearing so many windows and writing so many tokens: a cost that depends on no machine.

    Source: the layers of `speech.whisper`; normalisation, sums and softmax are left out.
    """
    d, positions = dims.n_audio_state, dims.n_audio_ctx
    convolutions = 2 * positions * 3 * dims.n_mels * d + positions * 3 * d * d
    encoder = dims.n_audio_layer * (12 * positions * d * d + 2 * positions * positions * d)
    heard_keys = dims.n_text_layer * 2 * positions * d * dims.n_text_state
    w = dims.n_text_state
    token = dims.n_text_layer * (14 * w * w + 2 * positions * w) + w * dims.n_vocab
    return float(n_windows * (convolutions + encoder + heard_keys) + n_tokens * token)


def windows_of(lengths: Iterable[int], n_samples: int) -> int:
    """How many windows of so many samples recordings of these lengths take."""
    return sum(max(1, -(-length // n_samples)) for length in lengths)
