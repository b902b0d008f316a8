"""The few messages of ONNX that a graph is made of, as bytes.

The onnx library copies every weight four times on its way into such bytes, and takes longer to import than onnxruntime.

Source: onnx.proto3 of the ONNX standard, and the encoding of protocol buffers.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np

Array = np.ndarray[Any, Any]
Attribute = int | float | Sequence[int]
# Pieces of a message that follow each other: a large weight is copied once, where the whole is put together.
Pieces = list[bytes | memoryview]

FLOAT, UNSIGNED, _SIGNED, _LONG = 1, 2, 3, 7
_TYPES = {"float32": FLOAT, "uint8": UNSIGNED, "int8": _SIGNED, "int64": _LONG}
_IS_FLOAT, _IS_INT, _IS_INTS = 1, 2, 7
# How a field is written: a whole number of any size, a length and so many bytes, four bytes.
_VARINT, _BYTES, _FOUR = 0, 2, 5


def model(graph: Pieces, *, ir_version: int, opsets: Mapping[str, int]) -> bytes:
    """A whole model.

    Args:
        graph: As `graph` gives it.
        ir_version: Of the format.
        opsets: Versions of the operations by their domain.
    """
    used = [_text(1, domain) + _number(2, version) for domain, version in opsets.items()]
    whole = [_number(1, ir_version), _all(8, used), _head(7, sum(map(len, graph))), *graph]
    return b"".join(whole)


def graph(
    nodes: Iterable[bytes], constants: Iterable[Pieces], inputs: Iterable[bytes], outputs: Iterable[bytes]
) -> Pieces:
    """Operations in their order, with what they need and give."""
    held: Pieces = [_all(1, nodes), _text(2, "graph"), _all(11, inputs), _all(12, outputs)]
    for pieces in constants:
        held += [_head(5, sum(map(len, pieces))), *pieces]
    return held


def node(operation: str, inputs: Iterable[str], output: str, domain: str, attributes: Mapping[str, Attribute]) -> bytes:
    """One operation."""
    named = [_text(1, name) for name in inputs]
    given = [_attribute(name, value) for name, value in attributes.items()]
    return b"".join([*named, _text(2, output), _text(4, operation), _all(5, given), _text(7, domain)])


def tensor(name: str, value: Array | np.generic) -> Pieces:
    """A constant.

    Raises:
        KeyError: if its numbers are of a type that is not used here.
    """
    about = b"".join(_number(1, size) for size in value.shape) + _number(2, _TYPES[value.dtype.name]) + _text(8, name)
    # Little-endian, as the standard wants it and as the processors that onnxruntime is made for have it.
    raw = np.ascontiguousarray(value).reshape(-1).view(np.uint8).data
    return [about, _head(9, len(raw)), raw]


def floats(name: str, shape: Sequence[int | str] | None) -> bytes:
    """An input or output of float32; sizes that vary are words."""
    kind = _number(1, FLOAT)
    if shape is not None:
        sizes = [_text(2, size) if isinstance(size, str) else _number(1, size) for size in shape]
        kind += _message(2, _all(1, sizes))
    return _text(1, name) + _message(2, _message(1, kind))


def _attribute(name: str, value: Attribute) -> bytes:
    if isinstance(value, float):
        held = _key(2, _FOUR) + struct.pack("<f", value) + _number(20, _IS_FLOAT)
    elif isinstance(value, int):
        held = _number(3, value) + _number(20, _IS_INT)
    else:
        held = b"".join(_number(8, one) for one in value) + _number(20, _IS_INTS)
    return _text(1, name) + held


def _all(field: int, messages: Iterable[bytes]) -> bytes:
    return b"".join(part for message in messages for part in (_head(field, len(message)), message))


def _message(field: int, content: bytes) -> bytes:
    return _head(field, len(content)) + content


def _text(field: int, text: str) -> bytes:
    return _message(field, text.encode())


def _number(field: int, value: int) -> bytes:
    return _key(field, _VARINT) + _varint(value)


def _head(field: int, n_bytes: int) -> bytes:
    return _key(field, _BYTES) + _varint(n_bytes)


def _key(field: int, wire: int) -> bytes:
    return _varint(field << 3 | wire)


def _varint(value: int) -> bytes:
    left = value & 0xFFFF_FFFF_FFFF_FFFF  # negative numbers are written in 64 bits
    digits = bytearray()
    while left > 0x7F:
        digits.append(left & 0x7F | 0x80)
        left >>= 7
    digits.append(left)
    return bytes(digits)
