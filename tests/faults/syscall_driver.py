"""A program that lets a device do one thing over and over, each time with one system call more that ends badly.

    syscall_driver.py SCENARIO DEFENCE TROUBLE EVERY FOLDER

SCENARIO: `day` (recordings, consents, outbox, unfinished sound) or `install`. TROUBLE: `KILL` (SIGKILL before the Nth
call of a kind), `ENOSPC` or `EIO` (the Nth and all later calls of the kind fail). For every kind of call that changes a
disk and N = 1, 1 + EVERY, ...: a child works on a copy of `FOLDER/base` under strace; then another one looks at what is
left. One JSON line per child goes to stdout. The calls are those of the kernel, so SQLite's own are among them.
"""

from __future__ import annotations

import base64
import json
import mmap
import os
import re
import shutil
import subprocess
import sys
import traceback
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import tests.faults.test_device_crash_states as installs
import tests.faults.test_device_store_crashes as stores
from tests.faults.device_store import Server, device, live_through

from projectone.errors import ProjectOneError

CALLS = (
    "write", "pwrite64", "fsync", "fdatasync", "rename", "mkdir", "unlink", "rmdir", "ftruncate", "linkat", "fchmod",
)  # fmt: skip
Bug = Callable[[pytest.MonkeyPatch], None]
DEFENCES_OFF: dict[str, Bug] = {
    "all on": lambda patch: None,
    "sent before the answer": stores.sent_before_the_answer,
    "what was being sent is forgotten": stores.what_was_being_sent_is_forgotten,
    "a row before its sound": stores.a_row_before_its_sound,
    "changes in pieces": stores.changes_in_pieces,
    "state written in place": installs.state_written_in_place,
    "live folder overwritten": installs.live_folder_overwritten,
}


class Shared:
    """Lines that a child leaves behind, whatever ends it; a line costs no system call."""

    def __init__(self) -> None:
        self._memory = mmap.mmap(-1, 4 * 2**20)

    def say(self, line: str) -> None:
        content = line.encode() + b"\n"
        end = int.from_bytes(self._memory[:8], "little")
        self._memory[8 + end : 8 + end + len(content)] = content
        self._memory[:8] = (end + len(content)).to_bytes(8, "little")

    def lines(self) -> list[str]:
        end = int.from_bytes(self._memory[:8], "little")
        return self._memory[8 : 8 + end].decode().splitlines()

    def clear(self) -> None:
        self._memory[:8] = bytes(8)


def a_day(home: Path, shared: Shared, patch: pytest.MonkeyPatch) -> None:
    """What a person does on a day, and what the server remembers of it."""
    server = Server()

    def note(what: str) -> None:
        shared.say(what)
        if what.startswith("server "):
            samples = {
                name: [header, base64.b64encode(body).decode()] for name, (header, body) in server.samples.items()
            }
            memory = [server.is_known, sorted(server.consents), sorted(server.erased), samples]
            shared.say(f"memory {json.dumps(memory)}")

    server.say = note
    with device(home, server, patch) as client:
        live_through(client, note)


def look_at_the_day(home: Path, shared: Shared, patch: pytest.MonkeyPatch) -> str | None:
    lines, server = shared.lines(), Server()
    memories = [line.removeprefix("memory ") for line in lines if line.startswith("memory ")]
    if memories:
        is_known, consents, erased, samples = json.loads(memories[-1])
        kept = {name: (header, base64.b64decode(body)) for name, (header, body) in samples.items()}
        server = Server(is_known, set(consents), set(erased), kept)
    said = frozenset(line for line in lines if not line.startswith("memory "))
    return stores.find_violation(home, server, said, patch)


def an_install(home: Path, shared: Shared, patch: pytest.MonkeyPatch) -> None:
    installs.install(home, installs.NEW)


def look_at_the_install(home: Path, shared: Shared, patch: pytest.MonkeyPatch) -> str | None:
    return installs.find_violation(home, {"old", "new"}, installs.NEW)


SCENARIOS = {"day": (a_day, look_at_the_day), "install": (an_install, look_at_the_install)}


def forked(work: Callable[[], object]) -> int:
    """The process id of a child that does this."""
    pid = os.fork()
    if pid == 0:
        try:
            work()
        except (ProjectOneError, OSError):
            os._exit(3)  # what the terminal tells in one line
        except BaseException:
            traceback.print_exc(limit=-4)
            os._exit(1)
        os._exit(0)
    return pid


def under_strace(work: Callable[[], object], *options: str, log: Path = Path("/dev/null")) -> int:
    """The wait status of a child that does `work` while strace looks on, or meddles."""
    ready, go = os.pipe()

    def wait_and_work() -> None:
        os.read(ready, 1)
        work()

    pid = forked(wait_and_work)
    command = ["strace", "-f", "-p", str(pid), "-o", str(log), *options]
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True) as strace:
        assert strace.stderr is not None
        assert "attached" in strace.stderr.readline(), "strace cannot attach here"
        os.write(go, b"!")
        status = os.waitpid(pid, 0)[1]
    for descriptor in (ready, go):
        os.close(descriptor)
    return status


def looked_at(look: Callable[[], str | None], answer: Path) -> str | None:
    """What another process finds wrong."""
    answer.unlink(missing_ok=True)
    status = os.waitpid(forked(lambda: answer.write_text(json.dumps(look()))), 0)[1]
    if status:
        return f"the next start does not come to its end: {status}"
    found: str | None = json.loads(answer.read_text())
    return found


def ends(scenario: str, trouble: str, every: int, root: Path, patch: pytest.MonkeyPatch) -> Iterator[dict[str, object]]:
    """What was found after each child."""
    work, look = SCENARIOS[scenario]
    shared, home = Shared(), root / "home"

    def act(*options: str, log: Path = Path("/dev/null")) -> int:
        shared.clear()
        shutil.copytree(root / "base", home)
        return under_strace(lambda: work(home, shared, patch), *options, log=log)

    act("-e", f"trace={','.join(CALLS)}", log=root / "calls")
    shutil.rmtree(home)
    made = Counter(re.findall(r"^\d+ +(\w+)\(", (root / "calls").read_text(), re.MULTILINE))
    for call in CALLS:
        for number in range(1, made[call] + 1, every):
            how = f"signal=KILL:when={number}" if trouble == "KILL" else f"error={trouble}:when={number}+"
            status = act("-e", f"trace={call}", "-e", f"inject={call}:{how}")
            problem = looked_at(lambda: look(home, shared, patch), root / "answer.json")
            if os.WIFEXITED(status) and os.WEXITSTATUS(status) == 1:
                problem = problem or "the work ended with an error that is none of ours"
            is_hit = os.WIFSIGNALED(status) if trouble == "KILL" else True
            yield {"call": call, "number": number, "is_hit": is_hit, "problem": problem}
            shutil.rmtree(home)


def main() -> None:
    """Do all of it."""
    scenario, defence, trouble, every, folder = sys.argv[1:]
    root, patch = Path(folder), pytest.MonkeyPatch()
    (root / "base").mkdir()
    if scenario == "install":
        installs.install(root / "base", installs.OLD)
    DEFENCES_OFF[defence](patch)
    for found in ends(scenario, trouble, int(every), root, patch):
        print(json.dumps(found), flush=True)


if __name__ == "__main__":
    main()
