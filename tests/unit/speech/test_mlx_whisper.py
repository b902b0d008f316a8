from __future__ import annotations

import json
from dataclasses import asdict, replace
from pathlib import Path

import mlx.core as mx
from mlx.utils import tree_flatten

from projectone.speech.checkpoint import WhisperCheckpoint
from projectone.speech.mlx_whisper import has_published_vocabulary, save_mlx_whisper


def test_the_folder_holds_what_mlx_whisper_reads_and_nothing_else(
    checkpoint: WhisperCheckpoint, tmp_path: Path
) -> None:
    heads = replace(checkpoint, generation=replace(checkpoint.generation, alignment_heads=((1, 0), (1, 1))))
    save_mlx_whisper(heads, tmp_path, dtype="float32")
    config = json.loads((tmp_path / "config.json").read_text())
    assert config.pop("model_type") == "whisper"
    assert config == asdict(checkpoint.dims)  # it refuses every other key
    weights = mx.load(str(tmp_path / "weights.safetensors"))
    assert weights.pop("alignment_heads").tolist() == [[1, 0], [1, 1]]
    own = dict(tree_flatten(checkpoint.model.parameters()))
    assert weights.keys() == own.keys()
    assert all(mx.array_equal(weights[name], own[name]).item() for name in own)


def test_only_the_published_vocabularies_can_be_read_there(checkpoint: WhisperCheckpoint) -> None:
    assert not has_published_vocabulary(checkpoint)
