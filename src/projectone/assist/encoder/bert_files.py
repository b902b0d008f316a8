"""A BERT on disk, as Hugging Face keeps one: every name, shape and type is checked before a number is used."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save

from projectone.errors import ArtifactError
from projectone.speech.json_files import integer_at, read_json
from projectone.speech.kernels import Floats
from projectone.storage.files import write_atomically

CONFIG, WEIGHTS, TOKENIZER = "config.json", "model.safetensors", "tokenizer.json"
SCALE = ".scale"
# Counts 0, 1, 2 ...; old files hold it, nobody needs it.
_COUNTER = "embeddings.position_ids"
_POOLER = ("pooler.dense.weight", "pooler.dense.bias")
_LIMIT = 127
_SMALLEST = np.float32(1e-30)


@dataclass(frozen=True)
class BertConfig:
    """The sizes of a BERT, in Hugging Face's words.

    Raises:
        ArtifactError: naming the size that cannot be.
    """

    hidden_size: int
    intermediate_size: int
    num_attention_heads: int
    num_hidden_layers: int
    vocab_size: int
    max_position_embeddings: int
    type_vocab_size: int = 2
    layer_norm_eps: float = 1e-12

    def __post_init__(self) -> None:
        for name in self.__dataclass_fields__:
            if getattr(self, name) <= 0:
                raise ArtifactError(f"{CONFIG}: {name}: expected more than 0, got {getattr(self, name)}")
        if self.hidden_size % self.num_attention_heads:
            raise ArtifactError(
                f"{CONFIG}: hidden_size: expected a multiple of {self.num_attention_heads} (heads), "
                f"got {self.hidden_size}"
            )

    def to_json(self) -> dict[str, Any]:
        """As `config.json` of a stock model says it."""
        sizes = {name: getattr(self, name) for name in self.__dataclass_fields__}
        return {"architectures": ["BertModel"], "model_type": "bert", "hidden_act": "gelu", **sizes}


@dataclass(frozen=True)
class BertFiles:
    """What lies in a folder.

    Attributes:
        config: Sizes.
        tensors: By their stock names, in float32.
        tokenizer: The bytes of `tokenizer.json`.
    """

    config: BertConfig
    tensors: dict[str, Floats]
    tokenizer: bytes


def read_bert(folder: Path) -> BertFiles:
    """A folder with `config.json`, `model.safetensors` and `tokenizer.json`, stock or in eight bits.

    Raises:
        ArtifactError: naming the file, key or tensor that is not as it must be.
    """
    config = _read_config(read_json(folder / CONFIG))
    try:
        tokenizer = (folder / TOKENIZER).read_bytes()
    except OSError as error:
        raise ArtifactError(f"{TOKENIZER!r} is missing or cannot be read: {error}") from error
    tensors = read_tensors(folder / WEIGHTS)
    tensors.pop(_COUNTER, None)
    check_tensors(tensors, expected_shapes(config), optional=_POOLER)
    return BertFiles(config, tensors, tokenizer)


def write_bert(folder: Path, files: BertFiles, *, bits: int = 32, facts: Mapping[str, str] | None = None) -> None:
    """Write a folder that `read_bert` reads, and other programs too where it is not in eight bits.

    Args:
        folder: That exists.
        files: What to write.
        bits: 32, or 8: then each row of a matrix is whole numbers and one scale.
        facts: Kept in the weights' file beside the tensors; `read_facts` gives them.

    Raises:
        StorageError: if the disk refused.
    """
    content = save(_packed(files.tensors) if bits == 8 else files.tensors, {"format": "pt"})
    write_atomically(folder / WEIGHTS, _with_facts(content, facts) if facts else content)
    write_atomically(folder / TOKENIZER, files.tokenizer)


def read_tensors(path: Path) -> dict[str, Floats]:
    """All tensors of a safetensors file in float32, rows of eight bits unpacked; every number is finite.

    Raises:
        ArtifactError: naming the file or the tensor.
    """
    raw: dict[str, np.ndarray[Any, Any]] = {}
    try:
        with safe_open(str(path), framework="np") as opened:
            for name in opened.keys():  # noqa: SIM118 - it is no dictionary
                raw[name] = opened.get_tensor(name)
    except (OSError, SafetensorError, TypeError, KeyError) as error:
        raise ArtifactError(f"{path.name!r} is missing or no safetensors file: {error}") from error
    tensors = {}
    for name, tensor in raw.items():
        if not name.endswith(SCALE) and name != _COUNTER:
            tensors[name] = _plain(path.name, name, tensor, raw.get(name + SCALE))
    for name in raw:
        if name.endswith(SCALE) and name.removesuffix(SCALE) not in tensors:
            raise ArtifactError(f"{path.name!r}: tensor {name!r} scales nothing")
    return tensors


def read_facts(path: Path) -> dict[str, str]:
    """What a safetensors file says beside its tensors.

    Raises:
        ArtifactError: if it is none.
    """
    try:
        with safe_open(str(path), framework="np") as opened:
            return dict(opened.metadata() or {})
    except (OSError, SafetensorError) as error:
        raise ArtifactError(f"{path.name!r} is missing or no safetensors file: {error}") from error


def check_tensors(
    tensors: Mapping[str, Floats], expected: Mapping[str, tuple[int, ...]], *, optional: tuple[str, ...] = ()
) -> None:
    """Refuse tensors that are not exactly the expected ones.

    Raises:
        ArtifactError: naming those that are missing, unknown or of another shape.
    """
    missing = sorted(expected.keys() - tensors.keys() - set(optional))
    unknown = sorted(tensors.keys() - expected.keys())
    if missing:
        raise ArtifactError(f"{WEIGHTS!r}: {len(missing)} tensors are missing: {', '.join(missing[:3])}")
    if unknown:
        raise ArtifactError(f"{WEIGHTS!r}: {len(unknown)} tensors are unknown: {', '.join(unknown[:3])}")
    for name, tensor in tensors.items():
        if tensor.shape != expected[name]:
            raise ArtifactError(f"{WEIGHTS!r}: tensor {name!r}: expected shape {expected[name]}, got {tensor.shape}")


def expected_shapes(config: BertConfig) -> dict[str, tuple[int, ...]]:
    """Every tensor of a BERT with its shape, by stock names."""
    width, inner = config.hidden_size, config.intermediate_size
    shapes: dict[str, tuple[int, ...]] = {
        "embeddings.word_embeddings.weight": (config.vocab_size, width),
        "embeddings.position_embeddings.weight": (config.max_position_embeddings, width),
        "embeddings.token_type_embeddings.weight": (config.type_vocab_size, width),
    }
    linears = {"pooler.dense": (width, width)}
    norms = ["embeddings.LayerNorm"]
    for number in range(config.num_hidden_layers):
        layer = f"encoder.layer.{number}"
        linears |= {f"{layer}.attention.self.{part}": (width, width) for part in ("query", "key", "value")}
        linears[f"{layer}.attention.output.dense"] = (width, width)
        linears[f"{layer}.intermediate.dense"] = (inner, width)
        linears[f"{layer}.output.dense"] = (width, inner)
        norms += [f"{layer}.attention.output.LayerNorm", f"{layer}.output.LayerNorm"]
    for name, shape in linears.items():
        shapes |= {f"{name}.weight": shape, f"{name}.bias": shape[:1]}
    for name in norms:
        shapes |= {f"{name}.weight": (width,), f"{name}.bias": (width,)}
    return shapes


def _read_config(raw: Mapping[str, Any]) -> BertConfig:
    if raw.get("model_type", "bert") != "bert" or raw.get("hidden_act", "gelu") != "gelu":
        raise ArtifactError(
            f"{CONFIG}: expected a bert with gelu, got {raw.get('model_type')!r:.40} with {raw.get('hidden_act')!r:.40}"
        )
    if raw.get("position_embedding_type", "absolute") != "absolute":
        raise ArtifactError(f"{CONFIG}: expected absolute positions, got {raw['position_embedding_type']!r:.40}")
    eps = raw.get("layer_norm_eps", 1e-12)
    if not isinstance(eps, float):
        raise ArtifactError(f"{CONFIG}: layer_norm_eps: expected a number, got {eps!r:.40}")
    sizes = {n: integer_at(raw, n, CONFIG) for n in BertConfig.__dataclass_fields__ if n != "layer_norm_eps"}
    return BertConfig(**sizes, layer_norm_eps=eps)


def _plain(file: str, name: str, tensor: np.ndarray[Any, Any], scale: np.ndarray[Any, Any] | None) -> Floats:
    if tensor.dtype == np.int8 and scale is not None:
        if tensor.ndim != 2 or scale.shape != tensor.shape[:1] or scale.dtype != np.float32:
            raise ArtifactError(f"{file!r}: tensor {name!r}: expected rows of whole numbers and a scale for each")
        tensor = tensor * scale[:, None]
    elif scale is not None or tensor.dtype not in (np.float32, np.float16):
        raise ArtifactError(f"{file!r}: tensor {name!r}: expected float32, float16 or scaled int8, got {tensor.dtype}")
    plain: Floats = np.ascontiguousarray(tensor, np.float32)
    if not np.isfinite(plain).all():
        raise ArtifactError(f"{file!r}: tensor {name!r} holds numbers that are not finite")
    return plain


def _with_facts(content: bytes, facts: Mapping[str, str]) -> bytes:
    """A safetensors file that says more: the library writes several facts in an order that changes with the process."""
    end = 8 + int.from_bytes(content[:8], "little")
    header = json.loads(content[8:end])
    header["__metadata__"] |= dict(sorted(facts.items()))
    plain = json.dumps(header, separators=(",", ":")).encode()
    plain += b" " * (-len(plain) % 8)
    return len(plain).to_bytes(8, "little") + plain + content[end:]


def _packed(tensors: Mapping[str, Floats]) -> dict[str, np.ndarray[Any, Any]]:
    made: dict[str, np.ndarray[Any, Any]] = {}
    for name, tensor in tensors.items():
        if tensor.ndim != 2:
            made[name] = tensor
            continue
        scales = np.maximum(np.abs(tensor).max(axis=1), _SMALLEST) / np.float32(_LIMIT)
        made[name] = np.rint(tensor / scales[:, None]).astype(np.int8)
        made[name + SCALE] = scales
    return made
