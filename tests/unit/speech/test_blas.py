"""The BLAS that mlx uses."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import mlx.core as mx
import numpy as np
import pytest

from projectone.speech import blas

linux_only = pytest.mark.skipif(sys.platform != "linux", reason="only the Linux wheel of mlx needs another BLAS")


def test_loading_twice_gives_the_same_report() -> None:
    assert blas.load_blas() is blas.load_blas()


@linux_only
def test_a_fast_blas_is_in_use_here() -> None:
    assert blas.load_blas().source in {"system", "wheel"}


@linux_only
def test_who_imports_mlx_first_is_told_that_it_is_slow_now() -> None:
    program = "import mlx.core\nfrom projectone.speech.blas import load_blas\nprint(load_blas().source)"
    told = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert told.stdout == "reference\n"
    assert "import projectone.speech first" in told.stderr


def test_products_agree_with_numpy() -> None:
    generator = np.random.default_rng(0)
    left = generator.standard_normal((70, 130)).astype(np.float32)
    right = generator.standard_normal((130, 90)).astype(np.float32)
    product = np.array(mx.array(left) @ mx.array(right))
    # float32 sums of 130 terms in another order
    np.testing.assert_allclose(product, left @ right, atol=1e-4)


@linux_only
def test_the_wheel_is_renamed_once_and_found_again(tmp_path: Path) -> None:
    first = blas._wheel_library(tmp_path)
    assert first is not None
    stamp = first.stat().st_mtime_ns
    assert blas._wheel_library(tmp_path) == first
    assert first.stat().st_mtime_ns == stamp
    assert [path.name for path in first.parent.iterdir()] == [first.name]  # nothing temporary stays


@linux_only
def test_a_cache_that_cannot_be_written_means_no_wheel_rather_than_a_failure(tmp_path: Path) -> None:
    blocked = tmp_path / "file"
    blocked.write_bytes(b"")
    assert blas._wheel_library(blocked) is None
