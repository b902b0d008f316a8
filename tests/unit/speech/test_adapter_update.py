"""Adapters as updates: the sum to the bit, wherever it is made, and refused whatever the damage."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import load_file, save

from projectone.errors import ArtifactError, DigestMismatchError
from projectone.speech import adapter_update
from projectone.speech.adapter_update import apply_adapter_update, write_adapter_update
from projectone.speech.exact_merge import Factors, fuse

Array = np.ndarray
LAYERS = ("decoder.q", "encoder.v")
SCALE = 2.0


def saved(path: Path, tensors: dict[str, Array]) -> Path:
    path.write_bytes(save(tensors, metadata={"format": "pt"}))
    return path


def drawn(random: np.random.Generator, *shape: int, size: float) -> Array:
    return (random.standard_normal(shape) * size).astype(np.float16)


@pytest.fixture
def made(tmp_path: Path) -> tuple[Path, Path, Path]:
    """A base, what an adapter makes of it, and the adapter as an update."""
    random = np.random.default_rng(0)
    tensors = {
        "decoder.q": drawn(random, 96, 64, size=0.05),
        "decoder.embed": drawn(random, 700, 64, size=0.05),
        "encoder.v": drawn(random, 64, 96, size=0.05),
        "norm": np.array([1, -0.0, 2**-24], np.float16),
    }
    factors = {
        name: Factors(
            drawn(random, 4, tensors[name].shape[1], size=0.1), drawn(random, tensors[name].shape[0], 4, size=0.05)
        )
        for name in LAYERS
    }
    base = saved(tmp_path / "base.safetensors", tensors)
    fused = {name: fuse(tensors[name], pair, SCALE) for name, pair in factors.items()}
    new = saved(tmp_path / "new.safetensors", tensors | fused)
    write_adapter_update(base, new, factors, SCALE, tmp_path / "update")
    return base, new, tmp_path / "update"


def test_the_base_and_the_factors_give_the_new_file_to_the_bit(made: tuple[Path, Path, Path], tmp_path: Path) -> None:
    base, new, update = made
    apply_adapter_update(base, update, tmp_path / "out")
    assert (tmp_path / "out").read_bytes() == new.read_bytes() != base.read_bytes()
    assert update.stat().st_size < 2 * 4 * (96 + 64) * 2 + 600  # the factors, and a head


def test_a_matrix_is_summed_in_blocks_to_the_same_bits(
    made: tuple[Path, Path, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    base, new, update = made
    monkeypatch.setattr(adapter_update, "_BLOCK", 200)
    monkeypatch.setattr(adapter_update, "_BLOCK_BYTES", 1000)
    apply_adapter_update(base, update, tmp_path / "out")
    assert (tmp_path / "out").read_bytes() == new.read_bytes()


@pytest.mark.parametrize("seed", range(3))
def test_a_usual_merge_in_float32_would_miss_the_digest(made: tuple[Path, Path, Path], seed: int) -> None:
    """The control: without float64 some numbers come out otherwise, so the signed digest would refuse the file."""
    random = np.random.default_rng(seed)
    weight, down, up = (drawn(random, *shape, size=0.05) for shape in ((384, 384), (8, 384), (384, 8)))
    exact = fuse(weight, Factors(down, up), SCALE)
    usual = (weight.astype(np.float32) + np.float32(SCALE) * (up.astype(np.float32) @ down.astype(np.float32))).astype(
        np.float16
    )
    assert 0 < np.count_nonzero(exact.view(np.uint16) != usual.view(np.uint16)) < 200


@pytest.mark.parametrize(
    ("terms", "expected"),
    [
        ([(1.0, 2**-11), (2**-15, 2**-15)], 1.0009765625),  # 1 + 2**-11 + 2**-30: through float32 it would be 1
        ([(2**-13, 2**-12), (2**-24, 2**-24)], 2**-24),  # 2**-25 + 2**-48: a little more than half of the smallest
        ([(1.0, 2**-11)], 1.0),  # half way, to even
    ],
)
def test_sums_next_to_half_way_are_rounded_once(terms: list[tuple[float, float]], expected: float) -> None:
    weight = 1.0 if expected >= 1 else 0.0
    down = np.array([[b] for _, b in terms], np.float16)
    up = np.array([[a for a, _ in terms]], np.float16)
    assert float(fuse(np.array([[weight]], np.float16), Factors(down, up), 1.0)[0, 0]) == expected


@pytest.mark.parametrize(
    ("exact", "once", "twice"),
    [
        (1 + 2**-11 + 2**-30, 1.0009765625, 1.0),
        (65519.999, 65504.0, np.inf),
        (2**-25 + 2**-60, 2**-24, 0.0),
    ],
)
def test_float64_is_narrowed_at_once_and_never_by_way_of_float32(exact: float, once: float, twice: float) -> None:
    with np.errstate(over="ignore"):
        assert float(np.float64(exact).astype(np.float16)) == once
        assert float(np.float32(exact).astype(np.float16)) == twice  # what the rule is for
    assert np.signbit(np.float64(-0.0).astype(np.float16))


def test_another_base_is_refused_and_nothing_appears(made: tuple[Path, Path, Path], tmp_path: Path) -> None:
    with pytest.raises(DigestMismatchError, match="the model to be updated"):
        apply_adapter_update(made[1], made[2], tmp_path / "out")
    assert not (tmp_path / "out").exists()


DAMAGES: dict[str, Callable[[bytes], bytes]] = {
    "cut off": lambda data: data[:-20],
    "empty": lambda data: b"",
    "cut in its facts": lambda data: data[:40],
    "another kind of file": lambda data: b"P1DELTA\n" + data[8:],
    "a later format": lambda data: data.replace(b'"format":1', b'"format":2'),
    "something behind it": lambda data: data + b"x",
    "another rank": lambda data: data.replace(b'"rank":4', b'"rank":5'),
    "a rank beyond the layers": lambda data: data.replace(b'"rank":4', b'"rank":9'),
    "another scale": lambda data: data.replace(b'"scale_exponent":1', b'"scale_exponent":2'),
    "a scale without a bound": lambda data: data.replace(b'"scale_exponent":1', b'"scale_exponent":9'),
    "a changed digit of the promise": lambda data: data.replace(b'"sha256":"', b'"sha256":"0', 1)[: len(data)],
    "a flipped bit": lambda data: data[:-30] + bytes([data[-30] ^ 1]) + data[-29:],
}


@pytest.mark.parametrize("damage", DAMAGES.values(), ids=DAMAGES)
def test_a_damaged_update_is_refused_and_nothing_appears(
    damage: Callable[[bytes], bytes], made: tuple[Path, Path, Path], tmp_path: Path
) -> None:
    base, _, update = made
    update.write_bytes(damage(update.read_bytes()))
    with pytest.raises(ArtifactError):
        apply_adapter_update(base, update, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_factors_for_what_is_no_matrix_of_the_base_are_refused(made: tuple[Path, Path, Path], tmp_path: Path) -> None:
    base, new, _ = made
    pair = Factors(np.ones((1, 3), np.float16), np.ones((3, 1), np.float16))
    for factors in ({"norm": pair}, {"nowhere": pair}, {}):
        with pytest.raises(ArtifactError):
            write_adapter_update(base, new, factors, SCALE, tmp_path / "other")


def test_numbers_beyond_the_bound_of_exact_sums_are_refused(made: tuple[Path, Path, Path], tmp_path: Path) -> None:
    base, new, _ = made
    n_out, n_in = load_file(base)["decoder.q"].shape
    huge = Factors(np.full((1, n_in), 200, np.float16), np.full((n_out, 1), 200, np.float16))
    write_adapter_update(base, new, {"decoder.q": huge}, 1.0, tmp_path / "huge")
    with pytest.raises(ArtifactError, match="would be rounded"):
        apply_adapter_update(base, tmp_path / "huge", tmp_path / "out")
