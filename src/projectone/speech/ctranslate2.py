"""The folder that CTranslate2 and faster-whisper open, written without either, and without torch.

folder/
  model.bin                 every tensor by CTranslate2's name, after the header of its binary version 6
  config.json               ids that are never written, ids of languages, attention heads that follow the sound
  vocabulary.json           the tokens in the order of their ids
  tokenizer.json, preprocessor_config.json   as in the model's own folder; faster-whisper reads them

Byte for byte what `ctranslate2.converters.TransformersConverter` 4.8 writes of the same model.

Source: `specs/model_spec.py`, `specs/whisper_spec.py` and `converters/transformers.py` of CTranslate2 4.8.
"""

from __future__ import annotations

import itertools
import json
import re
import struct
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import IO, Any, Final, Literal

import mlx.core as mx
import numpy as np
import numpy.typing as npt

from projectone.speech.checkpoint import WhisperCheckpoint, model_tensors
from projectone.speech.names import ENCODER_POSITIONS, is_convolution
from projectone.speech.tensor_file import StoredDtype, stored_arrays
from projectone.storage.files import write_atomically

MODEL: Final = "model.bin"
Bits = Literal[8]

_Array = npt.NDArray[Any]
_BINARY_VERSION, _NAME, _REVISION = 6, "WhisperSpec", 3
_TYPES: Final = {np.dtype(np.float32): 0, np.dtype(np.int8): 1, np.dtype(np.int16): 2, np.dtype(np.float16): 4}
_GELU: Final = np.int8(3)
_WHOLE: Final = {
    "encoder.conv1": "encoder/conv1",
    "encoder.conv2": "encoder/conv2",
    "encoder.ln_post": "encoder/layer_norm",
    "decoder.ln": "decoder/layer_norm",
    "decoder.token_embedding": "decoder/embeddings",
}
_POSITIONS: Final = {
    ENCODER_POSITIONS: "encoder/position_encodings/encodings",
    "decoder.positional_embedding": "decoder/position_encodings/encodings",
}
_IN_BLOCK: Final = {
    "attn_ln": "self_attention/layer_norm",
    "cross_attn_ln": "attention/layer_norm",
    "mlp_ln": "ffn/layer_norm",
    "mlp1": "ffn/linear_0",
    "mlp2": "ffn/linear_1",
    "attn.out": "self_attention/linear_1",
    "cross_attn.out": "attention/linear_2",
}
# Products over the same input are one matrix there.
_FUSED: Final = (
    ("attn", ("query", "key", "value"), "self_attention/linear_0"),
    ("cross_attn", ("query",), "attention/linear_0"),
    ("cross_attn", ("key", "value"), "attention/linear_1"),
)
_BLOCK = re.compile(r"(encoder|decoder)\.blocks\.(\d+)\.(.+)\.(weight|bias)")
_MATRIX = re.compile(r".*/(linear_\d|embeddings|conv\d)/weight")
_ALIAS: Final = ("decoder/projection/weight", "decoder/embeddings/weight")


def save_ctranslate2(
    checkpoint: WhisperCheckpoint, folder: Path, *, dtype: StoredDtype = "float16", bits: Bits | None = None
) -> None:
    """Write a folder for `ctranslate2.models.Whisper` and `faster_whisper.WhisperModel`.

    Args:
        checkpoint: The model.
        folder: Fresh.
        dtype: Of what is not packed.
        bits: Of each number of the matrices: 8 with one scale for each row, or None for `dtype`.

    Raises:
        ArtifactError: naming the tensor whose numbers are not finite, or do not fit `dtype`.
        StorageError: if the disk refused.
    """
    variables = dict(_scalars(checkpoint))
    # Packed from the model's own numbers, as the converter does.
    for name, array in _named(stored_arrays(model_tensors(checkpoint.model), dtype="float32")):
        if bits is not None and _MATRIX.fullmatch(name):
            variables[name], variables[f"{name}_scale"] = _in_rows(array)
        else:
            variables[name] = stored_arrays({name: mx.array(array)}, dtype=dtype)[name]
    with (folder / MODEL).open("wb") as stream:
        _write(stream, variables)
    write_atomically(folder / "config.json", f"{_json(_config(checkpoint))}\n".encode())
    write_atomically(folder / "vocabulary.json", _json(_vocabulary(checkpoint)).encode())
    write_atomically(folder / "tokenizer.json", checkpoint.tokenizer.source.encode())
    write_atomically(folder / "preprocessor_config.json", f"{_json(checkpoint.features.to_json())}\n".encode())


def _scalars(checkpoint: WhisperCheckpoint) -> Iterator[tuple[str, _Array]]:
    dims = checkpoint.dims
    yield "encoder/num_heads", np.array(dims.n_audio_head, np.int16)
    yield "decoder/num_heads", np.array(dims.n_text_head, np.int16)
    yield "decoder/activation", np.array(_GELU)
    yield "decoder/pre_norm", np.array(1, np.int8)
    yield "decoder/alignment_heads", np.array(1, np.int16)
    yield "decoder/alignment_layer", np.array(-1, np.int16)
    flags = ("alibi", "alibi_use_positive_positions", "scale_alibi", "scale_embeddings", "start_from_zero_embedding")
    for name in flags:
        yield f"decoder/{name}", np.array(0, np.int8)


def _named(tensors: Mapping[str, _Array]) -> Iterator[tuple[str, _Array]]:
    """Our tensors by CTranslate2's names, in its layout: what is multiplied with the same input lies in one matrix."""
    blocks = sorted({".".join(name.split(".")[:3]) for name in tensors if ".blocks." in name})
    for block in blocks:
        side, _, index = block.split(".")
        for part, products, theirs in _FUSED:
            if f"{block}.{part}.query.weight" in tensors:
                names = [f"{block}.{part}.{product}" for product in products]
                yield f"{side}/layer_{index}/{theirs}/weight", np.concatenate([tensors[f"{n}.weight"] for n in names])
                yield f"{side}/layer_{index}/{theirs}/bias", np.concatenate([_bias(tensors, n) for n in names])
    for name, array in tensors.items():
        theirs_whole = _name_of(name)
        if theirs_whole is not None:
            yield theirs_whole, array.transpose(0, 2, 1) if is_convolution(name) else array


def _bias(tensors: Mapping[str, _Array], product: str) -> _Array:
    """Zeros for the keys, which have none."""
    weight = tensors[f"{product}.weight"]
    return tensors.get(f"{product}.bias", np.zeros(weight.shape[0], weight.dtype))


def _name_of(name: str) -> str | None:
    """CTranslate2's name of a tensor that lies alone there, too; None of one that is part of a fused matrix."""
    if name in _POSITIONS:
        return _POSITIONS[name]
    if match := _BLOCK.fullmatch(name):
        side, index, part, leaf = match.groups()
        if part not in _IN_BLOCK:
            return None
        return f"{side}/layer_{index}/{_IN_BLOCK[part]}/{_leaf(part, leaf)}"
    part, _, leaf = name.rpartition(".")
    return f"{_WHOLE[part]}/{_leaf(part, leaf)}"


def _leaf(part: str, leaf: str) -> str:
    is_norm = part.rpartition(".")[2] in ("ln", "ln_post") or part.endswith("_ln")
    return {"weight": "gamma", "bias": "beta"}[leaf] if is_norm else leaf


def _in_rows(array: _Array) -> tuple[_Array, _Array]:
    """Eight bits and a scale for each row (of a convolution: for each output)."""
    rows = array.reshape(len(array), -1)
    largest = np.abs(rows).max(axis=1)
    largest[largest == 0] = 127.0
    largest = np.maximum(largest, np.float32(127) / np.finfo(np.float32).max)
    scale = np.float32(127.0) / largest
    return np.rint(rows * scale[:, None]).astype(np.int8).reshape(array.shape), scale


def _write(stream: IO[bytes], variables: Mapping[str, _Array]) -> None:
    stream.write(struct.pack("<I", _BINARY_VERSION) + _text(_NAME) + struct.pack("<II", _REVISION, len(variables)))
    for name, array in sorted(variables.items()):
        shape = struct.pack(f"<B{array.ndim}I", array.ndim, *array.shape)
        stream.write(_text(name) + shape + struct.pack("<BI", _TYPES[array.dtype], array.nbytes))
        stream.write(np.ascontiguousarray(array).tobytes())
    stream.write(struct.pack("<I", 1) + b"".join(map(_text, _ALIAS)))


def _text(text: str) -> bytes:
    content = text.encode() + b"\0"
    return struct.pack("<H", len(content)) + content


def _config(checkpoint: WhisperCheckpoint) -> dict[str, Any]:
    dims, generation = checkpoint.dims, checkpoint.generation
    later_half = itertools.product(range(dims.n_text_layer // 2, dims.n_text_layer), range(dims.n_text_head))
    return {
        "suppress_ids": list(generation.suppress_tokens),
        "suppress_ids_begin": list(generation.begin_suppress_tokens),
        "lang_ids": sorted(generation.lang_to_id.values()),
        "alignment_heads": [list(pair) for pair in generation.alignment_heads or later_half],
    }


def _vocabulary(checkpoint: WhisperCheckpoint) -> list[str]:
    """Tokens by id; where the tokenizer leaves timestamps out, they follow."""
    raw = json.loads(checkpoint.tokenizer.source)
    ids = {**raw["model"]["vocab"], **{token["content"]: token["id"] for token in raw["added_tokens"]}}
    tokens = [token for token, _ in sorted(ids.items(), key=lambda item: item[1])]
    return tokens + [f"<|{step * 0.02:.2f}|>" for step in range(checkpoint.dims.n_vocab - len(tokens))]


def _json(content: object) -> str:
    return json.dumps(content, indent=2, sort_keys=True)
