"""The safetensors format: the header is read and judged before a byte of data is touched."""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from math import prod
from pathlib import Path
from typing import Any, Literal

import mlx.core as mx
import numpy as np
from safetensors.numpy import save

from projectone.errors import ArtifactError
from projectone.storage.files import write_atomically

StoredDtype = Literal["float32", "float16"]

MAX_HEADER_BYTES = 16 * 2**20  # large-v3 has 1,259 tensors and needs 150 kB
_ITEM_BYTES = {"F32": 4, "F16": 2, "BF16": 2, "U32": 4}
_WORDS = "U32"  # packed numbers of fewer bits
# The bits as whole numbers, those without the sign, and where infinity begins among them.
_INFINITE = {
    mx.float16: (mx.uint16, 0x7FFF, 0x7C00),
    mx.bfloat16: (mx.uint16, 0x7FFF, 0x7F80),
    mx.float32: (mx.uint32, 0x7FFF_FFFF, 0x7F80_0000),
}
_AT_ONCE = 2**16  # numbers: they stay in the processor's cache


@dataclass(frozen=True)
class TensorHeader:
    """What the header says of one tensor."""

    dtype: str
    shape: tuple[int, ...]
    start: int
    end: int


def read_header(path: Path) -> dict[str, TensorHeader]:
    """The header of a safetensors file: each tensor's dtype, shape and place, checked against the file's size.

    Raises:
        ArtifactError: naming the tensor, if the header is not one, or a tensor overlaps another, leaves a gap, runs
            past the end, or has a dtype other than F32, F16, BF16 and U32.
    """
    try:
        size = path.stat().st_size
        with path.open("rb") as stream:
            n_header = int.from_bytes(stream.read(8), "little")
            if not 2 <= n_header <= min(MAX_HEADER_BYTES, size - 8):
                raise ArtifactError(
                    f"{path.name!r}: not a safetensors file, or its header is cut off ({n_header} bytes)"
                )
            raw = json.loads(stream.read(n_header))
    except OSError as error:
        raise ArtifactError(f"{path.name!r} cannot be read: {error}") from error
    except ValueError as error:
        raise ArtifactError(f"{path.name!r}: the safetensors header is not JSON: {error}") from error
    if not isinstance(raw, dict):
        raise ArtifactError(f"{path.name!r}: the safetensors header is not a JSON object")
    raw.pop("__metadata__", None)
    headers = {name: _tensor_header(name, entry) for name, entry in raw.items()}
    _check_places(path.name, headers, size - 8 - n_header)
    return headers


def check_shapes(
    name: str,
    found: Mapping[str, TensorHeader],
    expected: Mapping[str, tuple[int, ...]],
    *,
    words: Collection[str] = (),
) -> None:
    """Refuse a file whose tensors are not exactly the expected ones.

    Args:
        name: Of the file.
        found: Its header.
        expected: Shapes.
        words: Tensors that hold packed numbers (U32); all others hold plain ones.

    Raises:
        ArtifactError: naming the first tensors that are missing, unknown, or of another shape or kind.
    """
    missing, unknown = sorted(expected.keys() - found.keys()), sorted(found.keys() - expected.keys())
    if missing:
        raise ArtifactError(f"{name!r}: {len(missing)} tensors are missing: {', '.join(missing[:3])}")
    if unknown:
        raise ArtifactError(f"{name!r}: {len(unknown)} tensors are unknown: {', '.join(unknown[:3])}")
    for tensor, shape in expected.items():
        if found[tensor].shape != shape:
            raise ArtifactError(f"{name!r}: tensor {tensor!r}: expected shape {shape}, got {found[tensor].shape}")
        if (found[tensor].dtype == _WORDS) != (tensor in words):
            kind = "packed" if tensor in words else "plain"
            raise ArtifactError(f"{name!r}: tensor {tensor!r}: expected {kind} numbers, got {found[tensor].dtype}")


def read_tensors(path: Path) -> dict[str, mx.array]:
    """All tensors of a file whose header was checked; every number is finite.

    Raises:
        ArtifactError: naming the tensor that holds a NaN or an infinity.
    """
    try:
        tensors = dict(mx.load(str(path), format="safetensors").items())
    except (RuntimeError, ValueError) as error:
        raise ArtifactError(f"{path.name!r}: the tensors cannot be read: {error}") from error
    for name, tensor in tensors.items():
        if not is_finite(tensor):
            raise ArtifactError(f"{path.name!r}: tensor {name!r} holds numbers that are not finite")
    return tensors


def is_finite(tensor: mx.array) -> bool:
    """Whether no number is a NaN or an infinity, by its bits: on a CPU thirty times as fast as `mx.isfinite`."""
    if tensor.dtype not in _INFINITE:
        return True  # whole numbers
    words, without_sign, infinite = _INFINITE[tensor.dtype]
    bits = np.array(tensor.view(words), copy=False).reshape(-1)
    blocks = (bits[first : first + _AT_ONCE] for first in range(0, bits.size, _AT_ONCE))
    return all(int((block & without_sign).max()) < infinite for block in blocks)


def write_tensors(path: Path, tensors: Mapping[str, mx.array], *, dtype: StoredDtype) -> None:
    """Write tensors so that equal tensors give equal bytes.

    Raises:
        ArtifactError: naming the tensor that is not finite, or that float16 cannot hold.
    """
    # transformers refuses a file without this entry.
    write_atomically(path, save(stored_arrays(tensors, dtype=dtype), metadata={"format": "pt"}))


def stored_arrays(tensors: Mapping[str, mx.array], *, dtype: StoredDtype) -> dict[str, np.ndarray[Any, Any]]:
    """Tensors as they will lie in a file.

    Raises:
        ArtifactError: naming the tensor that is not finite, or that float16 cannot hold.
    """
    target = mx.float16 if dtype == "float16" else mx.float32
    arrays: dict[str, np.ndarray[Any, Any]] = {}
    for name, tensor in tensors.items():
        stored = tensor if tensor.dtype == mx.uint32 else tensor.astype(target)
        if not is_finite(stored):
            raise ArtifactError(f"tensor {name!r} holds numbers that {dtype} cannot hold; nothing was written")
        # The writer takes the buffer as it lies and ignores strides.
        arrays[name] = np.ascontiguousarray(np.array(stored))
    return arrays


def _tensor_header(name: str, entry: Any) -> TensorHeader:  # noqa: ANN401 - anything may be in a stranger's JSON
    try:
        shape, (start, end), dtype = entry["shape"], entry["data_offsets"], entry["dtype"]
    except (KeyError, TypeError, ValueError) as error:
        raise ArtifactError(f"tensor {name!r}: the header entry is not one: {entry!r:.80}") from error
    numbers = [*shape, start, end] if isinstance(shape, list) else [None]
    if not all(isinstance(n, int) and not isinstance(n, bool) and n >= 0 for n in numbers):
        raise ArtifactError(f"tensor {name!r}: shape and offsets must be natural numbers, got {entry!r:.80}")
    if dtype not in _ITEM_BYTES:
        raise ArtifactError(f"tensor {name!r}: expected dtype F32, F16, BF16 or U32, got {dtype!r:.20}")
    if end - start != prod(shape) * _ITEM_BYTES[dtype]:
        raise ArtifactError(f"tensor {name!r}: {end - start} bytes do not fit shape {tuple(shape)} of {dtype}")
    return TensorHeader(dtype=dtype, shape=tuple(shape), start=start, end=end)


def _check_places(file_name: str, headers: Mapping[str, TensorHeader], n_data: int) -> None:
    """The tensors fill the data part without gap or overlap."""
    position = 0
    for name, header in sorted(headers.items(), key=lambda item: (item[1].start, item[1].end)):
        if header.start != position:
            raise ArtifactError(f"{file_name!r}: tensor {name!r} begins at {header.start}, expected {position}")
        position = header.end
    if position != n_data:
        raise ArtifactError(f"{file_name!r}: the tensors need {position} bytes, the file holds {n_data}")
