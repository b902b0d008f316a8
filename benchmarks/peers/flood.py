"""Devices that send beside each other, each from a process of its own, and what became of every single request.

A request is due at its moment whether or not the one before it was answered, and is sent at once where it is late. A
device has as many lines as it is given, and opens another one where the server closed it. Run as a program, it sends
what lies in a folder, from the moment that it is told:

    python benchmarks/peers/flood.py FOLDER
"""

from __future__ import annotations

import contextlib
import json
import socket
import subprocess
import sys
import threading
import time
from dataclasses import dataclass
from pathlib import Path

if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from peers.senders import Prepared, connect, fields_of

START_S = 0.2


@dataclass(frozen=True)
class Device:
    """What one device sends in a round.

    Attributes:
        uploads: Prepared and signed.
        per_s: How many of them are due in a second.
        until_s: Those that were not sent so long after the beginning are left out.
        n_lines: Connections at once.
    """

    uploads: Prepared
    per_s: float
    until_s: float
    n_lines: int = 1


@dataclass(frozen=True)
class Answered:
    """One request.

    Attributes:
        due_s: After the beginning of the round.
        wait_s: From when it was due until it was answered.
        status: Of the answer, or the name of what happened instead.
        says_when: Whether there is a `Retry-After`.
    """

    due_s: float
    wait_s: float
    status: str
    says_when: bool


def send_together(folder: Path, address: str, devices: list[Device]) -> list[list[Answered]]:
    """What came of each device's requests, all devices beginning at one moment; `folder` is made."""
    senders = []
    for number, device in enumerate(devices):
        own = folder / str(number)
        own.mkdir(parents=True)
        (own / "body").write_bytes(device.uploads.body)
        plan = {"address": address, "number": number, "heads": device.uploads.heads, "per_s": device.per_s}
        (own / "plan.json").write_text(json.dumps({**plan, "until_s": device.until_s, "n_lines": device.n_lines}))
        command = [sys.executable, __file__, str(own)]
        senders.append(subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True))
    for sender in senders:
        assert sender.stdout is not None
        assert sender.stdout.readline() == "ready\n"
    start_s = time.monotonic() + START_S  # one clock for every process of a machine
    for sender in senders:
        assert sender.stdin is not None
        sender.stdin.write(f"{start_s}\n")
        sender.stdin.flush()
    found = [[Answered(*row) for row in json.loads(sender.communicate()[0])] for sender in senders]
    assert not any(sender.returncode for sender in senders)
    return found


def send_from(folder: Path) -> list[tuple[float, float, str, bool]]:
    """Send what lies in the folder; gives the values of an `Answered` for each request."""
    plan, body = json.loads((folder / "plan.json").read_text()), (folder / "body").read_bytes()
    host, port = plan["address"].split(":")
    waiting = iter(list(enumerate(plan["heads"])))
    answers: list[tuple[float, float, str, bool]] = []
    print("ready", flush=True)
    start_s = float(sys.stdin.readline())

    def work() -> None:
        with contextlib.ExitStack() as line:
            connection = None
            for turn, head in waiting:
                due_s = start_s + turn / plan["per_s"]
                time.sleep(max(0.0, due_s - time.monotonic()))
                if time.monotonic() > start_s + plan["until_s"]:
                    return
                try:
                    if connection is None:
                        connection = line.enter_context(connect(host, int(port), plan["number"]))
                        # As HTTP clients do: a short body does not wait until its head was acknowledged.
                        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                    fields = fields_of(connection, head.encode(), body).lower()
                    status, says_when = fields.split()[1].decode(), b"\r\nretry-after:" in fields
                    is_open = b"\r\nconnection: close" not in fields
                except OSError as error:
                    status, says_when, is_open = type(error).__name__, False, False
                answers.append((due_s - start_s, time.monotonic() - due_s, status, says_when))
                if not is_open:
                    line.close()
                    connection = None

    lines = [threading.Thread(target=work) for _ in range(plan["n_lines"])]
    for thread in lines:
        thread.start()
    for thread in lines:
        thread.join()
    return sorted(answers)


if __name__ == "__main__":
    print(json.dumps(send_from(Path(sys.argv[1]))))
