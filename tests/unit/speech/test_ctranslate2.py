"""What lies in the file for CTranslate2, by a reader of its format; `tests/parity` lets CTranslate2 itself read it."""

from __future__ import annotations

import json
import struct
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tests.fakes.tiny_whisper import save_tiny

from projectone.errors import ArtifactError
from projectone.server.cli import main
from projectone.speech.checkpoint import WhisperCheckpoint, load_checkpoint, model_tensors
from projectone.speech.ctranslate2 import MODEL, save_ctranslate2

TYPES = (np.float32, np.int8, np.int16, np.int32, np.float16)
Arrays = dict[str, np.ndarray[Any, Any]]


def read(path: Path) -> tuple[Arrays, dict[str, str]]:
    """Variables and aliases of a file of binary version 6, which must end where it says."""
    content, place = path.read_bytes(), 0

    def number(kind: str) -> int:
        nonlocal place
        (found,) = struct.unpack_from(kind, content, place)
        place += struct.calcsize(kind)
        return int(found)

    def text() -> str:
        nonlocal place
        length = number("<H")
        place += length
        assert content[place - 1] == 0
        return content[place - length : place - 1].decode()

    assert (number("<I"), text(), number("<I")) == (6, "WhisperSpec", 3)
    found: Arrays = {}
    for _ in range(number("<I")):
        name = text()
        shape = [number("<I") for _ in range(number("<B"))]
        kind, n_bytes = TYPES[number("<B")], number("<I")
        found[name] = np.frombuffer(content[place : place + n_bytes], kind).reshape(shape)
        place += n_bytes
    aliases = {text(): text() for _ in range(number("<I"))}
    assert place == len(content) and list(found) == sorted(found)
    return found, aliases


@pytest.fixture
def tiny(tmp_path: Path) -> WhisperCheckpoint:
    return load_checkpoint(save_tiny(tmp_path / "model"))


def saved(checkpoint: WhisperCheckpoint, folder: Path, **options: Any) -> Arrays:
    folder.mkdir()
    save_ctranslate2(checkpoint, folder, **options)
    return read(folder / MODEL)[0]


def test_every_number_of_the_model_is_in_the_file_and_no_other(tiny: WhisperCheckpoint, tmp_path: Path) -> None:
    found = saved(tiny, tmp_path / "out", dtype="float32")
    tensors = {name: np.array(array) for name, array in model_tensors(tiny.model).items()}
    floats = [array for array in found.values() if array.dtype == np.float32]
    n_zeros = sum(tensors[name].shape[0] for name in tensors if name.endswith("key.weight"))  # they have no bias
    assert sum(array.size for array in floats) == sum(array.size for array in tensors.values()) + n_zeros
    block = "decoder.blocks.0"
    fused = np.concatenate([tensors[f"{block}.attn.{part}.weight"] for part in ("query", "key", "value")])
    assert np.array_equal(found["decoder/layer_0/self_attention/linear_0/weight"], fused)
    seen = np.concatenate([tensors[f"{block}.cross_attn.{part}.weight"] for part in ("key", "value")])
    assert np.array_equal(found["decoder/layer_0/attention/linear_1/weight"], seen)
    kernel = tensors["encoder.conv1.weight"].transpose(0, 2, 1)
    assert np.array_equal(found["encoder/conv1/weight"], kernel)
    assert read(tmp_path / "out" / MODEL)[1] == {"decoder/projection/weight": "decoder/embeddings/weight"}
    assert found["decoder/num_heads"] == tiny.dims.n_text_head and found["encoder/num_heads"] == tiny.dims.n_audio_head


def test_eight_bits_have_a_scale_for_each_row(tiny: WhisperCheckpoint, tmp_path: Path) -> None:
    plain, packed = saved(tiny, tmp_path / "plain", dtype="float32"), saved(tiny, tmp_path / "packed", bits=8)
    matrices = [name for name in plain if f"{name}_scale" in packed]
    assert {name.split("/")[-2] for name in matrices} >= {"linear_0", "linear_1", "linear_2", "embeddings", "conv1"}
    for name in matrices:
        scale = packed[f"{name}_scale"].reshape(-1, *[1] * (plain[name].ndim - 1))
        assert packed[name].dtype == np.int8
        assert (np.abs(packed[name] / scale - plain[name]) <= 0.5001 / scale).all()
    assert packed["encoder/layer_norm/gamma"].dtype == np.float16


def test_numbers_that_float16_cannot_hold_are_refused(tiny: WhisperCheckpoint, tmp_path: Path) -> None:
    tiny.model.encoder.ln_post.weight = tiny.model.encoder.ln_post.weight * 1e6
    with pytest.raises(ArtifactError, match="encoder/layer_norm/gamma"):
        saved(tiny, tmp_path / "out")


def test_the_same_model_gives_the_same_bytes(tiny: WhisperCheckpoint, tmp_path: Path) -> None:
    for name in ("one", "two"):
        saved(tiny, tmp_path / name, bits=8)
    files = sorted(path.name for path in (tmp_path / "one").iterdir())
    assert files == ["config.json", MODEL, "preprocessor_config.json", "tokenizer.json", "vocabulary.json"]
    assert all((tmp_path / "one" / name).read_bytes() == (tmp_path / "two" / name).read_bytes() for name in files)


def test_the_command_writes_it_and_refuses_four_bits(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    save_tiny(tmp_path / "model")
    command = ["convert", "--model", str(tmp_path / "model"), "--to", "ctranslate2", "--out", str(tmp_path / "out")]
    assert main([*command, "--bits", "4"]) == 2
    assert "CTranslate2 computes with 8 bits" in capsys.readouterr().err
    assert main([*command, "--bits", "8", "--json"]) == 0
    said = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert MODEL in said["files"]
    assert "faster-whisper opens 30 s windows alone" in said["limits"][0]
    tokens = json.loads((tmp_path / "out" / "vocabulary.json").read_text())
    assert len(tokens) == load_checkpoint(tmp_path / "model").dims.n_vocab
