from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import mlx.core as mx
import mlx.nn as nn
import numpy as np
import pytest
from safetensors.numpy import load_file, save_file

from projectone.errors import ArtifactError
from projectone.speech.checkpoint import (
    WhisperCheckpoint,
    load_checkpoint,
    model_tensors,
    save_checkpoint,
    save_packed,
)
from projectone.speech.int8 import load_for_inference
from projectone.speech.quantize import Bits, Packing
from projectone.speech.tokenizer import Tokenizer
from projectone.speech.transcribe import GREEDY, transcribe_many

from .conftest import random_checkpoint

TABLE, MATRIX = "model.decoder.embed_tokens", "model.encoder.layers.0.fc1"


@pytest.fixture(scope="module")
def exact(tokenizer: Tokenizer) -> WhisperCheckpoint:
    return random_checkpoint(tokenizer, n_state=64)


def saved(checkpoint: WhisperCheckpoint, folder: Path, bits: Bits = 8) -> Path:
    folder.mkdir()
    save_packed(checkpoint, folder, Packing(bits))
    return folder


@pytest.mark.parametrize("bits", [8, 4])
def test_every_number_comes_back_within_half_a_step_of_its_group(
    bits: Bits, exact: WhisperCheckpoint, tmp_path: Path
) -> None:
    again = load_checkpoint(saved(exact, tmp_path / "packed", bits))
    before, after = model_tensors(exact.model), model_tensors(again.model)
    n_packed = 0
    for name, tensor in before.items():
        half = np.array(tensor.astype(mx.float16)).astype(np.float32)
        found = np.array(after[name])
        if not (name.endswith(".weight") and half.ndim == 2):
            np.testing.assert_array_equal(found, half)
            continue
        groups = half.reshape(len(half), -1, 64)
        # mlx moves the grid so that the end far from zero is on it, which costs up to another half step at the other.
        step = (groups.max(-1) - groups.min(-1)) / (2**bits - 1)
        assert (np.abs(found.reshape(groups.shape) - groups) <= 1.01 * step[..., None] + 1e-3).all()
        assert not np.array_equal(found, half)
        n_packed += 1
    assert n_packed == 1 + 6 * 1 + 10 * 2  # the token table, and every matrix of the blocks


@pytest.mark.parametrize(("bits", "share"), [(8, 0.60), (4, 0.40)])
def test_the_same_model_gives_the_same_small_file(
    bits: Bits, share: float, exact: WhisperCheckpoint, tmp_path: Path
) -> None:
    paths = [saved(exact, tmp_path / name, bits) / "model.safetensors" for name in ("one", "two")]
    assert paths[0].read_bytes() == paths[1].read_bytes()
    save_checkpoint(exact, tmp_path / "plain")
    sizes = [
        sum(array.nbytes for array in load_file(path).values())
        for path in (paths[0], tmp_path / "plain" / paths[0].name)
    ]
    assert sizes[0] < share * sizes[1]


@pytest.mark.parametrize("bits", [8, 4])
def test_a_gpu_s_way_of_computing_gives_the_scores_of_the_unpacked_weights(
    bits: Bits, exact: WhisperCheckpoint, tmp_path: Path
) -> None:
    folder = saved(exact, tmp_path / "packed", bits)
    ways = [load_checkpoint(folder, stays_packed=stays_packed) for stays_packed in (True, False)]
    assert isinstance(ways[0].model.decoder.token_embedding, nn.QuantizedEmbedding)
    assert isinstance(ways[0].model.encoder.blocks[0].attn.query, nn.QuantizedLinear)
    mel, tokens = mx.random.normal((2, 200, 20)), mx.array([[1, 2, 3, 4, 5]] * 2)
    kept, plain = (np.array(way.model(mel, tokens)) for way in ways)
    # The same products in another order; what packing itself costs is at least ten times that.
    np.testing.assert_allclose(kept, plain, atol=1e-3 * plain.std())
    assert np.abs(np.array(exact.model(mel, tokens)) - plain).max() > 0.01 * plain.std()
    said = [transcribe_many(way, [np.zeros(8000, np.float32)], batch_size=1, options=GREEDY) for way in ways]
    assert said[0][0].text == said[1][0].text


def test_a_row_that_no_group_fits_stays_as_it_is(tokenizer: Tokenizer, tmp_path: Path) -> None:
    narrow = random_checkpoint(tokenizer)  # 16 wide
    folder = saved(narrow, tmp_path / "packed")
    words = {name for name, array in load_file(folder / "model.safetensors").items() if array.dtype == np.uint32}
    assert words == {
        f"model.{side}.layers.{i}.fc2.weight" for side, i in (("encoder", 0), ("decoder", 0), ("decoder", 1))
    }
    assert load_checkpoint(folder).dims == narrow.dims


def test_an_unpacked_model_is_saved_as_one_that_never_was(exact: WhisperCheckpoint, tmp_path: Path) -> None:
    save_checkpoint(load_checkpoint(saved(exact, tmp_path / "packed")), tmp_path / "plain")
    assert "quantization" not in json.loads((tmp_path / "plain" / "config.json").read_text())
    load_checkpoint(tmp_path / "plain")


def test_packed_weights_are_computed_with_in_eight_bits_too(exact: WhisperCheckpoint, tmp_path: Path) -> None:
    pytest.importorskip("onnxruntime", reason="needs the extra int8")
    checkpoint = load_for_inference(saved(exact, tmp_path / "packed"), "int8", n_threads=1)
    transcribe_many(checkpoint, [np.zeros(8000, np.float32)], batch_size=1, options=GREEDY)


def quantization(value: object) -> Callable[[dict[str, Any], dict[str, Any]], None]:
    return lambda config, tensors: config.update(quantization=value)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda config, tensors: config.pop("quantization"), "are unknown"),
        (quantization({"bits": 4, "group_size": 64}), "expected shape"),
        (quantization({"bits": 8, "group_size": 32}), "expected shape"),
        (quantization({"bits": 3, "group_size": 64}), "expected 8 or 4 bits"),
        (quantization({"bits": 8, "group_size": 64, "mode": "mxfp8"}), "expected the mode 'affine'"),
        (quantization({"bits": 8, "group_size": 64, "layer": {}}), "expected 8 or 4 bits"),
        (quantization("8 bits"), "expected 8 or 4 bits"),
        (lambda config, tensors: tensors.pop(f"{MATRIX}.scales"), "are missing"),
        (lambda config, tensors: tensors[f"{TABLE}.scales"].fill(np.nan), "not finite"),
        (lambda c, t: t.update({f"{MATRIX}.weight": np.zeros((256, 16), np.float32)}), "expected packed numbers"),
        (lambda c, t: t.update({f"{MATRIX}.bias": np.zeros(256, np.uint32)}), "expected plain numbers"),
    ],
)  # fmt: skip
def test_a_packed_file_that_is_not_what_its_config_says_is_refused(
    change: Callable[[dict[str, Any], dict[str, Any]], None], said: str, exact: WhisperCheckpoint, tmp_path: Path
) -> None:
    folder = saved(exact, tmp_path / "packed")
    config, tensors = json.loads((folder / "config.json").read_text()), load_file(folder / "model.safetensors")
    change(config, tensors)
    (folder / "config.json").write_text(json.dumps(config))
    save_file(tensors, folder / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(ArtifactError, match=said):
        load_checkpoint(folder)
