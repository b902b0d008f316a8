"""A program that sends one request to a real server over and over, each time killing the server one step later.

    server_driver.py REQUEST DEFENCE EVERY FOLDER

For N = EVERY, 2 * EVERY, ... a forked server (`projectone-server serve`, a socket, a disk) works on a home and is
killed (SIGKILL) before its Nth step of the request; another child then starts a server on what is left and looks. One
JSON line per kill goes to stdout. Forked children share this program's imports, so a hundred kills take seconds.
"""

from __future__ import annotations

import contextlib
import io
import json
import os
import shutil
import signal
import sys
import traceback
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx2
from tests.fakes.caller import Caller, a_clip
from tests.faults.server_disk import Opened, opened
from tests.faults.steps import Steps

from projectone.contracts import endpoints
from projectone.contracts.uploads import UploadReceipt
from projectone.server import cli
from projectone.server.corpus.catalog import Catalog
from projectone.server.serve import processes

PATIENCE_S = 300
ENOUGH = 400
CLIPS = {name: a_clip(seed, duration_s=0.2) for seed, name in enumerate(["one", "two", "three"])}


def send(request: str, ada: Caller) -> int:
    """The status of the answer."""
    if request == "sample":
        return int(ada.put(CLIPS["one"], name="one").status_code)
    if request == "batch":
        answer = ada.signed("POST", endpoints.UPLOAD_TRAINING_DATA, batch(ada))
        return int(answer.status_code) if len(answer.json().get("stored", ())) == 2 else 500
    return int((ada.grant() if request == "consent" else ada.withdraw()).status_code)


def batch(ada: Caller) -> bytes:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as archive:
        for name in ("two", "three"):
            correction = ada.correction(CLIPS[name], name=name)
            archive.writestr(f"{correction.sample_id}.json", correction.to_bytes())
            archive.writestr(f"{correction.sample_id}.wav", CLIPS[name])
    return stream.getvalue()


def prepare(request: str, home: Path) -> None:
    """A home on which the request is the next thing to happen."""
    with opened(home, is_new=True) as server:
        ada = server.caller()
        ada.enrol()
        if request != "consent":
            ada.grant()
        if request == "withdrawal":
            for name in ("one", "two"):
                ada.put(CLIPS[name], name=name)


def names_of(server: Opened, ada: Caller) -> set[str]:
    """Which clips are kept; raises if a row has none or other bytes than were sent."""
    clips = server.clips()
    found = {name for name, clip in CLIPS.items() if _id(ada, name) in clips}
    wrong = [name for name in found if clips[_id(ada, name)] != CLIPS[name]]
    if wrong or len(found) != len(clips):
        raise AssertionError(f"kept otherwise than sent: {wrong}, {len(clips)} rows")
    return found


def _id(ada: Caller, name: str) -> str:
    return str(ada.correction(CLIPS[name], name=name).sample_id)


def look(request: str, home: Path) -> dict[str, Any]:
    """What the next server finds, and whether the request can be sent again."""
    with opened(home) as server:
        ada = server.caller()
        found = {"kept": sorted(names_of(server, ada)), "orphans": sorted(server.orphans())}
        found["again"] = send(request, ada)
        found["kept_then"] = sorted(names_of(server, ada))
    return found


class _InMemory:
    """Rows that wait for the next request: acknowledged before they are kept."""

    waiting: list[Callable[[], object]] = []
    add = Catalog.add

    def later(self, correction: Any, **values: Any) -> Any:
        for keep in _InMemory.waiting:
            keep()
        _InMemory.waiting = [lambda: _InMemory.add(self, correction, **values)]  # type: ignore[arg-type]
        at = values["now"]
        return UploadReceipt(sample_id=correction.sample_id, sha256=correction.audio.sha256, received_at=at), True


# Off in the server that is killed, or in the one that looks at what is left.
OFF_IN_THE_KILLED: dict[str, Callable[[], None]] = {
    "acknowledged before it is kept": lambda: setattr(Catalog, "add", _InMemory.later)
}
OFF_IN_THE_NEXT: dict[str, Callable[[], None]] = {"no sweep": lambda: setattr(processes, "sweep", lambda *arguments: 0)}


def serve(home: Path, defence: str, die_before: int, out: int) -> int:
    """The real server, in this process, until it is told to end or dies."""
    left = die_before
    announce = processes._announce
    stack = contextlib.ExitStack()

    def step(name: str) -> None:
        nonlocal left
        left -= 1
        if left == 0:
            os.kill(os.getpid(), signal.SIGKILL)

    def announce_and_count(*arguments: Any, **options: Any) -> None:
        announce(*arguments, **options)
        stack.enter_context(Steps(home, step))

    processes._announce = announce_and_count  # type: ignore[assignment]
    OFF_IN_THE_KILLED.get(defence, bool)()
    os.dup2(out, 1)
    return cli.main(["serve", "--only", "api", "--api-port", "0", "--json"])


def in_child(work: Callable[[], object]) -> int:
    """The process id of a forked child; it exits with what `work` gives."""
    pid = os.fork()
    if pid:
        return pid
    code = 1
    try:
        code = int(work() or 0)  # type: ignore[call-overload]
    except BaseException:
        traceback.print_exc()
    finally:
        os._exit(code)


def killed_at(step: int, request: str, home: Path, defence: str) -> tuple[bool, int | None]:
    """Whether the server died at that step, and the status of the answer that was received before."""
    reading, writing = os.pipe()
    pid = in_child(lambda: serve(home, defence, step, writing))
    os.close(writing)
    with os.fdopen(reading) as said:
        api = json.loads(said.readline())["api"]
        status = None
        code = (home / "keys" / "enrolment-code").read_text().strip()
        with contextlib.suppress(httpx2.TransportError), httpx2.Client(base_url=api, timeout=PATIENCE_S) as http:
            status = send(request, Caller(http, code))
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGTERM)
        ended = os.waitpid(pid, 0)[1]
    return os.WIFSIGNALED(ended), status


def main() -> None:
    """Kill, look, report; until a server gets to its end."""
    request, defence, every, folder = sys.argv[1:]
    root = Path(folder)
    os.waitpid(in_child(lambda: prepare(request, root / "base")), 0)
    for step in range(int(every), ENOUGH, int(every)):
        home = root / f"home-{step}"
        shutil.copytree(root / "base", home)
        os.environ["PROJECTONE_SERVER_HOME"] = str(home)
        was_killed, status = killed_at(step, request, home, defence)

        def report(
            home: Path = home, was_killed: bool = was_killed, status: int | None = status, step: int = step
        ) -> None:
            try:
                OFF_IN_THE_NEXT.get(defence, bool)()
                found = look(request, home)
            except Exception as error:
                found = {"error": f"{type(error).__name__}: {error}"}
            print(json.dumps({"step": step, "killed": was_killed, "status": status, **found}), flush=True)

        os.waitpid(in_child(report), 0)
        shutil.rmtree(home)
        if not was_killed:
            return
    sys.exit(f"still not at the end after {ENOUGH} steps")


if __name__ == "__main__":
    main()
