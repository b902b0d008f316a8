"""Short ways between releases: made where they are short, and only where they lead."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import mlx.core as mx
import pytest
from mlx.utils import tree_map
from tests.fakes.tiny_whisper import save_tiny, tiny_checkpoint

from projectone.server.conversion.updates import make_updates
from projectone.speech.checkpoint import WEIGHTS, save_checkpoint
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
