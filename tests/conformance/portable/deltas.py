"""Topics `deltas/*`: from a base and a small file to weights, bit for bit."""

from __future__ import annotations

import base64
import json
import struct
import sys
import tempfile
from collections.abc import Callable
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from tests.conformance.portable.topics import Case, Mistake, Topic, Value

import projectone.speech.adapter_update as adapter_update
import projectone.speech.exact_merge as exact_merge
import projectone.speech.update_file as update_file
import projectone.speech.weight_delta as weight_delta
import projectone.speech.weight_grid as weight_grid
from projectone.contracts.base import sha256_hex
from projectone.errors import ArtifactError, DigestMismatchError
from projectone.speech.exact_merge import Factors, fuse

Half = npt.NDArray[np.float16]
deltas = sys.modules[__name__]


def halves(words: list[list[str]]) -> Half:
    """A matrix of float16 from the bits of its numbers in hex."""
    return np.array([[int(word, 16) for word in row] for row in words], np.uint16).view(np.float16)


def words_of(numbers: Half) -> list[list[str]]:
    """The inverse of `halves`."""
    return [[f"{int(word):04x}" for word in row] for row in numbers.view(np.uint16)]


def _round(number: float) -> np.float16:
    with np.errstate(over="ignore"):
        return np.float64(number).astype(np.float16)


def _towards_nothing(number: float) -> np.float16:
    nearest = _round(number)
    return np.nextafter(nearest, np.float16(0)) if abs(float(nearest)) > abs(number) else nearest


def rounded(given: Value) -> Value:
    """A float64 to float16."""
    number = struct.unpack(">d", bytes.fromhex(given["float64"]))[0]
    return {"float16": f"{int(_round(number).view(np.uint16)):04x}"}


_NUMBERS: dict[str, float] = {
    "one and half a step and a little": 1 + 2**-11 + 2**-30,
    "one and half a step: to even, down": 1 + 2**-11,
    "one and one and a half steps: to even, up": 1 + 3 * 2**-11,
    "just below what rounds to infinity": 65519.999,
    "what rounds to infinity": 65520.0,
    "a little more than half of the smallest number": 2**-25 + 2**-60,
    "half of the smallest number: to even, nothing": 2**-25,
    "one and a half of the smallest number: to even, two": 1.5 * 2**-24,
    "the largest that is not normal": 2**-14 - 2**-24,
    "between that and the first normal one": 2**-14 - 2**-25,
    "minus nothing": -0.0,
    "a third": 1 / 3,
    "minus a third": -1 / 3,
    "the largest": 65504.0,
}
ROUNDING = Topic(
    name="deltas/rounding",
    about=(
        "float64 (bits in hex, big-endian) to float16 (bits in hex): once, half to even. Never through float32, which "
        "would round twice."
    ),
    run=rounded,
    cases=tuple(
        Case(name, {"float64": struct.pack(">d", number).hex(), "number": repr(number)})
        for name, number in _NUMBERS.items()
    ),
    mistakes=(
        Mistake("through float32", deltas, "_round", lambda number: _round(float(np.float32(number)))),
        Mistake("towards nothing", deltas, "_round", lambda number: _towards_nothing(number)),
    ),
)


def fused(given: Value) -> Value:
    """Weight and factors to the new weight."""
    try:
        factors = Factors(halves(given["down"]), halves(given["up"]))
        return {"weight": words_of(exact_merge.fuse(halves(given["weight"]), factors, given["scale"]))}
    except ValueError:
        return {"refused": "artifact"}


def _fuse_case(name: str, weight: Any, down: Any, up: Any, scale: float = 1.0) -> Case:
    shown = {"weight": weight, "down": down, "up": up}
    matrices = {key: words_of(np.array(value, np.float16)) for key, value in shown.items()}
    return Case(name, matrices | {"scale": scale})


_RANDOM = np.random.default_rng(7)
_BIG = [_RANDOM.normal(0, size, shape).tolist() for size, shape in ((0.5, (6, 5)), (0.2, (4, 5)), (0.2, (6, 4)))]


def _through_float32(weight: Half, factors: Factors, scale: float) -> Half:
    narrow = [array.astype(np.float32) for array in (weight, factors.up, factors.down)]
    return (narrow[0] + np.float32(scale) * (narrow[1] @ narrow[2])).astype(np.float16)


def _unbounded(weight: Half, factors: Factors, scale: float) -> Half:
    with np.errstate(over="ignore"):
        wide = weight.astype(np.float64) + scale * (factors.up.astype(np.float64) @ factors.down.astype(np.float64))
        return wide.astype(np.float16)


FUSE = Topic(
    name="deltas/fuse",
    about=(
        "weight (out, in) + scale * up (out, rank) @ down (rank, in), all float16 as bits in hex: summed in float64, "
        "rounded to float16 once; a sum of nothing is +0, whatever its parts were. Refused: a scale that is no power "
        "of two from 1/256 to 256, numbers that are not finite, shapes that do not fit, a result that does not fit, "
        "and an element whose |weight| + scale * sum |up| |down| is above 2^(q + 53), q = min(-24, k - 48), scale = "
        "2^k."
    ),
    run=fused,
    cases=(
        _fuse_case("half a step and a little", [[1.0]], [[2**-5], [2**-15]], [[2**-6, 2**-15]]),
        _fuse_case("half a step: to even", [[1.0]], [[2**-5]], [[2**-6]]),
        _fuse_case("below the smallest number", [[0.0]], [[2**-12], [2**-24]], [[2**-13, 2**-24]]),
        _fuse_case("minus nothing becomes nothing", [[-0.0, 0.0]], [[0.0, 0.0]], [[1.0]]),
        _fuse_case("it takes away what was there", [[0.25]], [[0.5]], [[-0.5]]),
        _fuse_case("a scale of two", [[1.0, -1.0]], [[0.25, 0.5]], [[0.5]], 2.0),
        _fuse_case("a scale of an eighth", [[1.0, -1.0]], [[0.25, 0.5]], [[0.5]], 0.125),
        _fuse_case("six by five, rank four", _BIG[0], _BIG[1], _BIG[2]),
        _fuse_case("six by five, rank four, scale four", _BIG[0], _BIG[1], _BIG[2], 4.0),
        _fuse_case("large numbers that cancel", [[20.0]], [[5.0], [5.0]], [[1.0, -1.0]]),
        _fuse_case("a scale of three", [[1.0]], [[1.0]], [[1.0]], 3.0),
        _fuse_case("a scale of 512", [[1.0]], [[1.0]], [[1.0]], 512.0),
        _fuse_case("beyond what is exact", [[30.0]], [[3.0]], [[1.0]]),
        _fuse_case("not finite", [[1.0]], [[np.inf]], [[1.0]]),
        _fuse_case("shapes that do not fit", [[1.0, 1.0]], [[1.0]], [[1.0]]),
    ),
    mistakes=(
        Mistake("in float32", exact_merge, "fuse", _through_float32),
        Mistake("no bound", exact_merge, "fuse", _unbounded),
        Mistake("any scale", exact_merge, "check_scale", lambda scale: None),
    ),
)


def file_of(tensors: dict[str, Half]) -> bytes:
    """A safetensors file, with a header in an order of its own: a client must copy it, not write it anew."""
    header: dict[str, Any] = {"__metadata__": {"format": "mlx"}}
    data = b""
    for name, numbers in tensors.items():
        content = numbers.astype("<f2").tobytes()
        header[name] = {
            "shape": list(numbers.shape),
            "dtype": "F16",
            "data_offsets": [len(data), len(data) + len(content)],
        }
        data += content
    written = json.dumps(header).encode()
    return struct.pack("<Q", len(written)) + written + data


def rebuilt(given: Value) -> Value:
    """The weights that base and update give, as digest and size."""
    apply: Callable[[Path, Path, Path], object] = {
        "adapter": adapter_update.apply_adapter_update,
        "delta": weight_delta.apply_delta,
    }[given["kind"]]
    with tempfile.TemporaryDirectory() as folder:
        base, update, out = (Path(folder) / name for name in ("base", "update", "out"))
        base.write_bytes(base64.b64decode(given["base"]))
        update.write_bytes(base64.b64decode(given["update"]))
        try:
            apply(base, update, out)
        except DigestMismatchError:
            return {"refused": "digest"}
        except ArtifactError:
            return {"refused": "artifact"}
        content = out.read_bytes()
    return {"sha256": sha256_hex(content), "size_bytes": len(content)}


def _written(write: Callable[[Path, Path, Path], object], base: bytes, new: bytes) -> bytes:
    """What `write` makes of two files."""
    with tempfile.TemporaryDirectory() as folder:
        paths = [Path(folder) / name for name in ("base", "new", "update")]
        for path, content in zip(paths, (base, new), strict=False):
            path.write_bytes(content)
        write(paths[0], paths[1], paths[2])
        return paths[2].read_bytes()


def _case(name: str, kind: str, base: bytes, update: bytes) -> Case:
    texts = {key: base64.b64encode(content).decode() for key, content in (("base", base), ("update", update))}
    return Case(name, {"kind": kind, **texts})


_SMALL = {
    "b.bias": np.array([0.5, -0.0], np.float16),
    "a.weight": np.array([[1.0, -2.0, 0.0], [0.25, -0.0, 3.0]], np.float16),
}
_BASE = file_of(_SMALL)
_TUNED = file_of(
    _SMALL
    | {"a.weight": np.array([[np.float16(1.0) + np.float16(2**-10), -2.0, -0.0], [0.2451, 0.0, 3.002]], np.float16)}
)
_MANY = {"w": _RANDOM.normal(0, 0.05, (40, 50)).astype(np.float16)}
_SHIFTED = (_MANY["w"] + _RANDOM.normal(0, 2e-4, (40, 50))).astype(np.float32)
# The first number is half way between two float16, and a little more.
_PAIR = {
    "a.weight": Factors(
        np.array([[2**-5, 0, 1], [2**-15, 0, 0]], np.float16), np.array([[2**-7, 2**-15], [-0.5, 0]], np.float16)
    )
}


def _delta(base: bytes, new: bytes) -> bytes:
    return _written(weight_delta.write_delta, base, new)


def _adapter(base: dict[str, Half], factors: dict[str, Factors], scale: float) -> bytes:
    made = {name: fuse(weight, factors[name], scale) if name in factors else weight for name, weight in base.items()}

    def write(before: Path, after: Path, out: Path) -> None:
        adapter_update.write_adapter_update(before, after, factors, scale, out)

    return _written(write, file_of(base), file_of(made))


def _with_facts(update: bytes, magic: bytes, **changes: Any) -> bytes:
    stream = BytesIO(update)
    facts = update_file.read_head(stream, magic, "update", formats=frozenset({1, 2}))
    out = BytesIO()
    update_file.write_head(out, magic, facts | changes)
    return out.getvalue() + stream.read()


def _cases() -> tuple[Case, ...]:
    delta, adapter = _delta(_BASE, _TUNED), _adapter(_SMALL, _PAIR, 2.0)
    many, tuned = file_of(_MANY), file_of({"w": (_MANY["w"] * np.float16(1.001)).astype(np.float16)})
    stepped = weight_grid.on_grid(_MANY["w"], _SHIFTED, 1024)
    pair = Factors(
        _RANDOM.normal(0, 0.1, (4, 50)).astype(np.float16), _RANDOM.normal(0, 0.1, (40, 4)).astype(np.float16)
    )
    return (
        _case("a difference", "delta", _BASE, delta),
        _case("a difference of nothing", "delta", _BASE, _delta(_BASE, _BASE)),
        _case("a difference of two thousand numbers", "delta", many, _delta(many, tuned)),
        _case("a difference in steps", "delta", many, _delta(many, file_of({"w": stepped}))),
        _case("an adapter", "adapter", _BASE, adapter),
        _case("an adapter of rank four", "adapter", many, _adapter(_MANY, {"w": pair}, 0.5)),
        _case("a difference of another base", "delta", _TUNED, delta),
        _case("a difference that is cut", "delta", _BASE, delta[:-1]),
        _case("a difference that goes on", "delta", _BASE, delta + b"\0"),
        _case("a difference to something else", "delta", _BASE, _with_facts(delta, b"P1DELTA\n", sha256="0" * 64)),
        _case("a difference of a later format", "delta", _BASE, _with_facts(delta, b"P1DELTA\n", format=3)),
        _case("an adapter in the place of a difference", "delta", _BASE, adapter),
        _case("an adapter of another base", "adapter", _TUNED, adapter),
        _case("an adapter of another scale", "adapter", _BASE, _with_facts(adapter, b"P1ADAPT\n", scale_exponent=0)),
        _case("an adapter whose scale is too large", "adapter", _BASE, _with_facts(
            adapter, b"P1ADAPT\n", scale_exponent=9)),
        _case("an adapter with more names than it says", "adapter", _BASE, _with_facts(
            adapter, b"P1ADAPT\n", names_bytes=3)),
    )  # fmt: skip


_ordered, _sorted_by = weight_delta._ordered, weight_delta._by_exponent
FILES = Topic(
    name="deltas/files",
    about=(
        "`base` is a safetensors file, `update` what the server offers as `kind`; both in base64. Expected: SHA-256 "
        "and size of the file that comes out. A file has a magic (`P1ADAPT` or `P1DELTA` and a newline), four bytes "
        "of length (little-endian), facts as JSON, then zstd frames, each behind four bytes of length; docs/swift.md "
        "says what they hold. The header of the base, its first 8 + n bytes, is copied as it is."
    ),
    run=rebuilt,
    cases=_cases(),
    mistakes=(
        Mistake("minus nothing is nothing", weight_delta, "_ordered", lambda words: _ordered(
            np.where(words == 0x8000, 0, words).astype(np.uint16))),
        Mistake("in the order of the file", weight_delta, "_by_exponent", lambda words: np.arange(words.size)),
        Mistake("high bytes first", weight_delta, "joined", lambda low, high: update_file.joined(high, low)),
        Mistake("an adapter through float32", adapter_update, "fuse", _through_float32),
        Mistake("whatever the digest of the base", weight_delta, "digest_of", lambda path: sha256_hex(_BASE)),
    ),
)  # fmt: skip
