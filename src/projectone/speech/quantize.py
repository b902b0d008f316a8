"""Weights in eight or four bits, in groups along each row and packed as mlx keeps them: for each device tier.

A matrix ``X.weight`` becomes three tensors: ``X.weight`` with four or eight numbers in each 32-bit word, and a scale
and an offset for each group, ``X.scales`` and ``X.biases`` in float16: what `nn.quantize` makes and reads. Matrices and
the token table are packed; norms, biases, convolutions and positions are not.

Source: `quantize` in mlx/python/mlx/nn/layers/quantized.py and `mx.quantize`, release 0.32.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal, cast

import mlx.core as mx

from projectone.errors import ArtifactError
from projectone.speech.names import mlx_name_of

Bits = Literal[8, 4]
CONFIG_KEY = "quantization"
SCALES, BIASES = ".scales", ".biases"
_WORD_BITS = 32


@dataclass(frozen=True)
class Packing:
    """How matrices are packed.

    Attributes:
        bits: Of one number.
        group_size: Numbers that share a scale, side by side in a row.
    """

    bits: Bits
    group_size: Literal[32, 64, 128] = 64

    def to_json(self) -> dict[str, int]:
        """What `config.json` says of it, in mlx's words."""
        return {"bits": self.bits, "group_size": self.group_size}


def packing_from_config(config: Mapping[str, Any]) -> Packing | None:
    """What `config.json` says of the packing; None if the weights lie there plainly.

    Raises:
        ArtifactError: if it is none that is read here.
    """
    raw = config.get(CONFIG_KEY)
    if raw is None:
        return None
    bits, group_size = (raw.get(key) if isinstance(raw, dict) else None for key in ("bits", "group_size"))
    if bits not in (8, 4) or group_size not in (32, 64, 128) or not raw.keys() <= {"bits", "group_size", "mode"}:
        raise ArtifactError(f"config.json: {CONFIG_KEY}: expected 8 or 4 bits in groups of 32, 64 or 128, got {raw!r}")
    if raw.get("mode", "affine") != "affine":
        raise ArtifactError(f"config.json: {CONFIG_KEY}: expected the mode 'affine', got {raw['mode']!r}")
    return Packing(cast(Bits, bits), cast(Literal[32, 64, 128], group_size))


def packed(tensors: Mapping[str, mx.array], packing: Packing) -> dict[str, mx.array]:
    """A model's tensors (by our names) with its matrices packed; what is not packed comes in float16."""
    made: dict[str, mx.array] = {}
    for name, tensor in tensors.items():
        half = tensor.astype(mx.float16)
        if not _is_packable(name, tuple(tensor.shape), packing):
            made[name] = half
            continue
        stem = name.removesuffix(".weight")
        # On the CPU everywhere: the same model gives the same bytes.
        words, scales, biases = mx.quantize(half, **packing.to_json(), stream=mx.cpu)
        made |= {name: words, f"{stem}{SCALES}": scales, f"{stem}{BIASES}": biases}
    return made


def packed_shapes(
    shapes: Mapping[str, tuple[int, ...]], packing: Packing
) -> tuple[dict[str, tuple[int, ...]], frozenset[str]]:
    """What a packed file must hold, and which of its tensors are words of 32 bits.

    Args:
        shapes: Of the plain tensors, by Hugging Face name.
        packing: How the file says that it is packed.
    """
    expected, words = dict(shapes), set()
    for name, shape in shapes.items():
        if _is_packable(mlx_name_of(name), shape, packing):
            rows, columns = shape
            stem = name.removesuffix(".weight")
            expected[name] = (rows, columns * packing.bits // _WORD_BITS)
            expected[f"{stem}{SCALES}"] = expected[f"{stem}{BIASES}"] = (rows, columns // packing.group_size)
            words.add(name)
    return expected, frozenset(words)


def unpacked(tensors: dict[str, mx.array], packing: Packing) -> dict[str, mx.array]:
    """The numbers that a packed file stands for, in float32, by the same names; `tensors` is used up."""
    plain: dict[str, mx.array] = {}
    for name in [name for name in tensors if not name.endswith((SCALES, BIASES))]:
        tensor, stem = tensors.pop(name), name.removesuffix(".weight")
        scales, biases = tensors.pop(f"{stem}{SCALES}", None), tensors.pop(f"{stem}{BIASES}", None)
        if scales is not None and biases is not None:
            wide = (part.astype(mx.float32) for part in (scales, biases))
            tensor = mx.dequantize(tensor, *wide, **packing.to_json(), stream=mx.cpu)
        plain[name] = tensor
    return plain


def _is_packable(name: str, shape: tuple[int, ...], packing: Packing) -> bool:
    """Whether mlx packs this one: a matrix of a layer or a table (positions have no `.weight`), in whole groups."""
    return name.endswith(".weight") and len(shape) == 2 and shape[1] % packing.group_size == 0
