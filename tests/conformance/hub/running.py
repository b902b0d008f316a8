"""A real Hub over real sockets (or none), in each way it can move large files, and the real client for it."""

from __future__ import annotations

import contextlib
import dataclasses
import socket
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import uvicorn
from huggingface_hub import HfApi
from tests.conformance.hub.transport import in_process

from projectone.server.audit import record
from projectone.server.database import METADATA, open_engine
from projectone.server.hubd import HubSettings, HubStore, create_app, issue_token

_TABLES = ("hub_", "audit_log")
MODES = ("basic", "multipart", "redirect", "regular", "in-process")


@dataclasses.dataclass(frozen=True)
class Hub:
    """A running Hub and tokens for it."""

    url: str
    store: HubStore
    app: Any
    folder: Path
    writer: str
    reader: str
    admin: str
    stranger: str

    def client(self, token: str | bool | None = None) -> HfApi:
        return HfApi(endpoint=self.url, token=self.writer if token is None else token)


def _listening() -> tuple[socket.socket, str]:
    # With the protocol named asyncio turns Nagle's algorithm off; without it every answer takes 40 ms longer.
    listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    listener.bind(("127.0.0.1", 0))
    listener.listen(128)
    return listener, f"http://127.0.0.1:{listener.getsockname()[1]}"


@contextlib.contextmanager
def serving(app: Any, listeners: list[socket.socket]) -> Iterator[None]:
    server = uvicorn.Server(uvicorn.Config(app, log_level="warning", lifespan="off", timeout_graceful_shutdown=1))
    thread = threading.Thread(target=server.run, kwargs={"sockets": listeners}, daemon=True)
    thread.start()
    while not server.started:
        assert thread.is_alive(), "the Hub did not start"
        time.sleep(0.005)
    try:
        yield
    finally:
        server.should_exit = True
        thread.join(timeout=120)
        assert not thread.is_alive(), "the Hub does not end"


def settings_for(mode: str, url: str, other_url: str) -> HubSettings:
    settings = HubSettings(public_url=url, page_length=20)
    if mode == "multipart":
        return dataclasses.replace(settings, part_bytes=100_000)
    if mode == "redirect":
        return dataclasses.replace(settings, cdn_url=other_url)
    if mode == "regular":
        return dataclasses.replace(settings, large_file_bytes=1 << 60, large_suffixes=frozenset())
    return settings


@contextlib.contextmanager
def running_hub(
    folder: Path, mode: str = "basic", wrap: Callable[[Any], Any] = lambda app: app, **changes: Any
) -> Iterator[Hub]:
    engine = open_engine(f"sqlite:///{folder / 'hub.sqlite'}")
    METADATA.create_all(engine, tables=[table for table in METADATA.sorted_tables if table.name.startswith(_TABLES)])
    store = HubStore(engine, folder / "hub", record=record)
    (first, url), (second, other_url) = _listening(), _listening()
    if mode == "in-process":
        url = "http://hub.invalid"
    settings = dataclasses.replace(settings_for(mode, url, other_url), **changes)
    tokens = {
        "writer": issue_token(store, "acme", "write", ["acme"]),
        "reader": issue_token(store, "auditor", "read", ["acme"]),
        "admin": issue_token(store, "owner", "admin", ["acme"]),
        "stranger": issue_token(store, "mallory", "write", ["mallory"]),
    }
    app = create_app(store, settings)
    try:
        with in_process(wrap(app)) if mode == "in-process" else serving(wrap(app), [first, second]):
            yield Hub(url=url, store=store, app=app, folder=folder, **tokens)
    finally:
        first.close(), second.close()
        engine.dispose()
