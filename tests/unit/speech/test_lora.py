import json
from fractions import Fraction
from pathlib import Path

import mlx.core as mx
import numpy as np
import pytest
from tests.fakes.tiny_whisper import save_tiny

from projectone.errors import ArtifactError, DigestMismatchError
from projectone.speech.checkpoint import load_checkpoint, model_tensors, save_checkpoint
from projectone.speech.lora import (
    Adapter,
    Factors,
    fuse,
    fuse_checkpoint,
    fused_weights,
    read_adapter,
    write_adapter,
)
from projectone.storage.files import digest_of

LAYERS = ("encoder.blocks.0.attn.query", "decoder.blocks.0.cross_attn.value", "decoder.blocks.0.mlp1")


def half(random: np.random.Generator, *shape: int, size: float = 1.0) -> np.ndarray:
    return (random.standard_normal(shape) * size).astype(np.float16)


def one(down: float, up: float, weight: float, scale: float = 1.0) -> np.float16:
    factors = Factors(np.array([[down]], np.float16), np.array([[up]], np.float16))
    fused: np.float16 = fuse(np.array([[weight]], np.float32), factors, scale)[0, 0]
    return fused


def nearest_half(exact: Fraction) -> np.float16:
    """Round half to even by hand: the nearer neighbour of the float64 guess, and between equals the even one."""
    guess = np.float16(float(exact))
    around = [np.nextafter(guess, np.float16(-np.inf)), guess, np.nextafter(guess, np.float16(np.inf))]
    return min(around, key=lambda h: (abs(Fraction(float(h)) - exact), int(h.view(np.uint16)) & 1))


@pytest.mark.parametrize("scale", [0.5, 1.0, 2.0, 8.0])
def test_fusing_equals_rational_arithmetic_rounded_once(scale: float) -> None:
    random = np.random.default_rng(0)
    sizes = 2.0 ** random.integers(-20, 1, 3)
    weight, down, up = half(random, 9, 7), half(random, 5, 7, size=sizes[1]), half(random, 9, 5, size=sizes[2])
    fused = fuse(weight.astype(np.float32), Factors(down, up), scale)
    for row in range(9):
        for column in range(7):
            exact = Fraction(float(weight[row, column])) + Fraction(scale) * sum(
                (Fraction(float(up[row, r])) * Fraction(float(down[r, column])) for r in range(5)), Fraction(0)
            )
            assert fused[row, column] == nearest_half(exact)


def test_the_order_of_the_ranks_changes_no_bit() -> None:
    random = np.random.default_rng(1)
    weight, down, up = half(random, 64, 48).astype(np.float32), half(random, 16, 48), half(random, 64, 16)
    expected = fuse(weight, Factors(down, up), 2.0)
    for _ in range(20):
        order = random.permutation(16)
        shuffled = fuse(weight, Factors(down[order], up[:, order]), 2.0)
        assert np.array_equal(expected.view(np.uint16), shuffled.view(np.uint16))
    in_float32 = (weight + 2.0 * (up.astype(np.float32) @ down.astype(np.float32))).astype(np.float16)
    assert not np.array_equal(expected, in_float32)  # what a usual merge would ship


@pytest.mark.parametrize(
    ("weight", "down", "up", "expected"),
    [
        (1.0, 2**-11, 1.0, 1.0),  # half way, to even
        (1 + 2**-10, 2**-11, 1.0, 1 + 2**-9),  # half way, to even
        (1.0, 2**-11 + 2**-21, 1.0, 1.0009765625),  # a little more than half way: through float32 it would be 1
        (0.0, 2**-13, 2**-12, 0.0),  # half of the smallest number, to even
        (0.0, 2**-13 + 2**-23, 2**-12, 2**-24),  # a little more
    ],
)
def test_the_one_rounding_is_half_to_even(weight: float, down: float, up: float, expected: float) -> None:
    assert float(one(down, up, weight)) == expected


def test_a_zero_is_positive_whatever_made_it() -> None:
    for zero in (one(1.0, -0.0, -0.0), one(-0.0, 1.0, 0.0), one(1.0, -1.0, 1.0)):
        assert zero == 0
        assert not np.signbit(zero)


def test_what_cannot_be_exact_is_refused() -> None:
    with pytest.raises(ValueError, match="would be rounded"):
        one(1000.0, 1000.0, 0.0)
    with pytest.raises(ValueError, match="power of two"):
        one(1.0, 1.0, 0.0, scale=1.5)
    with pytest.raises(ValueError, match="finite"):
        one(np.inf, 1.0, 0.0)
    with pytest.raises(ValueError, match="expected factors of"):
        fuse(np.zeros((3, 2), np.float32), Factors(np.zeros((1, 3), np.float16), np.zeros((3, 1), np.float16)), 1.0)


@pytest.fixture
def trained(tmp_path: Path) -> tuple[Path, Path, Path]:
    """A base, the model that adapters made of it, and the adapters."""
    base, model, folder = save_tiny(tmp_path / "base"), tmp_path / "model", tmp_path / "adapter"
    checkpoint = load_checkpoint(base)
    tensors = model_tensors(checkpoint.model)
    random = np.random.default_rng(0)
    factors = {}
    for layer in LAYERS:
        n_out, n_in = tensors[f"{layer}.weight"].shape
        factors[layer] = Factors(half(random, 4, n_in, size=0.1), half(random, n_out, 4, size=0.1))
    checkpoint.model.load_weights(list(fused_weights(tensors, factors, 2.0).items()), strict=False)
    save_checkpoint(checkpoint, model)
    folder.mkdir()
    sha256 = {name: digest_of(path / "model.safetensors") for name, path in (("base", base), ("model", model))}
    adapter = Adapter(base_sha256=sha256["base"], model_sha256=sha256["model"], rank=4, alpha=8.0, factors=factors)
    write_adapter(adapter, folder)
    return base, model, folder


def test_base_and_adapter_give_the_model_bit_for_bit(trained: tuple[Path, Path, Path], tmp_path: Path) -> None:
    base, model, folder = trained
    digest = fuse_checkpoint(base, folder, tmp_path / "again")
    for path in model.iterdir():
        assert (tmp_path / "again" / path.name).read_bytes() == path.read_bytes()
    assert digest == digest_of(model / "model.safetensors") != digest_of(base / "model.safetensors")
    assert mx.array_equal(
        load_checkpoint(model).model.decoder.token_embedding.weight,
        load_checkpoint(base).model.decoder.token_embedding.weight,
    )


def test_an_adapter_comes_back_as_it_was_written(trained: tuple[Path, Path, Path]) -> None:
    adapter = read_adapter(trained[2])
    assert (adapter.rank, adapter.scale, sorted(adapter.factors)) == (4, 2.0, sorted(LAYERS))
    size = sum(path.stat().st_size for path in trained[2].iterdir())
    assert size < (trained[0] / "model.safetensors").stat().st_size / 4


def test_another_base_is_refused(trained: tuple[Path, Path, Path], tmp_path: Path) -> None:
    other = save_tiny(tmp_path / "other", seed=5)
    with pytest.raises(DigestMismatchError):
        fuse_checkpoint(other, trained[2], tmp_path / "again")
    assert not (tmp_path / "again").exists()


@pytest.mark.parametrize(
    ("name", "value"),
    [("model_sha256", "0" * 64), ("alpha", 4.0), ("rank", 3), ("targets", []), ("format", 2), ("targets", ["x.y"])],
)
def test_facts_that_do_not_fit_the_factors_make_no_model(
    name: str, value: object, trained: tuple[Path, Path, Path], tmp_path: Path
) -> None:
    facts = json.loads((trained[2] / "adapter.json").read_text())
    (trained[2] / "adapter.json").write_text(json.dumps({**facts, name: value}))
    with pytest.raises(ArtifactError):
        fuse_checkpoint(trained[0], trained[2], tmp_path / "again")
    assert not (tmp_path / "again").exists()


def test_a_flipped_bit_in_the_factors_is_noticed(trained: tuple[Path, Path, Path], tmp_path: Path) -> None:
    path = trained[2] / "adapter_model.safetensors"
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(content)
    with pytest.raises(DigestMismatchError):
        fuse_checkpoint(trained[0], trained[2], tmp_path / "again")
