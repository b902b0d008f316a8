"""What the files of short ways to a model have in common: a head of facts, then zstd frames, each of a known size.

    magic, length of the facts, facts (canonical JSON), then every frame behind its length

The facts come from whoever sent the file: they say what to expect, and the digest of what comes out decides.
"""

from __future__ import annotations

import json
import struct
from collections.abc import Mapping
from typing import IO, Any

import numpy as np
import numpy.typing as npt
import zstandard

from projectone.contracts.base import canonical_json
from projectone.errors import ArtifactError

Words = npt.NDArray[np.uint16]

HALF = np.dtype("<u2")
"""Bits of float16 as a file has them."""

_MAX_FACTS_BYTES = 4096
_LENGTH = struct.Struct("<I")
_LEVEL = 19


def write_head(stream: IO[bytes], magic: bytes, facts: Mapping[str, object]) -> None:
    """Begin a file."""
    written = canonical_json(dict(facts))
    stream.write(magic + _LENGTH.pack(len(written)) + written)


def read_head(stream: IO[bytes], magic: bytes, name: str, *, formats: frozenset[int]) -> dict[str, Any]:
    """The facts of a file; `format` is one of `formats`.

    Raises:
        ArtifactError: if it is no such file, or one of a later app.
    """
    if stream.read(len(magic)) != magic:
        raise ArtifactError(f"{name!r}: this is no {magic.decode().strip()} file")
    n_bytes = _read_length(stream, name)
    if n_bytes > _MAX_FACTS_BYTES:
        raise ArtifactError(f"{name!r}: expected {_MAX_FACTS_BYTES} bytes of facts at most, got {n_bytes}")
    try:
        raw: Any = json.loads(stream.read(n_bytes))
        if raw["format"] not in formats:
            raise ArtifactError(f"{name!r}: its format {raw['format']!r:.20} is none of this app; update the app first")
        return dict(raw)
    except (ValueError, TypeError, KeyError) as error:
        raise ArtifactError(f"{name!r}: its facts cannot be read: {error}") from error


def natural(value: object) -> int:
    """A whole number of at least nothing.

    Raises:
        ValueError: if it is something else.
    """
    if type(value) is not int or value < 0:
        raise ValueError(f"expected a whole number, got {value!r:.40}")
    return value


def compressor() -> zstandard.ZstdCompressor:
    """What frames are made with: made once and read by many."""
    return zstandard.ZstdCompressor(level=_LEVEL, write_content_size=True)


def write_frame(stream: IO[bytes], content: bytes, with_compressor: zstandard.ZstdCompressor) -> None:
    """Append a frame."""
    frame = with_compressor.compress(content)
    stream.write(_LENGTH.pack(len(frame)) + frame)


def read_frame(stream: IO[bytes], n_bytes: int, name: str) -> bytes:
    """The next frame, which holds `n_bytes`.

    Raises:
        ArtifactError: if it does not, or the file is cut off or damaged.
    """
    frame = stream.read(_read_length(stream, name))
    try:
        # Asked before a byte is unpacked: a frame of a few bytes can hold gigabytes.
        if zstandard.frame_content_size(frame) != n_bytes:
            raise ArtifactError(f"{name!r}: expected a block of {n_bytes} bytes")
        content = zstandard.ZstdDecompressor().decompress(frame, max_output_size=n_bytes)
    except zstandard.ZstdError as error:
        raise ArtifactError(f"{name!r}: a block cannot be unpacked: {error}") from error
    if len(content) != n_bytes:
        raise ArtifactError(f"{name!r}: expected a block of {n_bytes} bytes, got {len(content)}")
    return content


def split(words: Words) -> tuple[bytes, bytes]:
    """The low and the high bytes of words, each together: so they shrink."""
    return (words & 0xFF).astype(np.uint8).tobytes(), (words >> 8).astype(np.uint8).tobytes()


def joined(low: bytes, high: bytes) -> Words:
    """The inverse of `split`."""
    words = np.empty((len(low), 2), np.uint8)
    words[:, 0], words[:, 1] = np.frombuffer(low, np.uint8), np.frombuffer(high, np.uint8)
    return words.view(HALF)[:, 0]


def _read_length(stream: IO[bytes], name: str) -> int:
    packed = stream.read(_LENGTH.size)
    if len(packed) != _LENGTH.size:
        raise ArtifactError(f"{name!r}: it is cut off")
    return int(_LENGTH.unpack(packed)[0])
