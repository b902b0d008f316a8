"""What is done to every owner's rows alike, and gives nothing of them back: letting go, and finding what is torn."""

from __future__ import annotations

from projectone.assist.memory.retention import KINDS, Retention
from projectone.assist.vectors.protocol import Owner
from projectone.storage.database import Database

# A moment's rounding is not longer.
_LONGER = "WHERE kind = ?1 AND (expires_s IS NULL OR expires_s > kept_s + ?2 + 0.001)"


def owners(database: Database) -> list[Owner]:
    """Everybody of whom there is a row, or a vector that may lie somewhere without one."""
    rows = database.query("SELECT tenant, user FROM memories UNION SELECT tenant, user FROM memory_remains")
    return [Owner(row["tenant"], row["user"]) for row in rows]


def delete_expired(database: Database, now_s: float) -> int:
    """Let go of what ran out; gives how many those were."""
    if not database.query("SELECT 1 FROM memories WHERE expires_s <= ? LIMIT 1", (now_s,)):
        return 0  # asking takes no lock: another process may write
    return database.execute("DELETE FROM memories WHERE expires_s <= ?", (now_s,))


def shorten(database: Database, retention: Retention) -> None:
    """What may be kept less long than it was when it came is let go sooner. Nothing is ever kept longer for that."""
    for kind in KINDS:
        seconds = retention.seconds(kind)
        if seconds is not None and database.query(f"SELECT 1 FROM memories {_LONGER} LIMIT 1", (kind, seconds)):
            database.execute(f"UPDATE memories SET expires_s = kept_s + ?2 {_LONGER}", (kind, seconds))
