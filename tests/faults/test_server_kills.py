"""kill -9 before the steps of a request, on the real server, a real socket and a real disk.

Every third step, or with `PROJECTONE_FULL_KILLS=1` every one. Each defence has a control in which it is off, which
must be caught: a test that cannot fail proves nothing.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.conftest import REPOSITORY

EVERY = 1 if os.environ.get("PROJECTONE_FULL_KILLS") else 3
DRIVER = REPOSITORY / "tests" / "faults" / "server_driver.py"
HELD = {"sample": ["one"], "batch": ["three", "two"], "consent": [], "withdrawal": []}
BEFORE = {"sample": [[]], "batch": [[], ["two"], ["three"]], "consent": [[]], "withdrawal": [["one", "two"]]}


def drive(request: str, folder: Path, *, defence: str = "all on", every: int = 1) -> Iterator[dict[str, Any]]:
    """What was found after each kill, one after the other."""
    command = [sys.executable, str(DRIVER), request, defence, str(every), str(folder)]
    path = os.pathsep.join([str(REPOSITORY), str(REPOSITORY / "src")])
    assert defence in {"all on", "no sweep", "acknowledged before it is kept"}  # the driver takes others for "all on"
    environment = {**os.environ, "PYTHONPATH": path}
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, text=True, cwd=REPOSITORY, env=environment, start_new_session=True
    ) as driver:
        assert driver.stdout is not None
        try:
            for line in driver.stdout:
                yield json.loads(line)
            assert driver.wait() == 0
        finally:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(driver.pid, signal.SIGKILL)  # the server that it may have just forked, too


def is_violated(request: str, found: dict[str, Any]) -> bool:
    """Something acknowledged is lost, something is left over, or there is no way on."""
    if "error" in found or found["orphans"]:
        return True
    is_acknowledged = found["status"] in (200, 201)
    allowed = [HELD[request]] if is_acknowledged else [HELD[request], *BEFORE[request]]
    return found["kept"] not in allowed or found["again"] not in (200, 201) or found["kept_then"] != HELD[request]


def check(request: str, found: list[dict[str, Any]]) -> None:
    assert [item for item in found if is_violated(request, item)] == []
    assert [item["killed"] for item in found] == [True] * (len(found) - 1) + [False]
    assert found[-1]["status"] in (200, 201)


@pytest.mark.slow
def test_a_kill_at_any_step_of_any_request_loses_nothing_that_was_acknowledged(folder: Path) -> None:
    n_kills = 0
    for request in HELD:
        (folder / request).mkdir()
        found = list(drive(request, folder / request, every=EVERY))
        check(request, found)
        assert any(item["status"] is None for item in found), "no kill came before an answer"
        n_kills += len(found) - 1
    assert n_kills >= 100 // EVERY, "the steps are no longer seen"


def test_kills_at_some_steps_of_an_upload_lose_nothing_that_was_acknowledged(folder: Path) -> None:
    found = list(drive("sample", folder, every=9))
    check("sample", found)
    assert len(found) >= 3, "the steps are no longer seen"


@pytest.mark.slow
@pytest.mark.parametrize("defence", ["no sweep", "acknowledged before it is kept"])
def test_the_kills_find_a_server_without_its_defence(defence: str, folder: Path) -> None:
    assert any(is_violated("sample", item) for item in drive("sample", folder, defence=defence, every=EVERY))
