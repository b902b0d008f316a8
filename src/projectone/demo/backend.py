"""The backend as real processes on loopback: Hub, API and worker, each with its log, all ended on any exit."""

from __future__ import annotations

import json
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Self, TextIO

from projectone.contracts.scores import EvaluationReport
from projectone.errors import ProjectOneError
from projectone.server.database import open_engine, reading
from projectone.server.delivery.ledger import Ledger
from projectone.server.runs import RunRow, Runs
from projectone.server.settings import ServerSettings

_START_TIMEOUT_S = 180.0
_STOP_TIMEOUT_S = 15.0
_NOTIFICATION_TIMEOUT_S = 60.0
_HUB_TIMEOUT_S = 60.0
_POLL_S = 0.4
_TAIL_LINES = 25
_HOST = "127.0.0.1"


class BackendError(ProjectOneError):
    """A process of the backend failed. The message holds the end of its log; the rest is in the file it names."""


@dataclass(frozen=True)
class InProduction:
    """What devices get: a version, and the digest of its weights."""

    version: str
    weights_sha256: str


@dataclass
class _Process:
    name: str
    popen: subprocess.Popen[str]
    log: Path
    stream: TextIO


class Backend:
    """Starts and stops the processes, runs `projectone-server` commands, and follows training runs.

    Args:
        home: The server's home, made by `init`.
        logs: Folder for the processes' output.
        environ: The caller's environment; settings of this project in it are replaced.
        variables: `PROJECTONE_SERVER_*` settings of this backend, without the prefix.
    """

    def __init__(self, home: Path, logs: Path, environ: Mapping[str, str], variables: Mapping[str, str]) -> None:
        self.home = home
        self._logs = logs
        logs.mkdir(parents=True, exist_ok=True)
        self._processes: list[_Process] = []
        with ExitStack() as stack:
            api_port, hub_port = _reserve_ports(2, stack)
            self._environ = child_environment(
                environ,
                {"HOME": str(home), "API_PORT": str(api_port), "HUB_PORT": str(hub_port), **variables},
                cache=home / "client-cache",
            )
            self.settings = ServerSettings.from_env(self._environ)
            self._reservation = stack.pop_all()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def start(self, name: str, *arguments: str, is_ready: str | None = None) -> int:
        """Start one long-lived `projectone-server` process; gives its number.

        Args:
            name: For its log, ``<name>.log``.
            arguments: Of the command line.
            is_ready: Text in the log that says it is at work; None does not wait.

        Raises:
            BackendError: if it ends or says nothing in time.
        """
        log = self._logs / f"{name}.log"
        stream = log.open("a")
        # A session of its own: Ctrl-C reaches this process alone, which then ends the others in order.
        popen = subprocess.Popen(
            _command(*arguments), env=self._environ, stdout=stream, stderr=subprocess.STDOUT, text=True,
            stdin=subprocess.DEVNULL, start_new_session=True,
        )  # fmt: skip
        process = _Process(name, popen, log, stream)
        self._processes.append(process)
        deadline_s = time.monotonic() + _START_TIMEOUT_S
        while is_ready is not None and is_ready not in log.read_text(errors="replace"):
            self.check()
            if time.monotonic() > deadline_s:
                raise BackendError(f"{name}: expected {is_ready!r} within {_START_TIMEOUT_S:.0f} s\n{tail(log)}")
            time.sleep(0.05)
        return popen.pid

    def check(self) -> None:
        """Raise BackendError if a process has ended, with the end of its log."""
        for process in self._processes:
            code = process.popen.poll()
            if code is not None:
                raise BackendError(f"{process.name} ended with exit code {code}\n{tail(process.log)}")

    def command(self, *arguments: str) -> dict[str, Any]:
        """Run `projectone-server ARGUMENTS --json` and give its answer.

        Raises:
            BackendError: if it fails.
        """
        log = self._logs / f"{arguments[0]}.log"
        with log.open("a") as stream:
            process = subprocess.Popen(
                _command(*arguments, "--json"), env=self._environ, stdout=subprocess.PIPE, stderr=stream, text=True,
                stdin=subprocess.DEVNULL, start_new_session=True,
            )  # fmt: skip
            try:
                output, _ = process.communicate()
            finally:
                if process.poll() is None:
                    process.send_signal(signal.SIGTERM)
                    _end(process, _STOP_TIMEOUT_S)
        if process.returncode != 0:
            raise BackendError(
                f"projectone-server {arguments[0]} ended with exit code {process.returncode}\n{tail(log)}"
            )
        answer: dict[str, Any] = json.loads(output.strip().splitlines()[-1])
        return answer

    def follow(self, run_id: str, on_progress: Callable[[RunRow], None]) -> RunRow:
        """Wait until a run has ended, showing its row as it changes.

        Raises:
            BackendError: if a process dies meanwhile.
        """
        engine = open_engine(self.settings.database_url)
        try:
            runs = Runs(engine)
            while (row := runs.get(run_id)).finished_at is None:
                self.check()
                on_progress(row)
                time.sleep(_POLL_S)
            return row
        finally:
            engine.dispose()

    def report_on(self, weights_sha256: str) -> EvaluationReport:
        """What the trainer counted for a model on the golden set.

        Raises:
            BackendError: if it was not scored.
        """
        for path in sorted((self.home / "evaluations").glob(f"*/{weights_sha256}.json")):
            return EvaluationReport.from_bytes(path.read_bytes())
        raise BackendError(f"model {weights_sha256}: the trainer kept no report on it in {self.home / 'evaluations'}")

    def production(self) -> InProduction:
        """The newest release, as the server's rows say.

        Raises:
            BackendError: if nothing is released.
        """
        engine = open_engine(self.settings.database_url)
        try:
            newest = Ledger(engine, public_url=self.settings.public_url).newest(self.settings.channel)
        finally:
            engine.dispose()
        if newest is None:
            raise BackendError(f"channel {self.settings.channel}: expected a release, got none")
        return InProduction(newest.manifest.version, newest.manifest.weights_sha256)

    def discarded(self, run_id: str) -> dict[str, int]:
        """Why the ingestion node of a run discarded samples, and how many for each reason."""
        query = "SELECT reason, COUNT(*) FROM samples WHERE state = 'discarded' AND run_id = ? GROUP BY reason"
        engine = open_engine(self.settings.database_url)
        try:
            with reading(engine) as connection:
                return {str(reason): int(n) for reason, n in connection.exec_driver_sql(query, (run_id,))}
        finally:
            engine.dispose()

    def notification(self, run_id: str) -> str | None:
        """What a human was told about a run; it is sent right after the run's end."""
        path = self.home / "logs" / "notifications.log"
        deadline_s = time.monotonic() + _NOTIFICATION_TIMEOUT_S
        while time.monotonic() < deadline_s:
            lines = path.read_text(encoding="utf-8").splitlines() if path.is_file() else []
            for line in lines:
                if line.startswith(f"[{run_id}"):
                    return line.partition("] ")[2]
            time.sleep(0.1)
        return None

    def hub_tags(self) -> dict[str, str]:
        """Tags of the model repository and their commits, as the Hub itself answers."""
        token = (self.settings.keys_folder / "hub-token").read_text().strip()
        url = f"{self.settings.hub_endpoint}/api/models/{self.settings.hub_repo}/refs"
        request = urllib.request.Request(url, headers={"Authorization": f"Bearer {token}"})
        # Without the machine's proxies: the Hub is on this machine.
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        try:
            with opener.open(request, timeout=_HUB_TIMEOUT_S) as answer:
                refs = json.load(answer)
        except OSError as error:
            raise BackendError(f"Hub: {url}: {error}") from error
        return {tag["name"]: tag["targetCommit"] for tag in refs["tags"]}

    def stop(self) -> None:
        """End every process: all are asked first, then one that does not listen is killed. Harmless when repeated."""
        processes, self._processes = self._processes, []
        for process in processes:
            if process.popen.poll() is None:
                process.popen.send_signal(signal.SIGTERM)
        deadline_s = time.monotonic() + _STOP_TIMEOUT_S
        for process in reversed(processes):
            _end(process.popen, max(0.1, deadline_s - time.monotonic()))
            process.stream.close()
        self._reservation.close()

    @property
    def logs(self) -> dict[str, Path]:
        """Log files by process or command."""
        return {path.stem: path for path in sorted(self._logs.glob("*.log"))}


def child_environment(environ: Mapping[str, str], variables: Mapping[str, str], *, cache: Path) -> dict[str, str]:
    """The environment of the backend's processes: no setting or proxy of the machine leaks into the demo."""
    kept = {
        name: value
        for name, value in environ.items()
        if not name.startswith(("PROJECTONE_SERVER_", "HF_", "HUGGINGFACE_")) and not name.lower().endswith("_proxy")
    }
    ours = {f"PROJECTONE_SERVER_{name}": value for name, value in variables.items()}
    return {
        **kept,
        **ours,
        "PYTHONUNBUFFERED": "1",
        "HF_HOME": str(cache),
        "HF_HUB_DISABLE_TELEMETRY": "1",
        "HF_HUB_DISABLE_PROGRESS_BARS": "1",
    }


def tail(log: Path, n_lines: int = _TAIL_LINES) -> str:
    """The last lines of a log, and where the rest is."""
    lines = log.read_text(errors="replace").splitlines()[-n_lines:] if log.exists() else []
    return "\n".join([f"the end of {log}:", *(f"  | {line}" for line in lines or ["(nothing)"])])


def _command(*arguments: str) -> list[str]:
    return [sys.executable, "-m", "projectone.server.cli", *arguments]


def _end(process: subprocess.Popen[str], timeout_s: float) -> None:
    """Wait for a process that was asked to end; kill it if it does not."""
    try:
        process.wait(timeout_s)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def _reserve_ports(n: int, stack: ExitStack) -> list[int]:
    """Ports for servers of ours, which nobody else is given until `stack` is closed.

    On Linux a port that is bound with SO_REUSEADDR, but not listened on, goes to no one who asks for any port, and
    still to a server that names it and sets SO_REUSEADDR, as ours do. Elsewhere it is let go of at once.
    """
    held = [socket.socket(socket.AF_INET, socket.SOCK_STREAM) for _ in range(n)]
    for reservation in held:
        stack.callback(reservation.close)
        reservation.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        reservation.bind((_HOST, 0))
    ports = [int(reservation.getsockname()[1]) for reservation in held]
    if not sys.platform.startswith("linux"):
        stack.close()
    return ports
