"""Escapes: each is tried twice, without the seal, where it must succeed, and with it, where it must not."""

import subprocess
import sys
from pathlib import Path

import pytest

from projectone.server.sandbox.seal import what_is_not_enforced

pytestmark = pytest.mark.skipif(
    bool(what_is_not_enforced()), reason=f"not enforced here: {', '.join(what_is_not_enforced())}"
)

ESCAPES = {
    "read a file": "open('/etc/hostname').read()",
    "list a folder": "os.listdir('/')",
    "write a file": "open(target, 'w').write('x')",
    "remove a file": "os.unlink(victim)",
    "rename a file": "os.rename(victim, target)",
    "make a folder": "os.mkdir(target)",
    "open a socket": "socket.socket()",
    "open a local socket": "socket.socket(socket.AF_UNIX)",
    "start a program": "os.execv('/bin/true', ['true'])",
    "fork": "os._exit(0) if os.fork() == 0 else os.wait()",
    "signal another process": "os.kill(os.getppid(), 0)",
    "take all memory": "bytearray(3 << 30)",
    "dump core": "assert resource.getrlimit(resource.RLIMIT_CORE)[0] != 0 or limited",
}

PROGRAM = """
import os, resource, socket, sys
from projectone.server.sandbox.seal import apply_limits, apply_seal
target, victim, sealed = sys.argv[1], sys.argv[2], sys.argv[3] == "sealed"
limited = not sealed
if sealed:
    missing = apply_limits(memory_bytes=1 << 30) + apply_seal()
    assert not missing, missing
try:
    {escape}
except (OSError, MemoryError, AssertionError):
    os._exit(7)
os._exit(0)
"""


def attempt(escape: str, folder: Path, mode: str) -> int:
    victim = folder / "victim"
    victim.write_text("x")
    command = [sys.executable, "-c", PROGRAM.format(escape=escape), str(folder / "target"), str(victim), mode]
    return subprocess.run(command, check=False, timeout=300).returncode


@pytest.mark.parametrize("name", ESCAPES)
def test_a_sealed_process_cannot(name: str, tmp_path: Path) -> None:
    assert attempt(ESCAPES[name], tmp_path, "sealed") == 7
    assert (tmp_path / "victim").exists()
    assert not (tmp_path / "target").exists()


@pytest.mark.parametrize("name", [name for name in ESCAPES if name != "take all memory"])
def test_without_the_seal_it_can(name: str, tmp_path: Path) -> None:
    assert attempt(ESCAPES[name], tmp_path, "open") == 0


def test_a_process_that_computes_for_ever_is_stopped() -> None:
    program = "from projectone.server.sandbox.seal import grant_cpu\ngrant_cpu(0)\nwhile True: pass"
    done = subprocess.run([sys.executable, "-c", program], check=False, timeout=300)
    assert done.returncode == -24  # SIGXCPU
