"""kill -9 in the middle of a sentence: every piece that was taken is there at the next start.

The control keeps pieces in memory until they are many, and is caught.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from tests.conftest import REPOSITORY
from tests.faults.live_driver import PIECE_BYTES, piece_at

from projectone.device.live.spool import Spools

DRIVER = REPOSITORY / "tests" / "faults" / "live_driver.py"


def speak_and_die(folder: Path, defence: str, *, n_pieces: int) -> int:
    """How many bytes had been acknowledged when the program was killed."""
    environment = {"PYTHONPATH": str(REPOSITORY), "PATH": os.environ["PATH"]}
    command = [sys.executable, str(DRIVER), str(folder), defence]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=REPOSITORY, env=environment) as driver:
        assert driver.stdout is not None
        for _ in range(n_pieces):
            last = int(driver.stdout.readline())
        driver.kill()
        return max([last, *(int(line) for line in driver.stdout.read().split("\n")[:-1])])


def left(folder: Path) -> bytes:
    """The sound that the next start finds."""
    spools = Spools(folder)
    (name,) = spools.names()
    spool = spools.open(name)
    sound = spool.read(0, spool.n_bytes)
    spool.append(spool.n_bytes, b"on")  # and it can be gone on with
    spool.close()
    return sound


@pytest.mark.parametrize("n_pieces", [1, 49, 53, 400])
def test_a_kill_costs_no_piece_that_was_taken(tmp_path: Path, n_pieces: int) -> None:
    acknowledged = speak_and_die(tmp_path, "all on", n_pieces=n_pieces)
    sound = left(tmp_path)
    assert len(sound) >= acknowledged >= n_pieces * PIECE_BYTES
    whole = len(sound) // PIECE_BYTES * PIECE_BYTES
    assert sound[:whole] == b"".join(piece_at(offset) for offset in range(0, whole, PIECE_BYTES))


def test_the_kill_finds_a_spool_that_lies_in_memory(tmp_path: Path) -> None:
    acknowledged = speak_and_die(tmp_path, "kept in memory", n_pieces=49)
    assert len(left(tmp_path)) < acknowledged
