"""Runs the app on loopback until it is told to stop. One at a time in a home; a second is told where the first is."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import socket
import threading
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import uvicorn

from projectone.device.client import DeviceClient
from projectone.device.web.app import create_app
from projectone.device.web.guard import ENTRANCE, new_token, onward_page
from projectone.device.web.jobs import Jobs
from projectone.errors import ArtifactError, LeaseError, SettingsError
from projectone.storage.files import write_atomically
from projectone.storage.locks import exclusive_lock

HOST = "127.0.0.1"
# The same one each time: a browser keeps the permission for the microphone, and the colours, by address and port.
USUAL_PORT = 7465
_LOCK, _WHERE, _PAGE = "ui.lock", "ui.json", "ui.html"
_PATIENCE_S = 5


class RunningElsewhereError(LeaseError):
    """Another process shows this home's pages already. Use its window.

    Attributes:
        url: The address to open; None if it is only just starting.
        page: A file that leads there, as `Opened.page`.
    """

    def __init__(self, url: str | None, page: Path) -> None:
        super().__init__(f"the app is running already: {url}" if url else "the app is starting in another process")
        self.url = url
        self.page = page if url else None


@dataclass(frozen=True)
class Opened:
    """An app that listens.

    Attributes:
        url: What to open in a browser, once; it holds the token, so it is nobody else's.
        port: Where it listens.
        page: A file that only its owner can read, and that leads there: the arguments of a program, such as a browser
            that is started with an address, can be read by everybody on the machine.
    """

    url: str
    port: int
    page: Path


def serve(client: DeviceClient, home: Path, *, port: int | None, on_open: Callable[[Opened], None]) -> None:
    """Show the pages until Ctrl-C or SIGTERM.

    Args:
        client: What the pages show and do.
        home: The folder of this device: one app for each.
        port: Where to listen; None takes the usual one, or another if that is taken.
        on_open: Called once, when a browser can come.

    Raises:
        RunningElsewhereError: if another process shows this home's pages.
        SettingsError: if the port is taken.
    """
    with _only_one(home), _ended_in_order():
        jobs = Jobs()
        with listening(port) as listener:
            where = _Where(home, int(listener.getsockname()[1]))
            token = where.renew()
            try:
                app = create_app(client, port=where.port, token=token, renew=where.renew, jobs=jobs)
                server = uvicorn.Server(
                    uvicorn.Config(
                        app,
                        log_level="warning",
                        access_log=False,
                        ws="none",
                        lifespan="off",
                        server_header=False,
                        timeout_graceful_shutdown=_PATIENCE_S,
                    )
                )
                on_open(where.opened)
                jobs.start("prepare", lambda report: _prepare(client))
                for adoption in client.adoptions.values():
                    adoption.start_background()
                with contextlib.suppress(KeyboardInterrupt):  # uvicorn raises it again once it has stopped
                    server.run(sockets=[listener])
            finally:
                for adoption in client.adoptions.values():
                    adoption.stop()
                where.forget()
                jobs.close(_PATIENCE_S)


def _prepare(client: DeviceClient) -> Mapping[str, object]:
    """Whoever opens the app speaks soon, or asks; without a model the page says so itself."""
    for prepare in (client.prepare, client.assist.prepare, client.answers.prepare):
        with contextlib.suppress(ArtifactError, SettingsError):
            prepare()
    return {}


@contextlib.contextmanager
def _only_one(home: Path) -> Iterator[None]:
    with contextlib.ExitStack() as held:
        try:
            held.enter_context(exclusive_lock(home / _LOCK, what="projectone ui"))
        except LeaseError as error:
            raise RunningElsewhereError(_url_of_other(home), home / _PAGE) from error
        yield


@contextlib.contextmanager
def _ended_in_order() -> Iterator[None]:
    """SIGTERM ends the block as Ctrl-C does: uvicorn raises it again once it has stopped, and would end us there."""
    if threading.current_thread() is not threading.main_thread():  # who else may say what a signal does
        yield
        return
    before = signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def _url_of_other(home: Path) -> str | None:
    try:
        url = json.loads((home / _WHERE).read_bytes())["url"]
    except (OSError, ValueError, KeyError, TypeError):
        return None
    return url if isinstance(url, str) else None


@contextlib.contextmanager
def listening(port: int | None) -> Iterator[socket.socket]:
    """A socket on loopback: at this port, or at the usual one or any other if it is None."""
    with contextlib.closing(socket.socket(socket.AF_INET, socket.SOCK_STREAM)) as listener:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listener.bind((HOST, USUAL_PORT if port is None else port))
        except OSError as error:
            if port is not None:
                raise SettingsError(f"--port {port}: {error.strerror}; 0 takes any that is free") from error
            listener.bind((HOST, 0))
        listener.listen(128)
        yield listener


class _Where:
    """The address for the next window: in a file for a second process, and in one for a browser."""

    def __init__(self, home: Path, port: int) -> None:
        self._home = home
        self.port = port
        self.opened = Opened("", port, home / _PAGE)

    def renew(self) -> str:
        """Make a new token and write down the address with it; gives the token."""
        token = new_token()
        url = f"http://{HOST}:{self.port}{ENTRANCE}?token={token}"
        self.opened = Opened(url, self.port, self._home / _PAGE)
        for name, content in ((_WHERE, json.dumps({"url": url, "pid": os.getpid()})), (_PAGE, onward_page(url))):
            write_atomically(self._home / name, content.encode())
            (self._home / name).chmod(0o600)  # beside the home's own mode, which somebody may have widened
        return token

    def forget(self) -> None:
        """Nobody listens any more."""
        for name in (_WHERE, _PAGE):
            (self._home / name).unlink(missing_ok=True)
