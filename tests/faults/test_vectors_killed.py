"""kill -9 while vectors are put: afterwards all of them are there, or none."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from uuid import UUID

import numpy as np
import pytest
from tests.conftest import REPOSITORY

from projectone.assist.vectors.protocol import Item, Owner
from projectone.assist.vectors.sqlite import VECTORS_TABLE, SqliteVectors
from projectone.storage.database import Database

OWNER = Owner("t", "anna")
_N_BEFORE, _N_PUT = 5, 30

# One child for each statement at which it kills itself: the first, one in the middle, the last, and the commit.
_PUT = """
import contextlib, os, signal, sys
from pathlib import Path
from tests.faults.test_vectors_killed import items, opened
from projectone.storage.database import Database

def put_and_die(folder, at, defence):
    store, database = opened(folder)
    store.put(items(0, 5))
    if defence == "off":
        Database.transaction = lambda self: contextlib.nullcontext()
    seen = []
    def die(statement):
        seen.append(statement)
        if at == len(seen) or at == 0 and statement.startswith("COMMIT"):
            os.kill(os.getpid(), signal.SIGKILL)
    database._connection.set_trace_callback(die)
    store.put(items(3, 30))

for at in map(int, sys.argv[3:]):
    child = os.fork()
    if not child:
        put_and_die(Path(sys.argv[1]) / str(at), at, sys.argv[2])
        os._exit(0)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == -signal.SIGKILL
"""


def items(start: int, n: int) -> list[Item]:
    rows = np.random.default_rng(0).standard_normal((start + n, 8)).astype(np.float32)
    return [Item(UUID(int=number), OWNER, rows[number], None, "said") for number in range(start, start + n)]


def opened(folder: Path) -> tuple[SqliteVectors, Database]:
    database = Database(folder / "device.sqlite", (VECTORS_TABLE,))
    return SqliteVectors(database, 8), database


def counts_after_kills(folder: Path, defence: str, at: list[int]) -> list[int]:
    environment = {"PYTHONPATH": str(REPOSITORY), "PATH": os.environ["PATH"]}
    command = [sys.executable, "-c", _PUT, str(folder), defence, *map(str, at)]
    subprocess.run(command, cwd=REPOSITORY, env=environment, check=True)
    found = []
    for point in at:
        store, database = opened(folder / str(point))
        found.append(store.count(OWNER))
        store.put(items(3, _N_PUT))  # what was not acknowledged is put again
        assert store.count(OWNER) == _N_PUT + 3
        database.close()
    return found


@pytest.mark.parametrize(("defence", "is_whole"), [("on", True), ("off", False)])
def test_a_kill_while_vectors_are_put_leaves_all_or_none(tmp_path: Path, defence: str, is_whole: bool) -> None:
    at = [2, 17, 31, 0] if defence == "on" else [17, 29]  # without the defence nothing is committed at the end
    counts = counts_after_kills(tmp_path, defence, at)
    assert (set(counts) == {_N_BEFORE}) is is_whole
