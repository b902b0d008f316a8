"""Writers that wait at the same time share one transaction, and its one flush; each is told after that commit.

A flush costs the same for one row as for fifty. Nobody waits for company: whoever finds nobody at work begins at once,
and what comes in meanwhile is the next transaction.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from projectone.errors import StorageError
from projectone.server.database import Connection, Engine, writing

T = TypeVar("T")

_MAX_TOGETHER = 64


class GroupCommits:
    """Runs work in transactions, that of several threads in one.

    Args:
        engine: The database.
        max_together: So many share a transaction at most.
    """

    def __init__(self, engine: Engine, *, max_together: int = _MAX_TOGETHER) -> None:
        self._engine = engine
        self._max_together = max_together
        self._queue: deque[_Entry[Any]] = deque()
        self._is_at_work = False
        self._lock = threading.Lock()

    def run(self, work: Callable[[Connection], T]) -> T:
        """What `work` gives; when this returns, what it wrote is committed.

        `work` sees what those before it in the same transaction wrote. If one of them fails, nothing of the transaction
        stays and each runs again in one of its own: `work` must bear to be repeated.

        Raises:
            StorageError: if the database refused; nothing was changed.
            Exception: what `work` raised; nothing was changed.
        """
        entry = _Entry(work)
        with self._lock:
            self._queue.append(entry)
            is_first, self._is_at_work = not self._is_at_work, True
        if not is_first:
            entry.is_called.wait()
        if not entry.is_done:
            self._serve()
        return entry.outcome()

    def _serve(self) -> None:
        """Commit for those who wait, then call the first of those who came meanwhile to do the same."""
        with self._lock:
            entries = [self._queue.popleft() for _ in range(min(len(self._queue), self._max_together))]
        try:
            self._commit(entries)
        finally:
            with self._lock:
                following = self._queue[0] if self._queue else None
                self._is_at_work = following is not None
            for entry in entries:
                entry.is_done = True
                entry.is_called.set()
            if following is not None:
                following.is_called.set()

    def _commit(self, entries: Sequence[_Entry[Any]]) -> None:
        try:
            with writing(self._engine) as connection:
                for entry in entries:
                    entry.work_in(connection)
        except Exception as error:
            for entry in entries:
                entry.result, entry.error = None, error
            # With a refused commit all are told so, for what a disk dropped must not pass for kept the second time.
            if len(entries) > 1 and any(entry.has_failed for entry in entries):
                for entry in entries:
                    self._commit([entry])


class _Entry(Generic[T]):
    """One thread's work, and what came of it."""

    def __init__(self, work: Callable[[Connection], T]) -> None:
        self._work = work
        self.result: _Result[T] | None = None
        self.error: Exception | None = None
        self.has_failed = False
        self.is_called = threading.Event()
        self.is_done = False

    def work_in(self, connection: Connection) -> None:
        self.has_failed = True
        self.result, self.error = _Result(self._work(connection)), None
        self.has_failed = False

    def outcome(self) -> T:
        if self.result is None:
            raise self.error or StorageError("database: the transaction was not finished; nothing was changed")
        return self.result.value


@dataclass(frozen=True)
class _Result(Generic[T]):
    value: T
