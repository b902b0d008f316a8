"""Low-rank adapters on disk, and how one becomes part of a model's weights: bit for bit the same everywhere.

folder/
  adapter_model.safetensors   the factors, float16, under the names that `peft` uses: that library opens the folder too
  adapter_config.json         what `peft` wants to know
  adapter.json                what we want to know: which base, and the digest of the model that must come out

How the sum is made so that every machine gets the same bits: `projectone.speech.exact_merge`. How an adapter travels to
devices: `projectone.speech.adapter_update`.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import mlx.core as mx
import numpy as np
import numpy.typing as npt
from mlx.utils import tree_unflatten
from safetensors.numpy import save

from projectone.errors import ArtifactError, DigestMismatchError
from projectone.speech.checkpoint import WEIGHTS, load_checkpoint, model_tensors, save_checkpoint
from projectone.speech.exact_merge import Factors, check_scale, fuse
from projectone.speech.json_files import read_json
from projectone.speech.names import hf_name_of, mlx_name_of
from projectone.speech.tensor_file import read_header, read_tensors
from projectone.storage.files import building_directory, digest_of, write_atomically

__all__ = [
    "Adapter",
    "Factors",
    "check_scale",
    "fuse",
    "fuse_checkpoint",
    "fused_weights",
    "read_adapter",
    "write_adapter",
]

FORMAT = 1
FACTS = "adapter.json"
FACTORS = "adapter_model.safetensors"
PEFT_CONFIG = "adapter_config.json"
_PEFT_PREFIX = "base_model.model."
_DOWN, _UP = ".lora_A.weight", ".lora_B.weight"


@dataclass(frozen=True, kw_only=True)
class Adapter:
    """A model as a small change of another one.

    Attributes:
        base_sha256: Of the base's `model.safetensors`.
        model_sha256: Of the `model.safetensors` that comes out.
        rank: Of every pair of factors.
        alpha: The scale is ``alpha / rank``, a power of two.
        factors: By our name of the layer, such as ``decoder.blocks.0.attn.query``.
    """

    base_sha256: str
    model_sha256: str
    rank: int
    alpha: float
    factors: Mapping[str, Factors]

    def __post_init__(self) -> None:
        check_scale(self.scale)
        for name, pair in self.factors.items():
            if pair.down.shape[0] != self.rank:
                raise ValueError(f"{name}: expected rank {self.rank}, got {pair.down.shape[0]}")

    @property
    def scale(self) -> float:
        """What the product of the factors is multiplied by."""
        return self.alpha / self.rank


def fused_weights(base: Mapping[str, mx.array], factors: Mapping[str, Factors], scale: float) -> dict[str, mx.array]:
    """The new weights of every layer that has factors, by our name, float32 arrays of float16 numbers.

    Args:
        base: The base's tensors by our name.
        factors: By layer.
        scale: A power of two.

    Raises:
        ArtifactError: naming the layer that the base lacks, or whose numbers do not fit.
    """
    fused: dict[str, mx.array] = {}
    for layer, pair in factors.items():
        name = f"{layer}.weight"
        if name not in base:
            raise ArtifactError(f"adapter: the base has no layer {layer!r}")
        try:
            fused[name] = mx.array(fuse(np.array(base[name]), pair, scale)).astype(mx.float32)
        except ValueError as error:
            raise ArtifactError(f"adapter: layer {layer!r}: {error}") from error
    return fused


def write_adapter(adapter: Adapter, folder: Path) -> None:
    """Put an adapter into a folder that exists; the same adapter gives the same bytes.

    Raises:
        StorageError: if the disk refused.
    """
    tensors: dict[str, npt.NDArray[Any]] = {}
    for layer, pair in adapter.factors.items():
        name = _PEFT_PREFIX + _hf_layer(layer)
        tensors[name + _DOWN], tensors[name + _UP] = pair.down, pair.up
    write_atomically(folder / FACTORS, save(tensors, metadata={"format": "pt"}))
    layers = sorted(_hf_layer(layer) for layer in adapter.factors)
    write_atomically(folder / PEFT_CONFIG, _json(_peft_config(adapter, layers)))
    facts = {
        "format": FORMAT,
        "base_sha256": adapter.base_sha256,
        "model_sha256": adapter.model_sha256,
        "factors_sha256": digest_of(folder / FACTORS),
        "rank": adapter.rank,
        "alpha": adapter.alpha,
        "targets": layers,
    }
    write_atomically(folder / FACTS, _json(facts))


def read_adapter(folder: Path) -> Adapter:
    """Read what `write_adapter` wrote.

    Raises:
        ArtifactError: naming what is missing or not as it must be.
        DigestMismatchError: if the factors are not those that the facts name.
    """
    facts = read_json(folder / FACTS)
    try:
        if facts["format"] != FORMAT:
            raise ValueError(f"format: expected {FORMAT}, got {facts['format']!r}")
        layers = [mlx_name_of(f"{name}.weight").removesuffix(".weight") for name in facts["targets"]]
        names = {layer: _PEFT_PREFIX + _hf_layer(layer) for layer in layers}
        header = read_header(folder / FACTORS)
        if (actual := digest_of(folder / FACTORS)) != facts["factors_sha256"]:
            raise DigestMismatchError(FACTORS, expected=str(facts["factors_sha256"]), actual=actual)
        wanted = {name + end for name in names.values() for end in (_DOWN, _UP)}
        if header.keys() != wanted or any(entry.dtype != "F16" for entry in header.values()):
            raise ValueError(f"{FACTORS}: expected two float16 factors for each of {len(layers)} layers")
        tensors = {name: np.array(tensor) for name, tensor in read_tensors(folder / FACTORS).items()}
        factors = {layer: Factors(tensors[name + _DOWN], tensors[name + _UP]) for layer, name in names.items()}
        return Adapter(
            base_sha256=str(facts["base_sha256"]),
            model_sha256=str(facts["model_sha256"]),
            rank=int(facts["rank"]),
            alpha=float(facts["alpha"]),
            factors=factors,
        )
    except (KeyError, TypeError, ValueError) as error:
        raise ArtifactError(f"adapter {folder.name!r}: {error}") from error


def fuse_checkpoint(base: Path, adapter_folder: Path, out: Path) -> str:
    """Make the model folder `out` from its base and an adapter; gives the digest of its weights.

    The bytes are those that training wrote: the digest is checked before the folder appears.

    Raises:
        DigestMismatchError: if `base` is not the adapter's base, or something else comes out.
        ArtifactError: if either folder is not what it should be.
        StorageError: if `out` exists, or the disk refused.
    """
    adapter = read_adapter(adapter_folder)
    if (actual := digest_of(base / WEIGHTS)) != adapter.base_sha256:
        raise DigestMismatchError(WEIGHTS, expected=adapter.base_sha256, actual=actual)
    checkpoint = load_checkpoint(base)
    fused = fused_weights(model_tensors(checkpoint.model), adapter.factors, adapter.scale)
    checkpoint.model.update(tree_unflatten(list(fused.items())))
    with building_directory(out) as building:
        save_checkpoint(checkpoint, building)
        if (digest := digest_of(building / WEIGHTS)) != adapter.model_sha256:
            raise DigestMismatchError(WEIGHTS, expected=adapter.model_sha256, actual=digest)
    return digest


def _hf_layer(layer: str) -> str:
    return hf_name_of(f"{layer}.weight").removesuffix(".weight")


def _peft_config(adapter: Adapter, layers: list[str]) -> dict[str, Any]:
    return {
        "peft_type": "LORA",
        "r": adapter.rank,
        "lora_alpha": adapter.alpha,
        "lora_dropout": 0.0,
        "bias": "none",
        "target_modules": layers,
        "inference_mode": True,
    }


def _json(content: Mapping[str, Any]) -> bytes:
    return f"{json.dumps(content, indent=2, sort_keys=True)}\n".encode()
