"""The rows of a memory: what was said, and what it was about. There is no way to them without naming their owner."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, cast
from uuid import UUID

from projectone.assist.memory.retention import Kind
from projectone.assist.memory.steady_clock import STEADY_CLOCK_TABLE
from projectone.assist.vectors.protocol import Owner
from projectone.storage.database import Database
from projectone.storage.sqlite import Row

# `memory_remains` names vectors that may lie somewhere without a row. Whoever deletes a row, a trigger notes it there;
# whoever is about to make a vector notes it there first. A name leaves with the row that it got, or with its vector.
MEMORY_TABLES = f"""
CREATE TABLE memories (
    memory_id TEXT PRIMARY KEY,
    tenant TEXT NOT NULL,
    user TEXT NOT NULL,
    kind TEXT NOT NULL,
    text TEXT NOT NULL,
    names TEXT NOT NULL,
    intent TEXT,
    recording_id TEXT,
    source_id TEXT,
    said_at TEXT NOT NULL,
    kept_s REAL NOT NULL,
    expires_s REAL,
    embedded_by TEXT
) STRICT;
CREATE INDEX memories_by_owner ON memories(tenant, user, said_at);
CREATE INDEX memories_by_expiry ON memories(expires_s);
CREATE INDEX memories_by_recording ON memories(recording_id);
CREATE TABLE memory_remains (
    memory_id TEXT PRIMARY KEY,
    tenant TEXT NOT NULL,
    user TEXT NOT NULL
) STRICT;
CREATE TRIGGER memory_leaves_a_vector AFTER DELETE ON memories
BEGIN
    INSERT OR IGNORE INTO memory_remains VALUES (OLD.memory_id, OLD.tenant, OLD.user);
END;
{STEADY_CLOCK_TABLE}
"""

_OWNED = "tenant = ? AND user = ?"
# The same where an id leads to the rows: an owner may have all there are, so the index over owners is no way there.
_OWNED_TOO = "+tenant = ? AND +user = ?"
_AT_ONCE = 500
_ALIVE = "(expires_s IS NULL OR expires_s > ?)"


@dataclass(frozen=True)
class About:
    """What is known of something that was said.

    Attributes:
        kind: What it is; says how long it is kept.
        said_at: When it was said.
        names: Whom and what it was about.
        intent: What was meant by it, if a classifier said.
        recording_id: The recording it was heard in; it goes with it.
        source_id: The correction or the question it was taken from; it goes with it.
    """

    kind: Kind
    said_at: datetime
    names: tuple[str, ...] = ()
    intent: str | None = None
    recording_id: str | None = None
    source_id: str | None = None


@dataclass(frozen=True)
class Remembered:
    """One memory.

    Attributes:
        memory_id: Its id.
        text: What was said.
        about: What is known of it.
        expires_at: When it is let go; None if not by itself.
    """

    memory_id: UUID
    text: str
    about: About
    expires_at: datetime | None

    def facts(self) -> dict[str, Any]:
        """For programs: the terminal and the pages say the same."""
        return {
            "memory_id": str(self.memory_id),
            "text": self.text,
            "kind": self.about.kind,
            "names": list(self.about.names),
            "intent": self.about.intent,
            "recording_id": self.about.recording_id,
            "said_at": self.about.said_at.isoformat(),
            "expires_at": self.expires_at.isoformat() if self.expires_at else None,
        }


class OwnedRows:
    """The memories of one owner. Every statement names the owner; nothing of another's is read, changed or counted."""

    def __init__(self, database: Database, owner: Owner) -> None:
        if owner.is_shared:
            raise ValueError("owner: expected a person; memories are nobody's in common")
        self._database = database
        self._owner = (owner.tenant, owner.user)

    def add(self, memory: Remembered, *, kept_s: float, expires_s: float | None, embedded_by: str | None) -> None:
        """Keep one; what was remembered of the same recording before is replaced."""
        about = memory.about
        with self._database.transaction():
            if about.recording_id is not None:
                self.delete_recording(about.recording_id)
            self._database.execute(
                "INSERT INTO memories VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
                (
                    str(memory.memory_id),
                    *self._owner,
                    about.kind,
                    memory.text,
                    json.dumps(about.names, ensure_ascii=False),
                    about.intent,
                    about.recording_id,
                    about.source_id,
                    about.said_at.astimezone(UTC).isoformat(),
                    kept_s,
                    expires_s,
                    embedded_by,
                ),
            )

    def these(self, ids: Sequence[UUID], *, now_s: float, embedded_by: str) -> dict[UUID, Remembered]:
        """Those of these ids that are this owner's, not run out, and whose vector was made by this embedder."""
        found: dict[UUID, Remembered] = {}
        for begin in range(0, len(ids), _AT_ONCE):
            some = ids[begin : begin + _AT_ONCE]
            rows = self._database.query(
                f"SELECT * FROM memories WHERE memory_id IN ({', '.join('?' * len(some))})"
                f" AND {_OWNED_TOO} AND {_ALIVE} AND embedded_by = ?",
                (*map(str, some), *self._owner, now_s, embedded_by),
            )
            found |= {memory.memory_id: memory for memory in map(_to_memory, rows)}
        return found

    def newest(self, limit: int, *, now_s: float, skip: int = 0) -> list[Remembered]:
        """The last ones, newest first, without so many of the newest."""
        rows = self._database.query(
            f"SELECT * FROM memories WHERE {_OWNED} AND {_ALIVE} ORDER BY said_at DESC, memory_id LIMIT ? OFFSET ?",
            (*self._owner, now_s, limit, skip),
        )
        return [_to_memory(row) for row in rows]

    def beginning(self, prefix: str, *, now_s: float) -> list[Remembered]:
        """Those whose id begins so, two at most."""
        rows = self._database.query(
            f"SELECT * FROM memories WHERE {_OWNED} AND {_ALIVE} AND memory_id GLOB ? LIMIT 2",
            (*self._owner, now_s, f"{prefix}*"),
        )
        return [_to_memory(row) for row in rows]

    def every(self, *, now_s: float) -> Iterator[Remembered]:
        """All of them, newest first, one page of rows after the other."""
        rows = self._database.query(
            f"SELECT * FROM memories WHERE {_OWNED} AND {_ALIVE} ORDER BY said_at DESC, memory_id",
            (*self._owner, now_s),
        )
        return map(_to_memory, rows)

    def without_vector(self, limit: int) -> list[Remembered]:
        """Those that cannot be found by what they mean, the newest first."""
        rows = self._database.query(
            f"SELECT * FROM memories WHERE {_OWNED} AND embedded_by IS NULL ORDER BY said_at DESC LIMIT ?",
            (*self._owner, limit),
        )
        return [_to_memory(row) for row in rows]

    def has(self, memory_id: UUID) -> bool:
        """Whether there is such a row."""
        return bool(
            self._database.query(
                f"SELECT 1 FROM memories WHERE memory_id = ? AND {_OWNED_TOO}", (str(memory_id), *self._owner)
            )
        )

    def is_embedded_by_others(self, embedded_by: str) -> bool:
        """Whether there is a vector of another embedder."""
        return bool(
            self._database.query(
                f"SELECT 1 FROM memories WHERE {_OWNED} AND embedded_by <> ? LIMIT 1", (*self._owner, embedded_by)
            )
        )

    def mark_embedded(self, memory_id: UUID, embedded_by: str) -> None:
        """Note who made its vector."""
        self._database.execute(
            f"UPDATE memories SET embedded_by = ? WHERE memory_id = ? AND {_OWNED_TOO}",
            (embedded_by, str(memory_id), *self._owner),
        )

    def unmark(self) -> None:
        """No vector of this owner counts any more."""
        self._database.execute(f"UPDATE memories SET embedded_by = NULL WHERE {_OWNED}", self._owner)

    def n_embedded(self) -> int:
        """How many have a vector."""
        (row,) = self._database.query(
            f"SELECT count(*) AS n FROM memories WHERE {_OWNED} AND embedded_by IS NOT NULL", self._owner
        )
        return int(row["n"])

    def n_rows(self) -> int:
        """How many there are, run out or not."""
        (row,) = self._database.query(f"SELECT count(*) AS n FROM memories WHERE {_OWNED}", self._owner)
        return int(row["n"])

    def n_alive(self, *, now_s: float) -> int:
        """How many there are."""
        (row,) = self._database.query(
            f"SELECT count(*) AS n FROM memories WHERE {_OWNED} AND {_ALIVE}", (*self._owner, now_s)
        )
        return int(row["n"])

    def delete(self, ids: Sequence[UUID]) -> int:
        """Delete these; a trigger notes their vectors. Gives how many there were."""
        with self._database.transaction():
            return sum(
                self._database.execute(
                    f"DELETE FROM memories WHERE memory_id = ? AND {_OWNED_TOO}", (str(each), *self._owner)
                )
                for each in ids
            )

    def note_intent(self, recording_id: str, intent: str | None) -> bool:
        """Note what was meant in a recording; False if nothing is remembered of it."""
        return bool(
            self._database.execute(
                f"UPDATE memories SET intent = ? WHERE {_OWNED_TOO} AND recording_id = ?",
                (intent, *self._owner, recording_id),
            )
        )

    def delete_recording(self, recording_id: str) -> int:
        """Delete what is remembered of a recording; gives how much it was."""
        return self._database.execute(
            f"DELETE FROM memories WHERE {_OWNED_TOO} AND recording_id = ?", (*self._owner, recording_id)
        )

    def delete_all(self) -> int:
        """Delete every one; gives how many there were."""
        return self._database.execute(f"DELETE FROM memories WHERE {_OWNED}", self._owner)

    def delete_oldest(self, most: int) -> int:
        """Delete the oldest of more than `most`; gives how many."""
        return self._database.execute(
            f"DELETE FROM memories WHERE memory_id IN (SELECT memory_id FROM memories WHERE {_OWNED}"
            " ORDER BY said_at DESC, memory_id LIMIT -1 OFFSET ?)",
            (*self._owner, most),
        )

    def announce(self, memory_id: UUID) -> None:
        """Note that a vector of this name is about to be made."""
        self._database.execute("INSERT OR IGNORE INTO memory_remains VALUES (?, ?, ?)", (str(memory_id), *self._owner))

    def is_announced(self, memory_id: UUID) -> bool:
        """Whether that note is there yet."""
        return bool(
            self._database.query(
                f"SELECT 1 FROM memory_remains WHERE memory_id = ? AND {_OWNED_TOO}", (str(memory_id), *self._owner)
            )
        )

    def remains(self) -> list[UUID]:
        """Names of vectors that may lie somewhere without a row."""
        rows = self._database.query(f"SELECT memory_id FROM memory_remains WHERE {_OWNED}", self._owner)
        return [UUID(row["memory_id"]) for row in rows]

    def strike(self, ids: Sequence[UUID]) -> None:
        """These have a row now, or no vector any more."""
        for each in ids:
            self._database.execute(
                f"DELETE FROM memory_remains WHERE memory_id = ? AND {_OWNED_TOO}", (str(each), *self._owner)
            )


def _to_memory(row: Row) -> Remembered:
    about = About(
        kind=cast(Kind, row["kind"]),
        said_at=datetime.fromisoformat(row["said_at"]),
        names=tuple(json.loads(row["names"])),
        intent=row["intent"],
        recording_id=row["recording_id"],
        source_id=row["source_id"],
    )
    expires_s = row["expires_s"]
    expires_at = None if expires_s is None else datetime.fromtimestamp(expires_s, UTC)
    return Remembered(UUID(row["memory_id"]), row["text"], about, expires_at)
