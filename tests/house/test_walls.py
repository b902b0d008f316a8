"""The walls bite: each is broken once in a copy of the house, and the tool must say so."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from tests.conftest import REPOSITORY

BREACHES = {
    "a device that knows the server": ("device/client.py", "import projectone.server.settings"),
    "contracts that touch the disk": ("contracts/audio.py", "import sqlite3"),
    "a route that loads mlx": ("server/api/app.py", "import mlx.core"),
    "something is unpickled": ("storage/files.py", "import pickle"),
    "a sandbox that holds keys": ("server/sandbox/child.py", "import cryptography"),
    "a Hub that knows our rooms": ("server/hubd/app.py", "import projectone.server.registry.hub"),
    "a workshop that calls a workshop": ("server/evaluation/gate.py", "import projectone.server.training.config"),
    "an upward import inside a function": ("storage/blobs.py", "def _f() -> None:\n    import projectone.speech"),
}


def lint(folder: Path) -> subprocess.CompletedProcess[str]:
    program = "from importlinter.cli import lint_imports_command as main; main()"
    environment = {**os.environ, "PYTHONPATH": str(folder / "src"), "PYTHONDONTWRITEBYTECODE": "1"}
    command = [sys.executable, "-c", program, "--no-cache"]
    return subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("house")
    shutil.copytree(REPOSITORY / "src", folder / "src", ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(REPOSITORY / ".importlinter", folder)
    return folder


@pytest.mark.slow
def test_every_wall_stands_in_the_house_as_it_is(house: Path) -> None:
    done = lint(house)
    assert done.returncode == 0, done.stdout


@pytest.mark.slow
@pytest.mark.parametrize("name", BREACHES)
def test_a_broken_wall_is_noticed(house: Path, name: str) -> None:
    file, line = BREACHES[name]
    path = house / "src" / "projectone" / file
    before = path.read_text()
    try:
        path.write_text(f"{before}\n{line}\n")
        done = lint(house)
    finally:
        path.write_text(before)
    assert done.returncode == 1
    assert "BROKEN" in done.stdout
