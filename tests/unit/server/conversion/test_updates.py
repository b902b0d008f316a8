"""Short ways between releases: made where they are short, and only where they lead."""

from __future__ import annotations

import dataclasses
import zipfile
from pathlib import Path

import mlx.core as mx
import numpy as np
import pytest
from mlx.utils import tree_map
from tests.fakes.tiny_whisper import save_tiny, tiny_checkpoint

from projectone.server.conversion.updates import make_updates
from projectone.speech.adapter_update import apply_adapter_update
from projectone.speech.checkpoint import WEIGHTS, load_checkpoint, model_tensors, save_checkpoint
from projectone.speech.lora import Adapter, Factors, fused_weights, write_adapter
from projectone.speech.tensor_file import StoredDtype
from projectone.speech.weight_delta import apply_delta
from projectone.storage.blobs import FileBlobs
from projectone.storage.files import digest_of


@pytest.fixture
def tuned(tmp_path: Path) -> Path:
    """The tiny model after a fine-tune: every weight moved by a thousandth."""
    checkpoint = tiny_checkpoint()
    mx.random.seed(1)
    moved = tree_map(lambda p: p * (1 + 1e-3 * mx.random.normal(p.shape)), checkpoint.model.parameters())
    checkpoint.model.update(moved)
    (tmp_path / "tuned").mkdir()
    save_checkpoint(dataclasses.replace(checkpoint), tmp_path / "tuned")
    return tmp_path / "tuned"


def test_a_fine_tune_gets_a_short_way_from_its_base(tmp_path: Path, tuned: Path) -> None:
    packages = FileBlobs(tmp_path / "packages")
    base = save_tiny(tmp_path / "base")
    (way,) = make_updates(tuned, [base], packages, below_bytes=(tuned / WEIGHTS).stat().st_size)
    assert (way.path, way.base_sha256) == (WEIGHTS, digest_of(base / WEIGHTS))
    assert way.size_bytes == packages.path_of(way.sha256).stat().st_size < 0.4 * (tuned / WEIGHTS).stat().st_size
    apply_delta(base / WEIGHTS, packages.path_of(way.sha256), tmp_path / "out")
    assert digest_of(tmp_path / "out") == digest_of(tuned / WEIGHTS)
    assert sorted(packages.keys()) == [way.sha256]


def test_a_model_that_shares_nothing_or_has_another_size_gets_none(tmp_path: Path, tuned: Path) -> None:
    packages = FileBlobs(tmp_path / "packages")
    stranger = save_tiny(tmp_path / "stranger", seed=7)
    wide = tmp_path / "wide"
    wide.mkdir()
    save_checkpoint(tiny_checkpoint(width=64), wide)
    assert make_updates(tuned, [stranger, wide], packages, below_bytes=(tuned / WEIGHTS).stat().st_size) == ()
    assert list(packages.keys()) == []


@pytest.fixture
def adapted(tmp_path: Path) -> tuple[Path, Path, Path]:
    """A base, what an adapter made of it, and the adapter, as the trainer leaves them."""
    base, model, folder = save_tiny(tmp_path / "base"), tmp_path / "model", tmp_path / "adapter"
    checkpoint = load_checkpoint(base)
    tensors, random = model_tensors(checkpoint.model), np.random.default_rng(0)
    factors = {}
    for layer in ("encoder.blocks.0.attn.query", "decoder.blocks.0.cross_attn.value"):
        n_out, n_in = tensors[f"{layer}.weight"].shape
        down, up = (random.standard_normal(shape) * 0.1 for shape in ((2, n_in), (n_out, 2)))
        factors[layer] = Factors(down.astype(np.float16), up.astype(np.float16))
    checkpoint.model.load_weights(list(fused_weights(tensors, factors, 2.0).items()), strict=False)
    save_checkpoint(checkpoint, model)
    folder.mkdir()
    digests = {"base_sha256": digest_of(base / WEIGHTS), "model_sha256": digest_of(model / WEIGHTS)}
    write_adapter(Adapter(**digests, rank=2, alpha=4.0, factors=factors), folder)
    return base, model, folder


@pytest.mark.parametrize("stored", ["float16", "float32"])
def test_an_adapter_is_the_shortest_way_and_the_base_can_be_fetched(
    stored: StoredDtype, tmp_path: Path, adapted: tuple[Path, Path, Path]
) -> None:
    base, model, folder = adapted
    if stored == "float32":  # a base from elsewhere; devices get it as releases are
        wide = tmp_path / "wide"
        save_checkpoint(load_checkpoint(base), wide, dtype="float32")
        trained_from = wide
    else:
        trained_from = base
    packages = FileBlobs(tmp_path / "packages")
    ways = make_updates(
        model, [], packages, below_bytes=(model / WEIGHTS).stat().st_size, base=trained_from, adapter=folder
    )
    assert [way.kind for way in ways] == (["adapter", "delta"] if stored == "float16" else ["adapter"])
    way = ways[0]
    assert way.base_sha256 == digest_of(base / WEIGHTS)
    assert way.base_package is not None
    with zipfile.ZipFile(packages.path_of(way.base_package.sha256)) as package:
        assert package.read(WEIGHTS) == (base / WEIGHTS).read_bytes()
        for path in model.iterdir():
            assert path.name == WEIGHTS or package.read(path.name) == path.read_bytes()
    apply_adapter_update(base / WEIGHTS, packages.path_of(way.sha256), tmp_path / "out")
    assert digest_of(tmp_path / "out") == digest_of(model / WEIGHTS)


def test_an_adapter_of_another_model_is_no_way(tmp_path: Path, adapted: tuple[Path, Path, Path], tuned: Path) -> None:
    base, _, folder = adapted
    packages = FileBlobs(tmp_path / "packages")
    ways = make_updates(tuned, [], packages, below_bytes=(tuned / WEIGHTS).stat().st_size, base=base, adapter=folder)
    assert [way.kind for way in ways] == ["delta"]
    assert list(packages.keys()) == [ways[0].sha256]


def test_a_base_that_is_an_earlier_release_too_gets_one_way(tmp_path: Path, tuned: Path) -> None:
    packages, base = FileBlobs(tmp_path / "packages"), save_tiny(tmp_path / "base")
    size_bytes = (tuned / WEIGHTS).stat().st_size
    assert len(make_updates(tuned, [base, base], packages, below_bytes=size_bytes, base=base)) == 1
