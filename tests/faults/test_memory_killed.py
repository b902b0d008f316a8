"""kill -9 between a memory's row and its vector: no orphan is ever served, and the next sweep mends what is torn.

The vectors lie in a file of their own here, so that no transaction spans both. The control keeps a memory without the
note that comes first: then the vector stays for ever.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from tests.conftest import REPOSITORY
from tests.unit.assist.memory.rooms import ANA, T0, WIDTH, open_database, open_memory, recalled

from projectone.assist.vectors.sqlite import VECTORS_TABLE, SqliteVectors
from projectone.storage.database import Database

_RUN = """
import os, signal, sys
from pathlib import Path
from projectone.assist.memory.rows import OwnedRows
from tests.faults.test_memory_killed import vectors_in
from tests.unit.assist.memory.rooms import ANA, T0, open_database, open_memory, say

home, where, action = Path(sys.argv[1]), sys.argv[2], sys.argv[3]
store = vectors_in(home)
memory = open_memory(open_database(home), store=store)
kept = say(memory, ANA, "call Anna")
if "unannounced" in sys.argv:
    OwnedRows.announce, OwnedRows.is_announced = (lambda self, name: None), (lambda self, name: True)

def die(*arguments):
    os.kill(os.getpid(), signal.SIGKILL)

def after(call):
    return lambda *arguments, **named: (call(*arguments, **named), die())

owner, name = where.split(".")
target = {"store": type(store), "rows": OwnedRows}[owner]
moment = name.split("-")
setattr(target, moment[1], die if moment[0] == "before" else after(getattr(target, moment[1])))
if action == "remember":
    say(memory, ANA, "call Ben")
elif action == "drop":
    memory.drop(ANA, [kept.memory_id])
else:
    memory.forget(ANA)
raise SystemExit("nobody died")
"""


def vectors_in(home: Path) -> SqliteVectors:
    return SqliteVectors(Database(home / "vectors.sqlite", (VECTORS_TABLE,)), WIDTH)


def die(home: Path, where: str, action: str, *more: str) -> None:
    """One memory is there; killed while another comes, or while it goes."""
    environment = {"PYTHONPATH": str(REPOSITORY), "PATH": os.environ["PATH"]}
    command = [sys.executable, "-c", _RUN, str(home), where, action, *more]
    done = subprocess.run(command, cwd=REPOSITORY, env=environment, check=False, capture_output=True)
    assert done.returncode == -signal.SIGKILL, done.stderr.decode()[-500:]


@pytest.mark.parametrize(
    ("where", "action", "n_served", "n_vectors"),
    [
        ("store.before-put", "remember", 1, 1),
        ("store.after-put", "remember", 1, 2),
        ("rows.after-add", "remember", 1, 2),
        ("rows.after-delete", "drop", 0, 1),
        ("store.after-drop", "drop", 0, 0),
        ("rows.after-delete_all", "forget", 0, 1),
    ],
)
def test_what_is_torn_by_a_kill_is_not_served_and_is_mended(
    tmp_path: Path, where: str, action: str, n_served: int, n_vectors: int
) -> None:
    die(tmp_path, where, action)
    database, store = open_database(tmp_path), vectors_in(tmp_path)
    memory = open_memory(database, store=store)
    assert store.count(ANA) == n_vectors  # what the kill left
    assert len(recalled(memory, ANA, "call Anna or Ben")) == n_served
    memory.sweep(T0)
    assert store.count(ANA) == len(memory.newest(ANA, 9, T0)) == n_served
    assert database.query("SELECT 1 FROM memory_remains") == []
    memory.sweep(T0, n_texts=9)
    assert len(recalled(memory, ANA, "call Anna or Ben")) == n_served
    database.close()


def test_without_the_note_a_vector_would_stay_for_ever(tmp_path: Path) -> None:
    die(tmp_path, "store.after-put", "remember", "unannounced")
    database, store = open_database(tmp_path), vectors_in(tmp_path)
    memory = open_memory(database, store=store)
    memory.sweep(T0)
    assert (store.count(ANA), len(memory.newest(ANA, 9, T0))) == (2, 1)
    assert len(recalled(memory, ANA, "call Anna or Ben")) == 1  # and yet it is not served
    database.close()
