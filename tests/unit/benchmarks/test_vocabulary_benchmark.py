"""Names that are put together from letters, and how names and harm are counted."""

from __future__ import annotations

import importlib
import sys
from pathlib import Path

import numpy as np
import pytest

BENCHMARKS = Path(__file__).resolve().parents[3] / "benchmarks"


@pytest.fixture(autouse=True)
def _benchmarks_can_be_imported(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    for name in ("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS"):
        monkeypatch.setenv(name, "1")  # the script sets them: they are put back after the test


def take(value: float) -> np.ndarray:
    return np.full(1600, value, np.float32)


def test_a_name_is_said_again_in_other_takes() -> None:
    spell = importlib.import_module("peers.spelling").spell

    letters = {"a": [take(0.1), take(0.2)], "n": [take(0.3), take(0.4)]}
    first = spell("a n n a", "ann", letters, seed=0)
    assert first is not None
    again = spell("a n n a", "ann", letters, seed=1, unlike=first)
    assert again is not None
    assert all(one != other for one, other in zip(first.takes, again.takes, strict=True))
    assert first.samples.size >= 4 * 1600
    repeated = spell("a n n a", "ann", letters, seed=0)
    assert repeated is not None
    assert np.array_equal(repeated.samples, first.samples)
    assert spell("b a", "ann", letters, seed=0) is None


def test_a_term_counts_as_brought_only_where_it_is_new_and_whole() -> None:
    vocabulary = importlib.import_module("vocabulary")

    assert vocabulary._brings(["m a r k"], "m a r g", "m a r k")
    assert not vocabulary._brings(["m a r k"], "m a r k", "m a r k")
    assert not vocabulary._brings(["m a r k"], "m a r g", "m a r kay")
    assert sys.modules.pop("vocabulary") is vocabulary
