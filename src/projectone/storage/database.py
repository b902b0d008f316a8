"""One SQLite connection that several threads and several rooms share, one transaction at a time."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from projectone.errors import StorageError
from projectone.storage.sqlite import Row, open_database, transaction


class Database:
    """Rows at rest, for callers that must change several tables together.

    A block `with database.transaction():` inside another one joins it, so a room's method can be atomic by itself and
    part of a larger change. Threads wait for each other; processes wait through SQLite's own lock.
    """

    def __init__(self, path: Path, migrations: Sequence[str]) -> None:
        """Open the file, making or migrating it.

        Raises:
            StorageError: if it is no database, or newer than this code.
        """
        self._connection = open_database(path, migrations)
        self._lock = threading.RLock()
        self._is_inside = False
        self._is_log_unwanted = False

    @contextlib.contextmanager
    def transaction(self) -> Iterator[None]:
        """All of the block's changes, or none.

        Raises:
            StorageError: if the database refused; nothing was changed.
        """
        with self._lock:
            if self._is_inside:
                yield
                return
            self._is_inside = True
            try:
                with transaction(self._connection):
                    yield
            finally:
                self._is_inside = False
            if self._is_log_unwanted:
                self.empty_log()

    @contextlib.contextmanager
    def reading(self) -> Iterator[None]:
        """Several questions in a row without a change by another thread between them; a process may come between."""
        with self._lock:
            yield

    @property
    def is_changing(self) -> bool:
        """Whether a transaction is open, so that what is read now may still be undone."""
        return self._is_inside

    def change_mark(self) -> tuple[int, int]:
        """Two marks that are equal say that nothing in the file has changed between them, by whomever.

        Changes of this connection and of others; the contrary is not so: a mark may move without a change that stays.
        """
        with self._lock:
            by_others = self.query("PRAGMA data_version")[0][0]
            return int(by_others), int(self.query("SELECT total_changes()")[0][0])

    def query(self, sql: str, parameters: Sequence[Any] = ()) -> list[Row]:
        """Every row that `sql` finds."""
        with self._lock:
            try:
                rows: list[Row] = self._connection.execute(sql, parameters).fetchall()
            except self._connection.Error as error:
                raise StorageError(f"database: {error}") from error
            return rows

    def execute(self, sql: str, parameters: Sequence[Any] = ()) -> int:
        """Run one statement; gives how many rows it changed. Durable at once, unless inside a transaction."""
        with self._lock:
            try:
                return self._connection.execute(sql, parameters).rowcount
            except self._connection.Error as error:
                raise StorageError(f"database: {error}") from error

    def empty_log(self) -> None:
        """Leave no copy of deleted rows in the log beside the file. Not while somebody else reads: then later.

        Inside a transaction it is done when that has ended.
        """
        with self._lock:
            self._is_log_unwanted = self._is_inside
            if not self._is_inside:
                self.query("PRAGMA wal_checkpoint(TRUNCATE)")

    def close(self) -> None:
        """Let go of the file."""
        with self._lock:
            self._connection.close()
