"""Scripts of `benchmarks/`, which are no package, as modules that a test can call."""

from __future__ import annotations

import importlib.util
import sys
from typing import Any

import pytest
from tests.conftest import REPOSITORY

_THREADS = ("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS")


def load_script(name: str, monkeypatch: pytest.MonkeyPatch) -> Any:
    """`benchmarks/NAME.py`; what it sets for its process is put back after the test."""
    for variable in _THREADS:
        monkeypatch.setenv(variable, "1")
    path = REPOSITORY / "benchmarks" / f"{name}.py"
    spec = importlib.util.spec_from_file_location(f"{name}_benchmark", path)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    monkeypatch.setitem(sys.modules, spec.name, module)
    spec.loader.exec_module(module)
    return module
