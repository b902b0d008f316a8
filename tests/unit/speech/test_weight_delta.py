"""Differences of weights: exact whatever the numbers, refused whatever the damage."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import zstandard
from hypothesis import given
from hypothesis import strategies as st
from safetensors.numpy import save

from projectone.errors import ArtifactError, DigestMismatchError
from projectone.speech import weight_delta
from projectone.speech.weight_delta import apply_delta, read_facts, write_delta

Array = np.ndarray


def weights(path: Path, **tensors: Array) -> Path:
    path.write_bytes(save(tensors, metadata={"format": "pt"}))
    return path


@pytest.fixture
def pair(tmp_path: Path) -> tuple[Path, Path]:
    seed = np.random.default_rng(0)
    base = (seed.standard_normal((300, 40)) * 0.05).astype(np.float16)
    tuned = (base.astype(np.float32) * (1 + 1e-3 * seed.standard_normal(base.shape))).astype(np.float16)
    bias = np.zeros(7, np.float16)
    return (
        weights(tmp_path / "base.safetensors", a=base, b=bias),
        weights(tmp_path / "new.safetensors", a=tuned, b=bias),
    )


def test_a_difference_rebuilds_the_file_and_is_a_fraction_of_it(pair: tuple[Path, Path], tmp_path: Path) -> None:
    base, new = pair
    facts = write_delta(base, new, tmp_path / "delta")
    assert read_facts(tmp_path / "delta") == facts
    assert apply_delta(base, tmp_path / "delta", tmp_path / "out") == facts
    assert (tmp_path / "out").read_bytes() == new.read_bytes()
    assert (tmp_path / "delta").stat().st_size < 0.3 * new.stat().st_size


@given(st.lists(st.tuples(st.integers(0, 0xFFFF), st.integers(0, 0xFFFF)), min_size=1, max_size=40))
def test_every_pair_of_bit_patterns_survives(words: list[tuple[int, int]]) -> None:
    old, new = (np.array(column, "<u2") for column in zip(*words, strict=True))  # -0, subnormals, infinities, NaN
    low, high = weight_delta._planes(old, new)
    assert np.array_equal(weight_delta._added(old, low, high), new)


def test_more_numbers_than_a_block_holds_are_rebuilt(
    pair: tuple[Path, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(weight_delta, "_BLOCK", 1000)
    write_delta(*pair, tmp_path / "delta")
    apply_delta(pair[0], tmp_path / "delta", tmp_path / "out")
    assert (tmp_path / "out").read_bytes() == pair[1].read_bytes()


def test_another_base_is_refused_and_nothing_appears(pair: tuple[Path, Path], tmp_path: Path) -> None:
    write_delta(*pair, tmp_path / "delta")
    with pytest.raises(DigestMismatchError, match="the model to be updated"):
        apply_delta(pair[1], tmp_path / "delta", tmp_path / "out")
    assert not (tmp_path / "out").exists()


DAMAGES: dict[str, Callable[[bytes], bytes]] = {
    "cut off": lambda data: data[:-20],
    "empty": lambda data: b"",
    "cut in its facts": lambda data: data[:40],
    "another kind of file": lambda data: b"PK" + data[2:],
    "a later format": lambda data: data.replace(b'"format":1', b'"format":2'),
    "something behind it": lambda data: data + b"x",
    "a changed digit of the promise": lambda data: data.replace(b'"sha256":"', b'"sha256":"0', 1)[: len(data)],
    "a flipped bit": lambda data: data[:-30] + bytes([data[-30] ^ 1]) + data[-29:],
}


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_damaged_difference_is_refused_and_nothing_appears(
    damage: str, pair: tuple[Path, Path], tmp_path: Path
) -> None:
    write_delta(*pair, tmp_path / "delta")
    (tmp_path / "delta").write_bytes(DAMAGES[damage]((tmp_path / "delta").read_bytes()))
    with pytest.raises(ArtifactError):
        apply_delta(pair[0], tmp_path / "delta", tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_a_frame_that_would_fill_the_memory_is_refused_before_it_is_unpacked(
    pair: tuple[Path, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_delta(*pair, tmp_path / "delta")
    data = (tmp_path / "delta").read_bytes()
    first = data.index(zstandard.FRAME_HEADER)
    bomb = zstandard.ZstdCompressor().compress(bytes(10**8))
    (tmp_path / "delta").write_bytes(data[: first - 4] + len(bomb).to_bytes(4, "little") + bomb + data[first:])

    def never(*_: object, **__: object) -> bytes:
        raise AssertionError("unpacked")

    monkeypatch.setattr(zstandard, "ZstdDecompressor", never)
    with pytest.raises(ArtifactError, match="expected a block of 12007 bytes"):
        apply_delta(pair[0], tmp_path / "delta", tmp_path / "out")


def test_models_of_other_sizes_and_types_have_no_difference(pair: tuple[Path, Path], tmp_path: Path) -> None:
    other = weights(tmp_path / "other.safetensors", a=np.zeros((300, 41), np.float16), b=np.zeros(7, np.float16))
    with pytest.raises(ArtifactError, match="downloaded whole"):
        write_delta(pair[0], other, tmp_path / "delta")
    wide = weights(tmp_path / "wide.safetensors", a=np.zeros(3, np.float32))
    with pytest.raises(ArtifactError, match="differences are taken of float16, got F32"):
        write_delta(wide, wide, tmp_path / "delta")
