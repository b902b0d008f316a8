"""`train --processes N`: starts the processes of one run on this machine; when one of them ends badly all end."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path

from projectone.errors import TrainingError
from projectone.server.training.parallel import ProcessGroup

# A process that is told to end has nothing to tidy up: what counts is on disk.
_PATIENCE_S = 10.0
_POLL_S = 0.05
_HOST = "127.0.0.1"
EXIT_LEFT = 4
"""Of a process that has nothing to say itself: another one ended before it."""


def run_processes(command: Sequence[str], n: int) -> int:
    """Run a command in `n` processes that know of each other; gives the exit code of the first, which alone speaks.

    Ctrl-C reaches the first one, which saves. What another one says is shown if it ends badly. If this process is
    killed, they end too.

    Args:
        command: That each process runs; it gets ``--process PLACE`` for `join_run`.
        n: How many.

    Raises:
        TrainingError: if one of them was killed.
        KeyboardInterrupt: after the first has saved.
    """
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="projectone-processes-")))
        hosts = folder / "hosts.json"
        hosts.write_text(json.dumps([[f"{_HOST}:{port}"] for port in stack.enter_context(reserved_ports(n))]))
        listened, held = os.pipe()
        stack.callback(os.close, held)
        try:
            children = [
                subprocess.Popen(
                    [*command, "--process", f"{rank}:{listened}:{hosts}"],
                    pass_fds=(listened,),
                    stdout=subprocess.DEVNULL if rank else None,
                    stderr=stack.enter_context((folder / str(rank)).open("wb")) if rank else None,
                    # Ctrl-C in a terminal goes to a whole session: it must not end those that the first one waits for.
                    start_new_session=True,
                )
                for rank in range(n)
            ]
        finally:
            os.close(listened)
        stack.callback(_end, children)
        return _watch(children, folder)


def join_run(place: str | None) -> ProcessGroup:
    """The group of this process.

    Args:
        place: What `run_processes` said: rank, lifeline and list of hosts. None for a process that is alone, or that
            `mlx.launch` has started.
    """
    if place is None:
        group = ProcessGroup.join()
    else:
        rank, lifeline, hosts = place.split(":", 2)
        threading.Thread(target=_end_with_parent, args=(int(lifeline),), daemon=True).start()
        os.putenv("MLX_RANK", rank)  # where mlx looks for them; nothing of ours does
        os.putenv("MLX_HOSTFILE", hosts)
        group = ProcessGroup.join(is_required=True)
    if not group.is_first:
        # The first one saves where somebody stops the run; it needs the others until then.
        signal.signal(signal.SIGINT, signal.SIG_IGN)
    return group


def _watch(children: list[subprocess.Popen[bytes]], folder: Path) -> int:
    """Wait until all have ended well or one has not; gives the exit code."""
    codes = _codes_at_end(children)
    _wait(children[:1], _PATIENCE_S)  # it notices, and may have something to say
    for rank, code in enumerate(codes):
        if code is not None and code < 0:
            raise TrainingError(
                f"process {rank} of {len(children)} was ended by {signal.Signals(-code).name}; the same command with "
                "--resume goes on from the last checkpoint"
            )
        if rank and code not in (None, 0, EXIT_LEFT):
            sys.stderr.write((folder / str(rank)).read_text(errors="replace"))
    return children[0].returncode or next((code for code in codes if code), 0)


def _codes_at_end(children: list[subprocess.Popen[bytes]]) -> list[int | None]:
    """The exit codes as soon as one of them is not zero, or all are; None of those that still run."""
    while True:
        try:
            codes = [child.poll() for child in children]
            if any(codes) or None not in codes:
                return codes
            time.sleep(_POLL_S)
        except KeyboardInterrupt:
            children[0].send_signal(signal.SIGINT)


def _end(children: list[subprocess.Popen[bytes]]) -> None:
    for child in children:
        child.terminate()
    for child in _wait(children, _PATIENCE_S):
        child.kill()
        child.wait()


def _wait(children: list[subprocess.Popen[bytes]], patience_s: float) -> list[subprocess.Popen[bytes]]:
    """Wait for their end; gives those that are still there afterwards."""
    deadline = time.monotonic() + patience_s
    while (left := [child for child in children if child.poll() is None]) and time.monotonic() < deadline:
        time.sleep(_POLL_S)
    return left


@contextmanager
def reserved_ports(n: int) -> Iterator[list[int]]:
    """Free ports. Bound until the end and not listened on, they are given to nobody but who asks for them by number."""
    with ExitStack() as stack:
        ports = []
        for _ in range(n):
            held = stack.enter_context(socket.socket())
            held.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            held.bind((_HOST, 0))
            ports.append(held.getsockname()[1])
        yield ports


def _end_with_parent(lifeline: int) -> None:
    """Waits for the end of a pipe that only the parent holds open."""
    os.read(lifeline, 1)
    os.kill(os.getpid(), signal.SIGTERM)
