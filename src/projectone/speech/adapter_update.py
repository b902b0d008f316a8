"""A low-rank fine-tune as a file of its factors alone: a device adds them to the base that it keeps, bit for bit.

    magic, length of the facts, facts (JSON), then three zstd frames: the names of the layers, and the low and the high
    bytes of all factors (float16), layer by layer, "A" before "B"

The file that comes out has the header and the order of the base's, every layer without factors is its bytes, and every
other one is summed as `projectone.speech.exact_merge` says.
"""

from __future__ import annotations

import hashlib
import json
import math
import mmap
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

import numpy as np
import numpy.typing as npt

from projectone.errors import ArtifactError, DigestMismatchError
from projectone.speech.exact_merge import Factors, fuse
from projectone.speech.tensor_file import TensorHeader, read_header
from projectone.speech.update_file import (
    HALF,
    compressor,
    joined,
    natural,
    read_frame,
    read_head,
    split,
    write_frame,
    write_head,
)
from projectone.storage.files import digest_of, staged_file

FORMAT = 1
MAGIC = b"P1ADAPT\n"
_MAX_NAMES_BYTES = 2**20
_BLOCK_BYTES = 2**20
_BLOCK = 2**19  # numbers that are summed at once: some 20 MB


@dataclass(frozen=True, kw_only=True)
class AdapterFacts:
    """What the file says about itself.

    Attributes:
        base_sha256: Of the weights that it is added to.
        sha256: Of the weights that come out.
        size_bytes: Of both files.
        rank: Of every pair of factors.
        scale_exponent: The product of two factors is multiplied by two to the power of this.
        names_bytes: Size of the list of layers.
    """

    base_sha256: str
    sha256: str
    size_bytes: int
    rank: int
    scale_exponent: int
    names_bytes: int


def write_adapter_update(base: Path, new: Path, factors: Mapping[str, Factors], scale: float, out: Path) -> None:
    """Write what makes `new` of `base`. Whether it does is seen by doing so: `apply_adapter_update` checks the digest.

    Args:
        base: Weights in safetensors, float16, as devices have them.
        new: Of the same size.
        factors: By the name that the file gives the layer's weight, such as ``model.decoder.layers.0.fc1.weight``.
        scale: A power of two.
        out: Appears whole or not at all.

    Raises:
        ArtifactError: if the factors do not fit the base.
        StorageError: if the disk refused.
    """
    names = sorted(factors)
    pairs = [factors[name] for name in names]
    if not pairs:
        raise ArtifactError(f"{new.name!r}: expected factors, got none")
    listed = json.dumps(names, separators=(",", ":")).encode()
    facts = AdapterFacts(
        base_sha256=digest_of(base),
        sha256=digest_of(new),
        size_bytes=new.stat().st_size,
        rank=pairs[0].down.shape[0],
        scale_exponent=math.frexp(scale)[1] - 1,
        names_bytes=len(listed),
    )
    _targets(read_header(base), names, out.name)
    numbers = np.concatenate([half.ravel() for pair in pairs for half in (pair.down, pair.up)])
    frames = compressor()
    with staged_file(out.parent) as staged:
        write_head(staged.stream, MAGIC, {"format": FORMAT, **vars(facts)})
        for content in (listed, *split(numbers.astype("<f2").view(HALF))):
            write_frame(staged.stream, content, frames)
        staged.commit(out)


def apply_adapter_update(base: Path, update: Path, out: Path) -> AdapterFacts:
    """Add an adapter to the base; nothing appears at `out` that is not exactly the weights it was made for.

    Raises:
        DigestMismatchError: if `base` is another file, or the result is not what the update promises.
        ArtifactError: if `update` is cut off, is none, or does not fit the base.
        StorageError: if the disk refused.
    """
    with update.open("rb") as stream:
        facts = _read_facts(stream, update.name)
        if (found := digest_of(base)) != facts.base_sha256:
            raise DigestMismatchError("the model to be updated", expected=facts.base_sha256, actual=found)
        header = read_header(base)
        factors = _read_factors(stream, facts, header, update.name)
        if stream.read(1):
            raise ArtifactError(f"{update.name!r}: something follows its end")
    digest = hashlib.sha256()
    with staged_file(out.parent) as staged:
        for piece in _pieces(base, header, factors, 2.0**facts.scale_exponent):
            digest.update(piece)
            staged.stream.write(piece)
        if digest.hexdigest() != facts.sha256:
            raise DigestMismatchError("the updated model", expected=facts.sha256, actual=digest.hexdigest())
        staged.commit(out)
    return facts


def _pieces(
    base: Path, header: Mapping[str, TensorHeader], factors: Mapping[str, Factors], scale: float
) -> Iterator[bytes]:
    """The bytes of the new file, in their order, a few megabytes at a time."""
    with base.open("rb") as stream, mmap.mmap(stream.fileno(), 0, access=mmap.ACCESS_READ) as mapped:
        start = 8 + int.from_bytes(mapped[:8], "little")
        yield mapped[:start]
        for name, entry in sorted(header.items(), key=lambda item: item[1].start):
            if name in factors:
                yield from _summed(mapped, start, entry, factors[name], scale, name)
                continue
            for first in range(start + entry.start, start + entry.end, _BLOCK_BYTES):
                yield mapped[first : min(first + _BLOCK_BYTES, start + entry.end)]


def _summed(
    mapped: mmap.mmap, start: int, entry: TensorHeader, pair: Factors, scale: float, name: str
) -> Iterator[bytes]:
    n_out, n_in = entry.shape
    n_rows = max(1, _BLOCK // n_in)
    for row in range(0, n_out, n_rows):
        up = pair.up[row : row + n_rows]
        first = start + entry.start + row * n_in * HALF.itemsize
        block = mapped[first : first + up.shape[0] * n_in * HALF.itemsize]
        weight = np.frombuffer(block, "<f2").reshape(up.shape[0], n_in)
        try:
            yield fuse(weight, Factors(pair.down, up), scale).astype("<f2").tobytes()
        except ValueError as error:
            raise ArtifactError(f"adapter: {name!r}: {error}") from error


def _read_factors(
    stream: BinaryIO, facts: AdapterFacts, header: Mapping[str, TensorHeader], name: str
) -> dict[str, Factors]:
    try:
        names = json.loads(read_frame(stream, facts.names_bytes, name))
    except ValueError as error:
        raise ArtifactError(f"{name!r}: its list of layers cannot be read: {error}") from error
    if not isinstance(names, list) or not all(isinstance(layer, str) for layer in names):
        raise ArtifactError(f"{name!r}: expected a list of layers")
    shapes = [(layer, entry.shape[0], entry.shape[1]) for layer, entry in _targets(header, names, name)]
    if not shapes or facts.rank > min(min(n_out, n_in) for _, n_out, n_in in shapes):
        raise ArtifactError(f"{name!r}: expected layers and a rank that is not above theirs, got {facts.rank}")
    n_numbers = sum(facts.rank * (n_out + n_in) for _, n_out, n_in in shapes)
    low, high = (read_frame(stream, n_numbers, name) for _ in range(2))
    numbers: npt.NDArray[np.float16] = joined(low, high).view("<f2").astype(np.float16)
    factors: dict[str, Factors] = {}
    position = 0
    for layer, n_out, n_in in shapes:
        middle, end = position + facts.rank * n_in, position + facts.rank * (n_in + n_out)
        down, up = numbers[position:middle], numbers[middle:end]
        try:
            factors[layer] = Factors(down.reshape(facts.rank, n_in), up.reshape(n_out, facts.rank))
        except ValueError as error:
            raise ArtifactError(f"{name!r}: {layer!r}: {error}") from error
        position = end
    return factors


def _targets(header: Mapping[str, TensorHeader], names: list[str], file: str) -> list[tuple[str, TensorHeader]]:
    """The layers that are changed, in their order; each is a float16 matrix of the base, and named once."""
    targets = [(name, header[name]) for name in dict.fromkeys(names) if name in header]
    if len(targets) != len(names) or any(len(entry.shape) != 2 or entry.dtype != "F16" for _, entry in targets):
        raise ArtifactError(f"{file!r}: its layers are not matrices of float16 in the base")
    return targets


def _read_facts(stream: BinaryIO, name: str) -> AdapterFacts:
    raw = read_head(stream, MAGIC, name, formats=frozenset({FORMAT}))
    del raw["format"]
    try:
        facts = AdapterFacts(**raw)
        sizes = natural(facts.size_bytes), natural(facts.rank), natural(facts.names_bytes)
        if sizes[1] < 1 or sizes[2] > _MAX_NAMES_BYTES or type(facts.scale_exponent) is not int:
            raise ValueError(f"rank {facts.rank!r}, scale {facts.scale_exponent!r:.20}, names {facts.names_bytes}")
        if not -8 <= facts.scale_exponent <= 8:
            raise ValueError(f"expected a scale from 2**-8 to 2**8, got 2**{facts.scale_exponent}")
    except (TypeError, ValueError) as error:
        raise ArtifactError(f"{name!r}: its facts cannot be read: {error}") from error
    return facts
