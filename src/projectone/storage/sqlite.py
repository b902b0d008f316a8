"""SQLite as both sides use it: durable settings that are read back, and numbered, append-only migrations."""

from __future__ import annotations

import contextlib
import sqlite3
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

from projectone.errors import StorageError

Row = sqlite3.Row
Cursor = sqlite3.Cursor

_BUSY_TIMEOUT_MS = 10_000
# Asked for, then read back: WAL with NORMAL loses every commit since the last checkpoint when the power goes.
# What is deleted is overwritten, not merely unlinked from its page.
_EXPECTED_SETTINGS = {"journal_mode": "wal", "synchronous": 2, "foreign_keys": 1, "secure_delete": 1}


def open_connection(path: Path) -> sqlite3.Connection:
    """A connection whose commits survive a power cut.

    Autocommit is on: a change of several statements belongs into `transaction`. The connection may move between
    threads; the caller keeps it to one at a time.

    Raises:
        StorageError: if the file is no database, or a setting did not take.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    try:
        connection = sqlite3.connect(
            path, timeout=_BUSY_TIMEOUT_MS / 1000, isolation_level=None, check_same_thread=False
        )
        connection.row_factory = sqlite3.Row
        connection.execute("PRAGMA journal_mode=WAL")
        connection.execute("PRAGMA synchronous=FULL")
        connection.execute("PRAGMA foreign_keys=ON")
        connection.execute("PRAGMA secure_delete=ON")
        connection.execute(f"PRAGMA busy_timeout={_BUSY_TIMEOUT_MS}")
        if sys.platform == "darwin":
            connection.execute("PRAGMA fullfsync=1")
            connection.execute("PRAGMA checkpoint_fullfsync=1")
        for name, expected in _EXPECTED_SETTINGS.items():
            actual = connection.execute(f"PRAGMA {name}").fetchone()[0]
            if actual != expected:
                raise StorageError(f"{path.name!r}: PRAGMA {name}: expected {expected!r}, got {actual!r}")
    except sqlite3.Error as error:
        raise StorageError(f"{path.name!r}: {error}") from error
    return connection


def open_database(path: Path, migrations: Sequence[str]) -> sqlite3.Connection:
    """A database whose tables are as the newest of `migrations` leaves them.

    Args:
        path: The file; made if it is missing.
        migrations: SQL scripts in order. The list only ever grows: `PRAGMA user_version` counts what has run.

    Raises:
        StorageError: if the file was written by newer code, or a migration fails (it is then rolled back).
    """
    connection = open_connection(path)
    try:
        have = int(connection.execute("PRAGMA user_version").fetchone()[0])
    except sqlite3.Error as error:  # the first look into the file itself
        connection.close()
        raise StorageError(f"{path.name!r}: {error}") from error
    if have > len(migrations):
        connection.close()
        raise StorageError(f"{path.name!r} is at version {have}, this code knows {len(migrations)}: update the app")
    for number, script in enumerate(migrations[have:], start=have + 1):
        try:
            _migrate(connection, number, script)
        except sqlite3.Error as error:
            if connection.in_transaction:
                connection.execute("ROLLBACK")
            connection.close()
            raise StorageError(f"{path.name!r}: migration {number}: {error}") from error
    return connection


def _migrate(connection: sqlite3.Connection, number: int, script: str) -> None:
    """One migration in one transaction; nothing, if another process ran it while this one waited for its turn."""
    connection.execute("BEGIN IMMEDIATE")
    if int(connection.execute("PRAGMA user_version").fetchone()[0]) < number:
        for statement in _statements(script):  # `executescript` would end the transaction first
            connection.execute(statement)
        connection.execute(f"PRAGMA user_version={number}")
    connection.execute("COMMIT")


def _statements(script: str) -> Iterator[str]:
    statement = ""
    for piece in f"{script};".split(";"):
        statement += f"{piece};"
        if sqlite3.complete_statement(statement):
            if statement.strip(" \n;"):
                yield statement
            statement = ""
    if statement.strip(" \n;"):
        yield statement  # what is left open is refused by the database


@contextlib.contextmanager
def refusals_told(what: str, then: str) -> Iterator[None]:
    """Raise our error for what the database refuses in the block.

    Args:
        what: Whose database it is.
        then: What happens now and what to do.

    Raises:
        StorageError: if it refused: it is locked, full, or no longer a database.
    """
    try:
        yield
    except sqlite3.Error as error:
        raise StorageError(f"{what}: {error}; {then}") from error


@contextlib.contextmanager
def transaction(connection: sqlite3.Connection) -> Iterator[sqlite3.Connection]:
    """All of the block's changes, or none.

    Raises:
        StorageError: if the database refused; nothing was changed.
    """
    try:
        connection.execute("BEGIN IMMEDIATE")
        try:
            yield connection
        except BaseException:
            connection.execute("ROLLBACK")
            raise
        connection.execute("COMMIT")
    except sqlite3.Error as error:
        if connection.in_transaction:
            connection.execute("ROLLBACK")
        raise StorageError(f"database: {error}") from error
