"""A fine-tune as the difference from its base: a file that a device adds to the weights it has, bit for bit.

Tools that compare bytes gain nothing here: a fine-tune changes a little in nearly every number. So the difference is
taken between numbers, in one of two ways:

- Of weights whose changes are multiples of one step (`projectone.speech.weight_grid`): the multiples.
- Of any others: each float16 becomes a whole number such that neighbours differ by one; new minus base is then small,
  and small numbers with many zeros compress. Numbers whose base has the same exponent lie together, since they change
  by as many steps; the device knows the base, so nothing need be said about that order.

    magic, length of the facts, facts (JSON), then for every block of a million numbers the low and the high bytes of
    its differences, each as one zstd frame behind its length
"""

from __future__ import annotations

import hashlib
import mmap
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

import numpy as np
import numpy.typing as npt

from projectone.errors import ArtifactError, DigestMismatchError
from projectone.speech.tensor_file import read_header
from projectone.speech.update_file import (
    HALF,
    Words,
    compressor,
    joined,
    natural,
    read_frame,
    read_head,
    split,
    write_frame,
    write_head,
)
from projectone.speech.weight_grid import added, entropy_share, find_units, is_on_grid, steps_between, stride_of
from projectone.storage.files import digest_of, staged_file

FORMAT = 1
GRID_FORMAT = 2
MAGIC = b"P1DELTA\n"
_BLOCK = 2**20  # numbers: what bounds the memory, two dozen MB
_LARGEST_UNITS = 2**24

Steps = npt.NDArray[np.int16]


@dataclass(frozen=True, kw_only=True)
class DeltaFacts:
    """What a difference says about itself.

    Attributes:
        base_sha256: Of the file that it is added to.
        sha256: Of the file that comes out.
        size_bytes: Of that file.
        header_bytes: How many bytes of both files come before the numbers; they are the base's.
        units: The step of which all changes are multiples, in 2**-24; 0 if they are of none.
    """

    base_sha256: str
    sha256: str
    size_bytes: int
    header_bytes: int
    units: int = 0


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
        units=_shared_units(base, new, header_bytes),
    )
    frames = compressor()
    with staged_file(out.parent) as staged:
        write_head(staged.stream, MAGIC, _head_of(facts))
        for old, tuned in zip(_blocks(base, header_bytes), _blocks(new, header_bytes), strict=True):
            planes = _grid_planes(old, tuned, facts.units) if facts.units else _planes(old, tuned)
            for plane in planes:
                write_frame(staged.stream, plane, frames)
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
                low, high = (read_frame(stream, words.size, delta.name) for _ in range(2))
                made = _moved(words, low, high, facts.units) if facts.units else _added(words, low, high)
                rebuilt = made.tobytes()
                digest.update(rebuilt)
                staged.stream.write(rebuilt)
            if stream.read(1):
                raise ArtifactError(f"{delta.name!r}: something follows its end")
            if digest.hexdigest() != facts.sha256:
                raise DigestMismatchError("the updated model", expected=facts.sha256, actual=digest.hexdigest())
            staged.commit(out)
    return facts


def plain_share(pairs: Mapping[str, tuple[npt.NDArray[np.float16], npt.NDArray[np.float16]]]) -> float:
    """What the difference of weights takes of them, by its entropy, where changes are multiples of no step.

    Args:
        pairs: Base and new numbers of each tensor.
    """
    stride = stride_of(sum(old.size for old, _ in pairs.values()))
    steps: list[tuple[npt.NDArray[np.generic], int]] = []
    for old, new in pairs.values():
        some = (array.ravel()[::stride].view(np.uint16) for array in (old, new))
        before, after = (_ordered(words) for words in some)
        steps.append((after - before, old.size))
    return entropy_share(steps)


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
            yield np.frombuffer(mapped[first : first + _BLOCK * 2], HALF)


def _ordered(words: Words) -> Words:
    """Bits of float16 to whole numbers in the order of the numbers; -0 comes just before +0."""
    return np.where(words & 0x8000, 0x7FFF - (words & 0x7FFF), words + np.uint16(0x8000)).astype(np.uint16)


def _unordered(places: Words) -> Words:
    return np.where(places & 0x8000, places - np.uint16(0x8000), 0xFFFF - places).astype(np.uint16)


def _by_exponent(words: Words) -> npt.NDArray[np.intp]:
    """The order in which the numbers of a block lie in the difference."""
    return np.argsort(((words >> 10) & 0x1F).astype(np.uint8), kind="stable")


def _planes(old: Words, new: Words) -> tuple[bytes, bytes]:
    return split(_folded((_ordered(new) - _ordered(old)).view(np.int16)[_by_exponent(old)]))


def _added(old: Words, low: bytes, high: bytes) -> Words:
    steps = _unfolded(joined(low, high))
    places = np.empty_like(steps)
    places[_by_exponent(old)] = steps
    return _unordered(_ordered(old) + places.view(np.uint16))


def _grid_planes(old: Words, new: Words, units: int) -> tuple[bytes, bytes]:
    return split(_folded(steps_between(old.view(np.float16), new.view(np.float16), units).astype(np.int16)))


def _moved(old: Words, low: bytes, high: bytes, units: int) -> Words:
    return added(old.view(np.float16), _unfolded(joined(low, high)), units).view(np.uint16)


def _folded(steps: Steps) -> Words:
    """0, -1, 1, -2, 2 become 0, 1, 2, 3, 4."""
    return ((steps << 1) ^ (steps >> 15)).view(np.uint16)


def _unfolded(folded: Words) -> Steps:
    return ((folded >> 1) ^ (0 - (folded & 1)).astype(np.uint16)).view(np.int16)


def _shared_units(base: Path, new: Path, start: int) -> int:
    """The step of which every change is a multiple; 0 if there is none."""
    if base.stat().st_size == start:
        return 0
    units = find_units(*(np.memmap(path, "<f2", mode="r", offset=start) for path in (base, new)))
    if units is None:
        return 0
    blocks = zip(_blocks(base, start), _blocks(new, start), strict=True)
    return units if all(is_on_grid(old.view("<f2"), tuned.view("<f2"), units) for old, tuned in blocks) else 0


def _head_of(facts: DeltaFacts) -> dict[str, object]:
    said: dict[str, object] = {"format": GRID_FORMAT if facts.units else FORMAT, **vars(facts)}
    if not facts.units:
        del said["units"]  # as devices know it that never heard of steps
    return said


def _read_facts(stream: BinaryIO, name: str) -> DeltaFacts:
    raw = read_head(stream, MAGIC, name, formats=frozenset({FORMAT, GRID_FORMAT}))
    is_grid = raw.pop("format") == GRID_FORMAT
    try:
        facts = DeltaFacts(**raw)
        natural(facts.size_bytes), natural(facts.header_bytes)
        if bool(natural(facts.units)) != is_grid or facts.units > _LARGEST_UNITS:
            raise ValueError(f"a step of {facts.units}")
    except (ValueError, TypeError) as error:
        raise ArtifactError(f"{name!r}: its facts cannot be read: {error}") from error
    return facts
