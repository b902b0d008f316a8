"""The real server as a real process: `projectone-server serve` on free ports."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

PROGRAM = (sys.executable, "-m", "projectone.server.cli")


@dataclass
class ServerProcess:
    """A running server."""

    home: Path
    process: subprocess.Popen[str]
    api: str
    hub: str

    @property
    def enrolment_code(self) -> str:
        """What a new device has to show."""
        return (self.home / "keys" / "enrolment-code").read_text().strip()

    def kill(self) -> None:
        """As a power cut does, but for the disk."""
        self.process.send_signal(signal.SIGKILL)
        self.process.wait(120)

    def stop(self) -> tuple[int, str]:
        """Ask it to end; gives its exit code and what it said."""
        self.process.terminate()
        _, said = self.process.communicate(timeout=120)
        return self.process.returncode, said


@contextlib.contextmanager
def running(home: Path, *arguments: str, program: Sequence[str] = PROGRAM) -> Iterator[ServerProcess]:
    """A server on `home` for the block."""
    command = [*program, "serve", "--init", "--json", *arguments]
    environment = {
        **os.environ,
        "PROJECTONE_SERVER_HOME": str(home),
        "PROJECTONE_SERVER_API_PORT": "0",
        "PROJECTONE_SERVER_HUB_PORT": "0",
    }
    process = subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    try:
        assert process.stdout is not None
        line = process.stdout.readline()
        assert line, f"the server did not start: {process.communicate(timeout=120)[1]}"
        ready = json.loads(line)
        yield ServerProcess(home, process, ready.get("api", ""), ready.get("hub", ""))
    finally:
        if process.poll() is None:
            process.kill()
        process.communicate(timeout=120)
