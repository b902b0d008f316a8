"""A fine-tune as the difference from its base: a file that a device adds to the weights it has, bit for bit.

Tools that compare bytes gain nothing here: a fine-tune changes a little in nearly every number. So the difference is
taken in the numbers' own order. Each float16 becomes a whole number such that neighbours differ by one; new minus base
is then small, and small numbers with many zeros compress. Numbers whose base has the same exponent lie together, since
they change by as many steps; the device knows the base, so nothing need be said about that order.

    magic, length of the facts, facts (JSON), then for every block of a million numbers the low and the high bytes of
    its differences, each as one zstd frame behind its length
"""

from __future__ import annotations

import hashlib
import json
import mmap
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
import numpy.typing as npt
import zstandard

from projectone.contracts.base import canonical_json
from projectone.errors import ArtifactError, DigestMismatchError
from projectone.speech.tensor_file import read_header
from projectone.storage.files import digest_of, staged_file

FORMAT = 1
_MAGIC = b"P1DELTA\n"
_MAX_FACTS_BYTES = 4096
_BLOCK = 2**20  # numbers: what bounds the memory, two dozen MB
_LENGTH = struct.Struct("<I")
_LEVEL = 19
_HALF = np.dtype("<u2")

Words = npt.NDArray[np.uint16]


@dataclass(frozen=True, kw_only=True)
class DeltaFacts:
    """What a difference says about itself.

    Attributes:
        base_sha256: Of the file that it is added to.
        sha256: Of the file that comes out.
        size_bytes: Of that file.
        header_bytes: How many bytes of both files come before the numbers; they are the base's.
    """

    base_sha256: str
    sha256: str
    size_bytes: int
    header_bytes: int


def write_delta(base: Path, new: Path, out: Path) -> DeltaFacts:
    """Write what turns `base` into `new`, and prove it by doing so.

    Args:
        base: Weights in safetensors, float16.
        new: Of the same tensors in the same order.
        out: Appears whole or not at all.

    Raises:
        ArtifactError: if the two have other tensors or types: such a release is downloaded whole.
        StorageError: if the disk refused.
    """
    header_bytes = _shared_header(base, new)
    facts = DeltaFacts(
        base_sha256=digest_of(base),
        sha256=digest_of(new),
        size_bytes=new.stat().st_size,
        header_bytes=header_bytes,
    )
    compressor = zstandard.ZstdCompressor(level=_LEVEL, write_content_size=True)
    with staged_file(out.parent) as staged:
        written = canonical_json({"format": FORMAT, **vars(facts)})
        staged.stream.write(_MAGIC + _LENGTH.pack(len(written)) + written)
        for old_words, new_words in zip(_blocks(base, header_bytes), _blocks(new, header_bytes), strict=True):
            for plane in _planes(old_words, new_words):
                frame = compressor.compress(plane)
                staged.stream.write(_LENGTH.pack(len(frame)) + frame)
        staged.commit(out)
    return facts


def read_facts(delta: Path) -> DeltaFacts:
    """What a difference says about itself.

    Raises:
        ArtifactError: if it is not one.
    """
    with delta.open("rb") as stream:
        return _read_facts(stream, delta.name)


def apply_delta(base: Path, delta: Path, out: Path) -> DeltaFacts:
    """Rebuild the weights that `delta` was made for; nothing appears at `out` that is not exactly these.

    Raises:
        DigestMismatchError: if `base` is another file than the difference was taken from, or the result is not what it
            promises.
        ArtifactError: if `delta` is cut off or is none.
        StorageError: if the disk refused.
    """
    with delta.open("rb") as stream:
        facts = _read_facts(stream, delta.name)
        if (found := digest_of(base)) != facts.base_sha256:
            raise DigestMismatchError("the model to be updated", expected=facts.base_sha256, actual=found)
        if base.stat().st_size != facts.size_bytes or not 0 <= facts.header_bytes <= facts.size_bytes:
            raise ArtifactError(f"{delta.name!r}: it speaks of {facts.size_bytes} bytes, its base has another size")
        digest = hashlib.sha256()
        with staged_file(out.parent) as staged:
            with base.open("rb") as source:
                head = source.read(facts.header_bytes)
            digest.update(head)
            staged.stream.write(head)
            for words in _blocks(base, facts.header_bytes):
                low, high = (_read_plane(stream, words.size, delta.name) for _ in range(2))
                rebuilt = _added(words, low, high).tobytes()
                digest.update(rebuilt)
                staged.stream.write(rebuilt)
            if stream.read(1):
                raise ArtifactError(f"{delta.name!r}: something follows its end")
            if digest.hexdigest() != facts.sha256:
                raise DigestMismatchError("the updated model", expected=facts.sha256, actual=digest.hexdigest())
            staged.commit(out)
    return facts


def _shared_header(base: Path, new: Path) -> int:
    headers = [read_header(path) for path in (base, new)]
    if headers[0] != headers[1]:
        raise ArtifactError(f"{new.name!r}: its tensors are not those of {base.name!r}; it has to be downloaded whole")
    if odd := {entry.dtype for entry in headers[0].values()} - {"F16"}:
        raise ArtifactError(f"{base.name!r}: differences are taken of float16, got {', '.join(sorted(odd))}")
    heads = []
    for path in (base, new):
        with path.open("rb") as stream:
            length = stream.read(8)
            heads.append(length + stream.read(int.from_bytes(length, "little")))
    if heads[0] != heads[1]:
        raise ArtifactError(f"{new.name!r}: its header is written in another way than that of {base.name!r}")
    return len(heads[0])


def _blocks(path: Path, start: int) -> Iterator[Words]:
    """The numbers behind the header, some million at a time, as the file has them."""
    with path.open("rb") as stream, mmap.mmap(stream.fileno(), 0, access=mmap.ACCESS_READ) as mapped:
        for first in range(start, len(mapped), _BLOCK * 2):
            yield np.frombuffer(mapped[first : first + _BLOCK * 2], _HALF)


def _ordered(words: Words) -> Words:
    """Bits of float16 to whole numbers in the order of the numbers; -0 comes just before +0."""
    return np.where(words & 0x8000, 0x7FFF - (words & 0x7FFF), words + np.uint16(0x8000)).astype(np.uint16)


def _unordered(places: Words) -> Words:
    return np.where(places & 0x8000, places - np.uint16(0x8000), 0xFFFF - places).astype(np.uint16)


def _by_exponent(words: Words) -> npt.NDArray[np.intp]:
    """The order in which the numbers of a block lie in the difference."""
    return np.argsort(((words >> 10) & 0x1F).astype(np.uint8), kind="stable")


def _planes(old: Words, new: Words) -> tuple[bytes, bytes]:
    steps = (_ordered(new) - _ordered(old)).view(np.int16)[_by_exponent(old)]
    folded = ((steps << 1) ^ (steps >> 15)).view(np.uint16)  # 0, -1, 1, -2, 2 become 0, 1, 2, 3, 4
    return (folded & 0xFF).astype(np.uint8).tobytes(), (folded >> 8).astype(np.uint8).tobytes()


def _added(old: Words, low: bytes, high: bytes) -> Words:
    folded = np.frombuffer(low, np.uint8) | np.frombuffer(high, np.uint8).astype(np.uint16) << np.uint16(8)
    steps = (folded >> 1) ^ (0 - (folded & 1)).astype(np.uint16)
    places = np.empty_like(steps)
    places[_by_exponent(old)] = steps
    return _unordered(_ordered(old) + places)


def _read_facts(stream: BinaryIO, name: str) -> DeltaFacts:
    if stream.read(len(_MAGIC)) != _MAGIC:
        raise ArtifactError(f"{name!r}: this is no difference of weights")
    n_bytes = _read_length(stream, name)
    if n_bytes > _MAX_FACTS_BYTES:
        raise ArtifactError(f"{name!r}: expected {_MAX_FACTS_BYTES} bytes of facts at most, got {n_bytes}")
    try:
        raw: Any = json.loads(stream.read(n_bytes))
        if raw.pop("format") != FORMAT:
            raise ArtifactError(f"{name!r}: it is of another format than {FORMAT}; update the app first")
        facts = DeltaFacts(**raw)
        whole = facts.size_bytes, facts.header_bytes
        if not all(type(value) is int and value >= 0 for value in whole):
            raise ValueError("sizes must be whole numbers")
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        raise ArtifactError(f"{name!r}: its facts cannot be read: {error}") from error
    return facts


def _read_plane(stream: BinaryIO, n_bytes: int, name: str) -> bytes:
    frame = stream.read(_read_length(stream, name))
    try:
        # Asked before a byte is unpacked: a frame of a few bytes can hold gigabytes.
        if zstandard.frame_content_size(frame) != n_bytes:
            raise ArtifactError(f"{name!r}: expected a block of {n_bytes} numbers")
        plane = zstandard.ZstdDecompressor().decompress(frame, max_output_size=n_bytes)
    except zstandard.ZstdError as error:
        raise ArtifactError(f"{name!r}: a block cannot be unpacked: {error}") from error
    if len(plane) != n_bytes:
        raise ArtifactError(f"{name!r}: expected a block of {n_bytes} numbers, got {len(plane)}")
    return plane


def _read_length(stream: BinaryIO, name: str) -> int:
    packed = stream.read(_LENGTH.size)
    if len(packed) != _LENGTH.size:
        raise ArtifactError(f"{name!r}: it is cut off")
    return int(_LENGTH.unpack(packed)[0])
