"""A lock that dies with its holder."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from projectone.errors import LeaseError
from projectone.storage.locks import exclusive_lock

HOLD = """
import sys, pathlib
from projectone.storage.locks import exclusive_lock
with exclusive_lock(pathlib.Path(sys.argv[1]), what="child"):
    print("held", flush=True)
    sys.stdin.read()
"""


def test_the_second_is_refused_and_the_kernel_lets_go_of_a_killed_holder(tmp_path: Path) -> None:
    path = tmp_path / "x.lock"
    holder = subprocess.Popen(
        [sys.executable, "-c", HOLD, str(path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    with holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == "held\n"
        with pytest.raises(LeaseError, match="updating: another process"), exclusive_lock(path, what="updating"):
            pass
        os.kill(holder.pid, signal.SIGKILL)
        holder.wait()
        with exclusive_lock(path, what="updating"):
            pass


def test_one_that_waits_a_while_comes_after_the_holder_or_is_refused_in_the_words_that_were_given(
    tmp_path: Path,
) -> None:
    path, is_free = tmp_path / "x.lock", threading.Event()

    def hold() -> None:
        with exclusive_lock(path, what="first"):
            is_held.set()
            is_free.wait()

    is_held = threading.Event()
    holder = threading.Thread(target=hold)
    holder.start()
    is_held.wait()
    with (
        pytest.raises(LeaseError, match=r"^looking: wait$"),
        exclusive_lock(path, what="looking", wait_s=0.05, busy="wait"),
    ):
        pass
    threading.Timer(0.1, is_free.set).start()
    with exclusive_lock(path, what="looking", wait_s=30.0):
        assert is_free.is_set()
    holder.join()


def test_one_that_waits_comes_after_the_holder(tmp_path: Path) -> None:
    order: list[str] = []

    def wait() -> None:
        with exclusive_lock(tmp_path / "x.lock", what="second", is_waiting=True):
            order.append("second")

    with exclusive_lock(tmp_path / "x.lock", what="first"):
        thread = threading.Thread(target=wait)
        thread.start()
        thread.join(0.05)
        order.append("first")
    thread.join()
    assert order == ["first", "second"]
