"""Devices that send uploads which were prepared and signed before, in a process of their own.

What a client computes is neither part of a server's time nor waited for. Each device has one connection and one upload
under way at a time, as a phone has. Run as a program, it sends what lies in a folder:

    python benchmarks/peers/senders.py FOLDER
"""

from __future__ import annotations

import contextlib
import json
import os
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

PATIENCE_S = 300


@dataclass(frozen=True)
class Prepared:
    """The uploads of one device: a head for each, and the body of all of them."""

    heads: list[str]
    body: bytes


@dataclass(frozen=True)
class Sent:
    """What came of uploads.

    Attributes:
        duration_s: From the first one to the last answer.
        waits_s: For each upload, from the moment it was due until it was answered, sorted.
        statuses: How many answers of each status.
        client_cpu_s: Of the process that sent them.
    """

    duration_s: float
    waits_s: list[float]
    statuses: dict[str, int]
    client_cpu_s: float

    @property
    def per_s(self) -> float:
        """Acknowledged uploads in a second."""
        return sum(n for status, n in self.statuses.items() if status in ("200", "201")) / self.duration_s

    def wait_ms(self, share: float) -> float:
        """So many answers came within this time."""
        return 1000 * self.waits_s[min(len(self.waits_s) - 1, int(share * len(self.waits_s)))]


def send(folder: Path, address: str, devices: list[Prepared], *, per_s: float = 0.0) -> Sent:
    """Send everything from another process.

    Args:
        folder: Empty; the requests go through it.
        address: Host and port.
        devices: What each one sends, one after the other.
        per_s: Uploads that are due in a second, of all devices together; 0 sends each as soon as the last is answered.
    """
    folder.mkdir()
    for number, device in enumerate(devices):
        (folder / f"{number}.body").write_bytes(device.body)
    plan = {"address": address, "per_s": per_s, "heads": [device.heads for device in devices]}
    (folder / "plan.json").write_text(json.dumps(plan))
    done = subprocess.run([sys.executable, __file__, str(folder)], stdout=subprocess.PIPE, text=True, check=True)
    return Sent(**json.loads(done.stdout))


def send_from(folder: Path) -> Sent:
    """Send what lies in the folder."""
    plan = json.loads((folder / "plan.json").read_text())
    host, port = plan["address"].split(":")
    sockets = [connect(host, int(port), number) for number in range(len(plan["heads"]))]
    interval_s = len(sockets) / plan["per_s"] if plan["per_s"] else 0.0
    answers: list[tuple[float, str]] = []
    start = time.perf_counter()

    def work(number: int) -> None:
        connection, body = sockets[number], (folder / f"{number}.body").read_bytes()
        # Spread over the interval: people do not speak in step.
        first_due = start + interval_s * number / len(sockets)
        with connection:
            for turn, head in enumerate(plan["heads"][number]):
                due = first_due + turn * interval_s if interval_s else time.perf_counter()
                time.sleep(max(0.0, due - time.perf_counter()))
                status = exchange(connection, head.encode(), body)
                answers.append((time.perf_counter() - due, status))

    threads = [threading.Thread(target=work, args=(number,)) for number in range(len(sockets))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    duration_s = time.perf_counter() - start
    statuses = [status for _, status in answers]
    counts = {status: statuses.count(status) for status in sorted(set(statuses))}
    times = os.times()
    return Sent(duration_s, sorted(wait_s for wait_s, _ in answers), counts, times.user + times.system)


def connect(host: str, port: int, number: int) -> socket.socket:
    """A connection of this device's; from an address of its own where the whole of 127/8 is this machine."""
    source = (f"127.0.{1 + number // 200}.{1 + number % 200}", 0) if sys.platform == "linux" else None
    return socket.create_connection((host, port), timeout=PATIENCE_S, source_address=source)


def exchange(connection: socket.socket, head: bytes, body: bytes) -> str:
    """Send one request and read its whole answer; gives the status, or what happened instead."""
    try:
        return fields_of(connection, head, body).split()[1].decode()
    except OSError as error:
        return type(error).__name__


def fields_of(connection: socket.socket, head: bytes, body: bytes) -> bytes:
    """Send one request and read its whole answer; gives its status line and its fields.

    Raises:
        OSError: if the connection broke.
    """
    connection.sendall(head)
    connection.sendall(body)
    answer = b""
    while b"\r\n\r\n" not in answer:
        answer += _more(connection)
    fields, _, content = answer.partition(b"\r\n\r\n")
    (length,) = [int(line.split(b":")[1]) for line in fields.lower().split(b"\r\n") if b"content-length:" in line]
    n_left = length - len(content)
    while n_left > 0:
        n_left -= len(_more(connection))
    return fields


def _more(connection: socket.socket) -> bytes:
    content = connection.recv(65536)
    if not content:
        raise ConnectionResetError
    return content


@contextlib.contextmanager
def cpu_of(pid: int) -> Iterator[list[float]]:
    """The seconds that another process computed during the block, for itself and in the kernel; there after it."""
    found: list[float] = []
    before = _cpu(pid)
    yield found
    found += [after - earlier for after, earlier in zip(_cpu(pid), before, strict=True)]


def _cpu(pid: int) -> list[float]:
    stat = Path(f"/proc/{pid}/stat")
    if not stat.exists():
        return [0.0, 0.0]  # a system that does not say
    fields = stat.read_text().rpartition(")")[2].split()
    return [int(ticks) / os.sysconf("SC_CLK_TCK") for ticks in fields[11:13]]


if __name__ == "__main__":
    print(json.dumps(asdict(send_from(Path(sys.argv[1])))))
