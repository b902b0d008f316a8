"""What every test gets: a home of its own, a clean environment, a fixed seed, and no network but loopback."""

from __future__ import annotations

import os
import random
import resource
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, settings

import projectone.speech  # noqa: F401 - the fast BLAS, before the first test module imports mlx

REPOSITORY = Path(__file__).resolve().parents[1]
_REAL_CACHE = Path.home() / ".cache" / "projectone"
# The same examples every time, however long one takes on a busy machine, and nothing written beside the tests.
settings.register_profile(
    "projectone", deadline=None, derandomize=True, database=None, suppress_health_check=[HealthCheck.too_slow]
)
settings.load_profile("projectone")
# What the Hub's client waits for an answer, which is ten seconds otherwise; it reads this once, when it is imported.
_PATIENCE = {"HF_HUB_ETAG_TIMEOUT": "120", "HF_HUB_DOWNLOAD_TIMEOUT": "120"}
os.environ.update(_PATIENCE)
_LIMITS = (resource.RLIMIT_CPU, resource.RLIMIT_FSIZE, resource.RLIMIT_AS)
_LOOPBACK = ("127.", "::1", "localhost", "0.0.0.0")


def pytest_configure(config: pytest.Config) -> None:
    """xdist hands out files in our order: in its own, by how many tests they have, the longest come last."""
    if hasattr(config.option, "loadscopereorder"):
        config.option.loadscopereorder = False


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Files that have slow tests come first, or at the end one process would work on a long one alone."""
    slow = {item.path for item in items if item.get_closest_marker("slow")}
    items.sort(key=lambda item: item.path not in slow)


@pytest.fixture(autouse=True, scope="session")
def _only_loopback() -> Iterator[None]:
    """A test that reaches for the internet fails at once, by name."""
    connect = socket.socket.connect

    def guarded(self: socket.socket, address: Any) -> None:
        if self.family in (socket.AF_INET, socket.AF_INET6) and not str(address[0]).startswith(_LOOPBACK):
            raise AssertionError(f"a test tried to connect to {address!r}; only loopback is open")
        connect(self, address)

    socket.socket.connect = guarded  # type: ignore[method-assign]
    yield
    socket.socket.connect = connect  # type: ignore[method-assign]


@pytest.fixture(scope="session")
def _shared_cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The renamed BLAS is cached per user; making it again for every child process would only test the disk."""
    try:
        _REAL_CACHE.mkdir(parents=True, exist_ok=True)
    except OSError:  # a home that cannot be written to
        return tmp_path_factory.mktemp("cache")
    return _REAL_CACHE


@pytest.fixture(autouse=True)
def _own_world(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch, _shared_cache: Path) -> None:
    """No setting, proxy or home of the machine leaks into a test."""
    proxies = ("http_proxy", "https_proxy", "all_proxy", "no_proxy")
    for name in list(os.environ):
        is_ours = name.startswith(("PROJECTONE_", "HF_", "HUGGINGFACE_")) and name != "PROJECTONE_DATA"
        if is_ours or name.lower() in proxies:
            monkeypatch.delenv(name)
    home = tmp_path_factory.mktemp("home")
    (home / ".cache").mkdir()
    (home / ".cache" / "projectone").symlink_to(_shared_cache, target_is_directory=True)
    monkeypatch.setenv("HOME", str(home))
    monkeypatch.setenv("HF_HOME", str(home / "huggingface"))
    monkeypatch.setenv("HF_HUB_DISABLE_TELEMETRY", "1")
    for name, seconds in _PATIENCE.items():
        monkeypatch.setenv(name, seconds)
    random.seed(0)
    np.random.seed(0)


@pytest.fixture(autouse=True)
def _no_limit_stays() -> Iterator[None]:
    """What limits a process is for a process of its own: the kernel would end this one in the midst of another test."""
    limits = [resource.getrlimit(kind) for kind in _LIMITS]
    yield
    assert [resource.getrlimit(kind) for kind in _LIMITS] == limits, "a test limited the process that runs the tests"


@pytest.fixture(scope="session")
def real_data() -> Path:
    """The folder of real speech; tests that need it are skipped where it is missing."""
    folder = Path(os.environ.get("PROJECTONE_DATA", REPOSITORY.parent / "shared" / "data"))
    if not (folder / "fsdd" / "manifest.jsonl").is_file():
        pytest.skip(f"real speech is not at {folder}: set PROJECTONE_DATA to its folder")
    return folder
