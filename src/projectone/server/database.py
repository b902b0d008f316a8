"""Rows on the server: one engine, one list of tables, and the two ways to use them."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from sqlalchemy import Connection as Connection  # this and the next two: handed on by rooms that own no table
from sqlalchemy import Engine as Engine
from sqlalchemy import MetaData as MetaData
from sqlalchemy import create_engine, event, text
from sqlalchemy.engine import URL, make_url
from sqlalchemy.exc import ArgumentError, DBAPIError

from projectone.errors import SettingsError, StorageError

METADATA = MetaData(
    naming_convention={
        "ix": "ix_%(column_0_label)s",
        "uq": "uq_%(table_name)s_%(column_0_name)s",
        "fk": "fk_%(table_name)s_%(column_0_name)s",
        "pk": "pk_%(table_name)s",
    }
)
_BUSY_TIMEOUT_MS = 10_000
_CHECKPOINT_TIMEOUT_MS = 1_000
_N_THREADS = 40  # of starlette's pool
_DIALECTS = ("sqlite", "postgresql")
# Asked for on every connection, then read back: a setting that did not take is a promise that does not hold.
_SQLITE_SETTINGS: dict[str, str | int] = {
    "journal_mode": "wal",
    "synchronous": 2,  # FULL: WAL with NORMAL loses the last commits when the power goes
    "foreign_keys": 1,
    "busy_timeout": _BUSY_TIMEOUT_MS,
    "trusted_schema": 0,
    "secure_delete": 1,  # erased text is overwritten, not merely unlinked from its page
}
_DARWIN_SETTINGS: dict[str, str | int] = {"fullfsync": 1, "checkpoint_fullfsync": 1}
# PostgreSQL's advisory locks are numbers. Rows and keys may lie in one database, and who writes rows may ask for a key.
_WRITER_OF_ROWS, WRITER_OF_KEYS = 0x726F7773, 0x6B657973


def open_engine(url: str, *, writer: int = _WRITER_OF_ROWS) -> Engine:
    """An engine whose promises were read back: on SQLite WAL, a flush at every commit, foreign keys.

    Transactions on SQLite are real ones (the driver's own habit of committing behind one's back is off): a plain
    `engine.begin()` begins a deferred one. Prefer `reading` and `writing`.

    Args:
        url: As SQLAlchemy takes it.
        writer: The lock of whoever writes, where the database is PostgreSQL.

    Raises:
        SettingsError: if the URL names no database that is installed here.
        StorageError: at the first connection, if the database does not keep a setting.
    """
    try:
        # Parameters hold what people said, and errors end in logs.
        engine = create_engine(url, hide_parameters=True, **_pool_of(url))
    except ArgumentError as error:
        raise SettingsError(f"database URL: expected one such as 'sqlite:////path/file.sqlite': {error}") from error
    except ModuleNotFoundError as error:
        raise SettingsError(f"database URL: {_how_to_install(url, error.name)}") from error
    if engine.dialect.name not in _DIALECTS:
        raise SettingsError(f"database URL: expected one of {', '.join(_DIALECTS)}, got {engine.dialect.name!r}")
    if engine.dialect.name == "sqlite":
        event.listen(engine, "connect", _set_up_sqlite)
        event.listen(engine, "begin", _begin_sqlite)
    else:
        event.listen(engine, "connect", _check_postgres)
        event.listen(engine, "begin", lambda connection: _begin_postgres(connection, writer))
    return engine


@contextlib.contextmanager
def reading(engine: Engine) -> Iterator[Connection]:
    """A connection that sees the rows as they were at one moment and holds nobody up.

    Raises:
        StorageError: if the database refused.
    """
    try:
        with engine.connect() as connection:
            if engine.dialect.name == "postgresql":  # SQLite reads like this anyway
                connection = connection.execution_options(isolation_level="REPEATABLE READ")
            yield connection
    except DBAPIError as error:
        raise StorageError(f"database: {error.orig}") from error


@contextlib.contextmanager
def writing(engine: Engine) -> Iterator[Connection]:
    """A transaction: what the block reads stays true until it commits; all of the block's changes, or none.

    There is one writer at a time: on SQLite the write lock is taken at the start (BEGIN IMMEDIATE), on PostgreSQL an
    advisory one, for row locks alone do not keep true what a block did not find.

    Raises:
        StorageError: if the database refused; nothing was changed.
    """
    try:
        with engine.connect().execution_options(is_writing=True) as connection, connection.begin():
            yield connection
    except DBAPIError as error:
        raise StorageError(f"database: {error.orig}") from error


def assert_database(engine: Engine) -> None:
    """Connect once, so that a wrong setting is found at the start and not at the first upload.

    Raises:
        StorageError: if the database is out of reach or does not keep a setting.
    """
    with reading(engine) as connection:
        connection.execute(text("SELECT 1"))


def forget_freed_pages(engine: Engine) -> None:
    """Empty SQLite's write-ahead log, so that no old page keeps what was erased; nothing where others read just now."""
    if engine.dialect.name == "sqlite":
        with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
            connection.exec_driver_sql(f"PRAGMA busy_timeout = {_CHECKPOINT_TIMEOUT_MS}")
            connection.exec_driver_sql("PRAGMA wal_checkpoint(TRUNCATE)")
            connection.exec_driver_sql(f"PRAGMA busy_timeout = {_BUSY_TIMEOUT_MS}")


def copy_database(engine: Engine, target: Path) -> None:
    """Write an SQLite database, as it is at one moment, into a new file; others go on writing meanwhile.

    Pages that were freed, and what was erased from them, do not come along.

    Raises:
        StorageError: if it could not be written.
    """
    # The driver's own connection: SQLAlchemy begins a transaction, in which SQLite copies nothing.
    try:
        with contextlib.closing(engine.raw_connection()) as connection:
            connection.cursor().execute("VACUUM INTO ?", (str(target),))
    except engine.dialect.loaded_dbapi.Error as error:
        raise StorageError(f"database: could not be copied: {error}") from error


def describe_database(url: str | URL) -> str:
    """The URL without its passwords, for logs and reports: libpq takes them in the query, too."""
    place = make_url(url)
    query = {name: "***" if "pass" in name.lower() else value for name, value in place.query.items()}
    return place.set(query=query).render_as_string(hide_password=True)


def _pool_of(url: str) -> dict[str, int]:
    """A kept connection for each thread that answers: opening one costs more than what an upload asks of it."""
    place = make_url(url)
    is_file = place.get_backend_name() == "sqlite" and place.database not in (None, "", ":memory:")
    return {"pool_size": _N_THREADS, "max_overflow": _N_THREADS} if is_file else {}


def _how_to_install(url: str, driver: str | None) -> str:
    """What to do about a driver that is not installed."""
    if make_url(url).get_backend_name() == "postgresql":
        return (
            f"PostgreSQL needs the driver {driver!r}, which is not installed here; "
            "run `pip install 'psycopg[binary]'` and write the URL as postgresql+psycopg://user@host/database"
        )
    return f"expected one of {', '.join(_DIALECTS)}, got {make_url(url).get_backend_name()!r}"


def _set_up_sqlite(connection: Any, _record: Any) -> None:  # noqa: ANN401 - the driver's own types
    connection.isolation_level = None  # the driver begins nothing by itself; `_begin_sqlite` does
    wanted = _SQLITE_SETTINGS | (_DARWIN_SETTINGS if sys.platform == "darwin" else {})
    cursor = connection.cursor()
    # First, so that switching the journal waits for other processes too.
    cursor.execute(f"PRAGMA busy_timeout = {_BUSY_TIMEOUT_MS}")
    for name, value in wanted.items():
        cursor.execute(f"PRAGMA {name} = {value}")
        (actual,) = cursor.execute(f"PRAGMA {name}").fetchone()
        if actual != value:
            raise StorageError(f"SQLite {name}: expected {value!r}, got {actual!r}")
    cursor.close()


def _begin_sqlite(connection: Connection) -> None:
    is_writing = connection.get_execution_options().get("is_writing", False)
    connection.exec_driver_sql("BEGIN IMMEDIATE" if is_writing else "BEGIN")


def _check_postgres(connection: Any, _record: Any) -> None:  # noqa: ANN401 - the driver's own types
    cursor = connection.cursor()
    for name in ("fsync", "synchronous_commit"):
        cursor.execute(f"SHOW {name}")
        (actual,) = cursor.fetchone()
        if actual != "on":
            raise StorageError(f"PostgreSQL {name}: expected 'on', got {actual!r}; an answered upload must survive")
    cursor.close()
    connection.rollback()  # the driver began a transaction for the questions


def _begin_postgres(connection: Connection, writer: int) -> None:
    if connection.get_execution_options().get("is_writing", False):
        connection.exec_driver_sql(f"SET LOCAL lock_timeout = {_BUSY_TIMEOUT_MS}")
        connection.exec_driver_sql(f"SELECT pg_advisory_xact_lock({writer})")
