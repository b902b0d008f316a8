"""Both engines, one at a time; that on torch only where torch is."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.fakes.tiny_whisper import save_tiny

from projectone.server.training.config import EngineName

NEEDS_TORCH = "the engine transformers needs the extra torch (torch, transformers, peft)"


@pytest.fixture(params=["mlx", pytest.param("transformers", marks=pytest.mark.parity)])
def engine(request: pytest.FixtureRequest) -> EngineName:
    if request.param == "transformers":
        pytest.importorskip("peft", reason=NEEDS_TORCH)
    name: EngineName = request.param
    return name


@pytest.fixture(scope="session")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_tiny(tmp_path_factory.mktemp("base") / "model")
