"""Both engines, one at a time; that on torch only where torch is."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.fakes.tiny_whisper import save_tiny

from projectone.server.training.config import EngineName

NEEDS_TORCH = "the engine transformers needs the extra torch (torch, transformers, peft)"


@pytest.fixture
def one_thread() -> Iterator[None]:
    """For a model of 30,000 weights more threads of torch only wait for each other."""
    torch = pytest.importorskip("torch", reason=NEEDS_TORCH)
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(params=["mlx", pytest.param("transformers", marks=pytest.mark.parity)])
def engine(request: pytest.FixtureRequest) -> EngineName:
    if request.param == "transformers":
        pytest.importorskip("peft", reason=NEEDS_TORCH)
        request.getfixturevalue("one_thread")
    name: EngineName = request.param
    return name


@pytest.fixture(scope="session")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_tiny(tmp_path_factory.mktemp("base") / "model")
