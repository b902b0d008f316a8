"""A clock that never goes back, also from one start to the next: what has run out does not come back with it.

A machine whose clock is set back would serve what it had let go, and keep the rest longer than agreed. So the last
moment that was seen is kept, and a clock that falls behind it is taken from there on: only the time that passes counts.
A clock that was far ahead for a while lets go too early; that is the side to err on.
"""

from __future__ import annotations

import contextlib
from datetime import datetime
from typing import Final

from projectone.errors import StorageError
from projectone.storage.database import Database

STEADY_CLOCK_TABLE = """
CREATE TABLE memory_clock (last_s REAL NOT NULL, ahead_s REAL NOT NULL) STRICT;
INSERT INTO memory_clock VALUES (0, 0);
"""

NOTED_EVERY_S: Final = 3600.0
"""A commit for every look would wear the disk; between two starts so much may be lost."""
_JITTER_S: Final = 60.0


class SteadyClock:
    """Seconds since 1970 that only ever grow."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._last_s = 0.0

    def seconds(self, now: datetime) -> float:
        """The steady moment that belongs to what the machine's clock shows."""
        with self._database.reading():
            (row,) = self._database.query("SELECT last_s, ahead_s FROM memory_clock")
            noted_s, ahead_s = float(row["last_s"]), float(row["ahead_s"])
            last_s = max(noted_s, self._last_s)
            moment_s = now.timestamp() + ahead_s
            if moment_s < last_s - _JITTER_S:
                ahead_s += last_s - moment_s
                self._note(last_s, ahead_s)
            elif moment_s >= noted_s + NOTED_EVERY_S:
                self._note(moment_s, ahead_s)
            self._last_s = max(last_s, moment_s)
            return self._last_s

    def _note(self, last_s: float, ahead_s: float) -> None:
        # Where another process writes just now, the next look notes it: nobody who only reads is to wait or fail.
        with contextlib.suppress(StorageError):
            self._database.execute("UPDATE memory_clock SET last_s = ?, ahead_s = ?", (last_s, ahead_s))
