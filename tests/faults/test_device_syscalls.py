"""kill -9, a full disk and a broken one at every system call of a day on the device and of an install.

The calls are the kernel's own, SQLite's among them. `PROJECTONE_FULL_KILLS=1` takes every one of them, each trouble and
each control, in some minutes; `-s` shows the figures. Without it a few stand for all.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.conftest import REPOSITORY

IS_FULL = bool(os.environ.get("PROJECTONE_FULL_KILLS"))
DRIVER = REPOSITORY / "tests" / "faults" / "syscall_driver.py"

ERRORS = ("ENOSPC", "EIO")
full = pytest.mark.skipif(not IS_FULL, reason="takes minutes: PROJECTONE_FULL_KILLS=1 has it")

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(shutil.which("strace") is None, reason="strace is not installed: nothing can be injected"),
]


def drive(scenario: str, defence: str, trouble: str, every: int, folder: Path) -> Iterator[dict[str, Any]]:
    """What was found after each child, one after the other."""
    command = [sys.executable, str(DRIVER), scenario, defence, trouble, str(every), str(folder)]
    environment = os.environ | {"PYTHONPATH": f"{REPOSITORY}:{REPOSITORY / 'src'}"}
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd=REPOSITORY, env=environment
    ) as driver:
        assert driver.stdout is not None
        assert driver.stderr is not None
        try:
            for line in driver.stdout:
                yield json.loads(line)
            problem = driver.stderr.read()
            if "strace cannot attach here" in problem:
                pytest.skip("strace cannot attach here: ptrace is not allowed")
            assert driver.wait() == 0, problem
        finally:
            driver.kill()


@pytest.mark.parametrize(
    ("scenario", "trouble", "every"),
    [
        ("day", "KILL", 131),
        ("install", "KILL", 53),
        *(pytest.param(scenario, trouble, 1, marks=full) for scenario in ("day", "install") for trouble in ERRORS),
    ],
)
def test_what_ends_badly_at_any_system_call_loses_nothing_and_can_be_gone_on_with(
    scenario: str, trouble: str, every: int, folder: Path
) -> None:
    found = list(drive(scenario, "all on", trouble, 1 if IS_FULL else every, folder))
    hit = Counter(item["call"] for item in found if item["is_hit"])
    print(f"{scenario}, {trouble}: {sum(hit.values())} calls ended badly, {dict(hit)}")
    assert [item for item in found if item["problem"] is not None] == []
    assert {"write", "fsync", "rename"} <= set(hit), "the calls are no longer seen"


@pytest.mark.parametrize(
    ("scenario", "defence"),
    [
        pytest.param("day", "sent before the answer", marks=full),
        pytest.param("day", "what was being sent is forgotten", marks=full),
        pytest.param("day", "a row before its sound", marks=full),
        pytest.param("day", "changes in pieces", marks=full),
        pytest.param("install", "state written in place", marks=full),
        ("install", "live folder overwritten"),
    ],
)
def test_the_kills_find_a_device_that_does_it_wrong(scenario: str, defence: str, folder: Path) -> None:
    found = drive(scenario, defence, "KILL", 1 if scenario == "install" else 3, folder)
    assert any(item["problem"] is not None for item in found)
    found.close()
