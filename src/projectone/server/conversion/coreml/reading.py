"""A saved package as a plain graph: what the files say, whoever wrote them."""

from __future__ import annotations

import struct
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from projectone.errors import ConversionError
from projectone.server.conversion.coreml.contract import Dtype, ModelContract, TensorContract
from projectone.server.conversion.coreml.library import DecodeError, Proto, coremltools
from projectone.server.conversion.coreml.saving import WEIGHTS

Array = npt.NDArray[Any]
# Core ML's numbers for the types of tensors; four bits and fewer are packed and have no numpy type.
_DTYPES = {
    10: "float16",
    11: "float32",
    21: "int8",
    22: "int16",
    23: "int32",
    31: "uint8",
    32: "uint16",
    33: "uint32",
    1: "bool",
}
_FEATURES: dict[int, Dtype] = {65552: "float16", 65568: "float32", 65600: "float64", 131104: "int32"}
_BLOB = struct.Struct("<IIQQ")  # sentinel, type, bytes, offset of the data
_SENTINEL = 0xDEADBEEF


@dataclass(frozen=True)
class Operation:
    """One operation: its kind, the names of its inputs (or a list of them) and outputs, and its stored values."""

    kind: str
    inputs: Mapping[str, str | tuple[str, ...]]
    outputs: tuple[str, ...]
    values: Mapping[str, Array | str]


@dataclass(frozen=True)
class Graph:
    """A model as its files have it.

    Attributes:
        contract: The tensors that its description promises.
        operations: In their order; constants are among them, under `values["val"]`.
        outputs: Names of the values that it returns.
    """

    contract: ModelContract
    operations: tuple[Operation, ...]
    outputs: tuple[str, ...]


def read_package(path: Path) -> Graph:
    """Read a package from disk.

    Raises:
        ConversionError: if a file is missing, or holds what no package of ours does.
    """
    try:
        specification = coremltools.utils.load_spec(str(path))
        blob = (path / WEIGHTS).read_bytes()
        (function,) = specification.mlProgram.functions.values()
        (block,) = function.block_specializations.values()
        operations = tuple(_operation(found, blob) for found in block.operations)
    except (OSError, ValueError, KeyError, RuntimeError, DecodeError, struct.error) as error:
        raise ConversionError(f"{path.name}: cannot be read as a Core ML package: {error}") from error
    description = specification.description
    contract = ModelContract(
        tuple(_tensor(feature) for feature in description.input),
        tuple(_tensor(feature) for feature in description.output),
    )
    return Graph(contract, operations, tuple(block.outputs))


def _tensor(feature: Proto) -> TensorContract:
    array = feature.type.multiArrayType
    return TensorContract(feature.name, tuple(array.shape), _FEATURES[array.dataType])


def _operation(found: Proto, blob: bytes) -> Operation:
    inputs: dict[str, str | tuple[str, ...]] = {}
    values: dict[str, Array | str] = {}
    for name, argument in found.inputs.items():
        bound = [item.name for item in argument.arguments if item.WhichOneof("binding") == "name"]
        if len(bound) != len(argument.arguments):
            raise ValueError(f"{found.type}: {name} is given in place, expected a name")
        inputs[name] = bound[0] if len(bound) == 1 and name != "values" else tuple(bound)
    for name, value in found.attributes.items():
        if name != "name":
            values[name] = _value(value, blob)
    return Operation(found.type, inputs, tuple(output.name for output in found.outputs), values)


def _value(value: Proto, blob: bytes) -> Array | str:
    kind = value.type.tensorType
    shape = tuple(dimension.constant.size for dimension in kind.dimensions)
    if value.WhichOneof("value") == "blobFileValue":
        return _from_blob(blob, value.blobFileValue.offset, shape)
    tensor = value.immediateValue.tensor
    which = tensor.WhichOneof("value")
    if which == "strings":
        return str(tensor.strings.values[0])
    dtype = _DTYPES[kind.dataType]
    if which == "bytes":
        return np.frombuffer(tensor.bytes.values, dtype).reshape(shape)
    return np.array(getattr(tensor, which).values, dtype).reshape(shape)


def _from_blob(blob: bytes, offset: int, shape: tuple[int, ...]) -> Array:
    sentinel, kind, n_bytes, start = _BLOB.unpack_from(blob, offset)
    dtype = {1: "float16", 2: "float32", 3: "uint8", 4: "int8"}[kind]
    if sentinel != _SENTINEL or start + n_bytes > len(blob):
        raise ValueError(f"weight.bin: no tensor at {offset}")
    return np.frombuffer(blob, dtype, count=n_bytes // np.dtype(dtype).itemsize, offset=start).reshape(shape)
