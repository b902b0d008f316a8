"""A program that does one thing on a device over and over, each time killed one step later.

    device_driver.py SCENARIO DEFENCE EVERY SERVER_URL PUBLIC_KEY FOLDER

FOLDER holds `base`, a home to start from. For N = EVERY, 2 * EVERY, ... a child works on a copy of it and is killed
(SIGKILL) before its Nth step that touches the home; another child then looks at what is left. One JSON line per kill
goes to stdout. Forked children share this program's imports, so a hundred kills take seconds.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import sys
import traceback
from collections.abc import Callable
from pathlib import Path

from tests.fakes.device_rooms import heard_by, update
from tests.fakes.release_server import ENROLMENT_CODE, FakeServer

import projectone.device.installed.folders as folders
from projectone.device.installed import Installed
from projectone.device.outbox import Outbox
from projectone.device.releases import client as client  # once here, or every child imports the library
from projectone.device.settings import DeviceSettings
from projectone.device.transport import Transport
from projectone.device.wiring import open_client
from projectone.storage.database import Database

STEPS = {"open", "os.rename", "os.mkdir", "os.remove", "os.rmdir", "os.truncate", "shutil.rmtree", "sqlite3.connect"}
ENOUGH = 400


class KnownServer(FakeServer):
    """The server as this process sees it: an address and a public key."""

    def __init__(self, url: str, public_key: str) -> None:
        super().__init__()
        self.url = url
        self._known_key = public_key

    @property
    def public_key(self) -> str:
        return self._known_key


def kill_before_step(number: int, home: Path) -> None:
    """From now on, count what touches the home, and die before the given step."""
    left = number

    def step() -> None:
        nonlocal left
        left -= 1
        if left == 0:
            os.kill(os.getpid(), signal.SIGKILL)

    def on_event(event: str, arguments: tuple[object, ...]) -> None:
        if event in STEPS and any(isinstance(item, str) and item.startswith(str(home)) for item in arguments):
            step()

    fsync = os.fsync

    def counted_fsync(descriptor: int) -> None:
        step()
        fsync(descriptor)

    sys.addaudithook(on_event)
    os.fsync = counted_fsync
    # SQLite's own files are beyond Python's sight: every statement and every request counts instead.
    count_calls(Database, "execute", step)
    count_calls(Transport, "call", step)
    folders.after_each_block = step  # type: ignore[attr-defined]  # used by the defences that are off


def count_calls(kind: type, name: str, step: Callable[[], None]) -> None:
    """Make each call of a method two steps: one before it, one after it."""
    method = getattr(kind, name)

    def counted(*arguments: object, **options: object) -> object:
        step()
        result = method(*arguments, **options)
        step()
        return result

    setattr(kind, name, counted)


def write_in_place(path: Path, content: bytes) -> None:
    """What `write_atomically` must not be."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("wb", buffering=0) as stream:
        for start in range(0, len(content), 64):
            folders.after_each_block()  # type: ignore[attr-defined]
            stream.write(content[start : start + 64])


def overwrite_live_folder(self: Installed, package: Path, manifest: object) -> object:
    """The design read literally: unpack into the folder of the model in use."""
    state = self.state()
    slot = original_add(self, package, manifest)  # type: ignore[arg-type]
    if state.current is not None:
        live, fresh = self.path_of(state.current), self.path_of(slot)
        for name in sorted(path.name for path in fresh.iterdir()):
            (fresh / name).replace(live / name)
            folders.after_each_block()  # type: ignore[attr-defined]
        fresh.rmdir()
        slot = slot.model_copy(update={"folder": live.name})
    return slot


original_add = Installed.add
DEFENCES_OFF: dict[str, Callable[[], None]] = {
    "all on": lambda: None,
    "state written in place": lambda: setattr(folders, "write_atomically", write_in_place),
    "live folder overwritten": lambda: setattr(Installed, "add", overwrite_live_folder),
    "what was being sent is forgotten": lambda: setattr(Outbox, "recover", lambda self: 0),
}


def in_child(work: Callable[[], object], answer: Path) -> int:
    """The wait status of a forked child; what `work` gives, or the error it ends with, is in `answer` as JSON."""
    pid = os.fork()
    if pid == 0:
        try:
            answer.write_text(json.dumps(work()))
        except BaseException:
            answer.write_text(json.dumps({"error": traceback.format_exc(limit=-3)}))
            os._exit(1)
        os._exit(0)
    return os.waitpid(pid, 0)[1]


def look_at_install(home: Path, server: KnownServer) -> object:
    """What a user finds after the crash: which model works, whether order is stable, whether the update can finish."""
    heard = heard_by(home)
    once = Installed(home / "models").recover()
    again = Installed(home / "models").recover()
    update(home, server)
    return {
        "heard": heard,
        "is_stable": once == again and heard_by(home) is not None,
        "heard_after_update": heard_by(home),
        "left_over": sorted(path.name for path in (home / "models" / "releases").iterdir() if path.name[0] == "."),
    }


def sync(home: Path, server: KnownServer) -> object:
    """Send what waits, as `projectone sync` does."""
    settings = DeviceSettings(home=home, server=server.url, enrolment_code=ENROLMENT_CODE)
    with open_client(settings) as client:
        report = client.sync()
        return {"sent": report.sent, "waiting": report.waiting, "uploaded": client.status().uploaded}


def main() -> None:
    """Kill, look, report; until a child gets to its end."""
    scenario, defence, every, url, public_key, folder = sys.argv[1:]
    root = Path(folder)
    server = KnownServer(url, public_key)
    DEFENCES_OFF[defence]()
    folders.after_each_block = lambda: None  # type: ignore[attr-defined]
    work = {"install": update, "sync": sync}[scenario]
    look = {"install": look_at_install, "sync": sync}[scenario]
    for number in range(int(every), ENOUGH, int(every)):
        home = root / f"home-{number}"
        shutil.copytree(root / "base", home)

        def act(number: int = number, home: Path = home) -> None:
            kill_before_step(number, home)
            work(home, server)

        status = in_child(act, root / "acted.json")
        in_child(lambda home=home: look(home, server), root / "answer.json")  # type: ignore[misc]
        was_killed = os.WIFSIGNALED(status)
        found = json.loads((root / "answer.json").read_text())
        print(json.dumps({"step": number, "killed": was_killed, **found}), flush=True)
        shutil.rmtree(home)
        if not was_killed:
            acted = json.loads((root / "acted.json").read_text())
            sys.exit(f"the work failed by itself: {acted}" if acted else 0)
    sys.exit(f"still not at the end after {ENOUGH} steps")


if __name__ == "__main__":
    main()
