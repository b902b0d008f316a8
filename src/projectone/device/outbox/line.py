"""What waits to be sent, as rows that survive a crash.

States: `waiting` (may go) -> `sending` (claimed; its bytes may be anywhere) -> `sent` | `refused` | `withdrawn`.
A process that dies while sending leaves `sending` behind; the next start makes that `waiting` again, and the same
bytes go once more under the same id, which the server answers as it did the first time.
"""

from __future__ import annotations

import random
import uuid
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import cast, get_args

from projectone.contracts.consent import ConsentScope
from projectone.device.outbox.whereabouts import LEFT, Departure, EntryKind, EntryState, to_departure
from projectone.storage.database import Database
from projectone.storage.sqlite import Row

# The server must know of a consent before the samples under it, and of what is taken back before anything new. A sample
# that failed goes to the end of the line, so that one on which the server chokes cannot hold up the others.
_IN_ORDER = (
    "CASE kind WHEN 'consent' THEN 0 WHEN 'withdrawal' THEN 1 WHEN 'deletion' THEN 1 ELSE 2 END, attempts, number"
)

_FOR_EVER = 1e18
_FIRST_PAUSE_S = 30.0
_LONGEST_PAUSE_S = 6 * 3600.0


@dataclass(frozen=True)
class OutboxEntry:
    """One thing to tell the server.

    Attributes:
        number: Its place in line.
        entry_id: The sample's id, or the consent receipt's.
        kind: What it is.
        scope: The purpose that must be allowed when it leaves.
        receipt_id: The consent it was given under.
        payload: Canonical JSON, fixed when it was put in line: sent again, it is the same to the byte.
        audio_sha256: The sound that goes with a sample.
        attempts: How often it was claimed.
    """

    number: int
    entry_id: uuid.UUID
    kind: EntryKind
    scope: ConsentScope
    receipt_id: uuid.UUID
    payload: bytes
    audio_sha256: str | None = None
    attempts: int = 0


class Outbox:
    """The line of what is to be sent. One process at a time sends; any may add or withdraw."""

    def __init__(self, database: Database, *, seed: int | None = None) -> None:
        self._database = database
        self._random = random.Random(seed)

    def put(
        self,
        kind: EntryKind,
        entry_id: uuid.UUID,
        *,
        scope: ConsentScope,
        receipt_id: uuid.UUID,
        payload: bytes,
        audio_sha256: str | None = None,
    ) -> None:
        """Put something in line; nothing changes if it ever was there."""
        self._database.execute(
            "INSERT INTO outbox (entry_id, kind, scope, receipt_id, payload, audio_sha256)"
            " VALUES (?, ?, ?, ?, ?, ?) ON CONFLICT DO NOTHING",
            (str(entry_id), kind, scope, str(receipt_id), payload, audio_sha256),
        )

    def recover(self) -> int:
        """Put what a dead process was sending back in line; gives how many. Only under the lock of the sender."""
        return self._database.execute("UPDATE outbox SET state = 'waiting' WHERE state = 'sending'")

    def claim(self, *, due_before: datetime | None = None, now: datetime | None = None) -> OutboxEntry | None:
        """The next thing to send, marked as being sent; None at the end of the line.

        Args:
            now: Noted as the moment at which its bytes left, for the person who asks.
            due_before: Leave those whose pause after a failure lasts longer; None takes all.
        """
        with self._database.transaction():
            rows = self._database.query(
                "SELECT * FROM outbox WHERE state = 'waiting' AND (due_at <= ?1 OR due_at > ?1 + ?2)"
                f" ORDER BY {_IN_ORDER} LIMIT 1",
                # No pause is so long: the clock was set back since.
                (due_before.timestamp() if due_before else _FOR_EVER, _LONGEST_PAUSE_S),
            )
            if not rows:
                return None
            entry = _to_entry(rows[0])
            self._database.execute(
                "UPDATE outbox SET state = 'sending', attempts = attempts + 1, left_at = coalesce(?, left_at)"
                " WHERE number = ?",
                (now and now.isoformat(), entry.number),
            )
            return entry

    def mark_sent(self, entry: OutboxEntry) -> bool:
        """The server has it. False if it was withdrawn while it was under way."""
        return self._leave_sending(entry, "sent")

    def mark_refused(self, entry: OutboxEntry, *, reason: str, detail: str) -> bool:
        """The server will never take it, and said why."""
        return self._leave_sending(entry, "refused", reason, detail)

    def mark_withdrawn(self, entry: OutboxEntry) -> bool:
        """The consent was gone when its turn came: it stays here."""
        return self._leave_sending(entry, "withdrawn")

    def put_back(self, entry: OutboxEntry, *, problem: str, now: datetime) -> None:
        """Nobody knows whether it arrived: it waits again, longer each time, and not at the same second as others."""
        pause_s = min(_LONGEST_PAUSE_S, _FIRST_PAUSE_S * 2.0 ** min(entry.attempts, 20))
        due = now + timedelta(seconds=pause_s * self._random.uniform(0.5, 1.0))
        self._database.execute(
            "UPDATE outbox SET state = 'waiting', due_at = ?, detail = ? WHERE number = ? AND state = 'sending'",
            (due.timestamp(), problem, entry.number),
        )

    def send_again(self, kind: EntryKind, entry_id: uuid.UUID) -> None:
        """Put something back in line that was sent: the server has forgotten it."""
        self._database.execute(
            "UPDATE outbox SET state = 'waiting', due_at = 0 WHERE kind = ? AND entry_id = ? AND state = 'sent'",
            (kind, str(entry_id)),
        )

    def withdraw(self, receipt_id: uuid.UUID) -> bool:
        """Take everything under a consent out of line, what is under way included.

        Returns:
            Whether the server may know of this consent, so that it must be told of the withdrawal.
        """
        with self._database.transaction():
            rows = self._database.query(
                "SELECT 1 FROM outbox WHERE receipt_id = ? AND kind IN ('consent', 'sample') AND attempts > 0 LIMIT 1",
                (str(receipt_id),),
            )
            # What was sent is kept as a row, without its words: it must never be sent again under this id.
            self._database.execute(
                "UPDATE outbox SET state = 'withdrawn', payload = x'' WHERE receipt_id = ? AND kind != 'withdrawal'",
                (str(receipt_id),),
            )
            return bool(rows)

    def withdraw_sample(self, sample_id: uuid.UUID) -> None:
        """Take one sample out of line if it never began to leave."""
        self._database.execute(
            "UPDATE outbox SET state = 'withdrawn', payload = x'' WHERE entry_id = ? AND kind = 'sample'"
            " AND state = 'waiting' AND attempts = 0",
            (str(sample_id),),
        )

    def keep_here(self, sample_id: uuid.UUID, *, reason: str, detail: str) -> None:
        """Refuse one sample before it ever leaves."""
        self._database.execute(
            "UPDATE outbox SET state = 'refused', reason = ?, detail = ?, payload = x'' WHERE entry_id = ?"
            " AND kind = 'sample' AND state = 'waiting' AND attempts = 0",
            (reason, detail, str(sample_id)),
        )

    def refusal_of(self, sample_id: uuid.UUID) -> str | None:
        """Why one sample is not taken; None if it is not refused."""
        rows = self._database.query(
            "SELECT detail FROM outbox WHERE entry_id = ? AND kind = 'sample' AND state = 'refused'", (str(sample_id),)
        )
        return str(rows[0]["detail"] or "refused") if rows else None

    def take_back(self, sample_id: uuid.UUID) -> bool:
        """Take one sample out of line, wherever it is; if the server may have it, put in line that it is to erase it.

        Returns:
            Whether it may have left. One that is under way is erased after it arrived, or refused if it comes later.
        """
        with self._database.transaction():
            rows = self._database.query(
                "SELECT * FROM outbox WHERE entry_id = ? AND kind = 'sample'", (str(sample_id),)
            )
            if not rows or rows[0]["state"] == "refused":
                return False
            self._database.execute(
                "UPDATE outbox SET state = 'withdrawn', payload = x'' WHERE number = ?", (rows[0]["number"],)
            )
            if not rows[0]["attempts"]:
                return False
            receipt_id = uuid.UUID(rows[0]["receipt_id"])
            self.put("deletion", sample_id, scope=rows[0]["scope"], receipt_id=receipt_id, payload=b"")
        return True

    def left(self, limit: int, *, skip: int = 0) -> list[Departure]:
        """Samples that left, or may have, the last ones first, from the one after `skip` on."""
        return [to_departure(row) for row in self._database.query(LEFT, (limit, skip))]

    def payload_of(self, sample_id: uuid.UUID) -> bytes:
        """What goes beside a sample's sound, to the byte; empty once it was taken back, or if it never was in line."""
        rows = self._database.query(
            "SELECT payload FROM outbox WHERE entry_id = ? AND kind = 'sample'", (str(sample_id),)
        )
        return bytes(rows[0]["payload"]) if rows else b""

    def state_of(self, sample_id: uuid.UUID) -> EntryState | None:
        """Where a sample is; None if it never was in line."""
        rows = self._database.query(
            "SELECT state FROM outbox WHERE entry_id = ? AND kind = 'sample'", (str(sample_id),)
        )
        return cast(EntryState, rows[0]["state"]) if rows else None

    def samples_under(self, receipt_id: uuid.UUID) -> list[uuid.UUID]:
        """Every sample that was put in line under a consent."""
        rows = self._database.query(
            "SELECT entry_id FROM outbox WHERE receipt_id = ? AND kind = 'sample'", (str(receipt_id),)
        )
        return [uuid.UUID(row["entry_id"]) for row in rows]

    def states_under(self, receipt_id: uuid.UUID) -> dict[uuid.UUID, tuple[EntryState, bool]]:
        """Every sample under a consent: where it is, and whether its bytes may ever have left this device."""
        rows = self._database.query(
            "SELECT entry_id, state, attempts FROM outbox WHERE receipt_id = ? AND kind = 'sample' ORDER BY number",
            (str(receipt_id),),
        )
        return {uuid.UUID(row["entry_id"]): (cast(EntryState, row["state"]), bool(row["attempts"])) for row in rows}

    def counts(self, kind: EntryKind | None = None) -> dict[str, int]:
        """How many entries there are in each state."""
        rows = self._database.query(
            "SELECT state, count(*) AS n FROM outbox WHERE ?1 IS NULL OR kind = ?1 GROUP BY state", (kind,)
        )
        found = {str(row["state"]): int(row["n"]) for row in rows}
        return {state: found.get(state, 0) for state in get_args(EntryState)}

    def refusals(self) -> list[tuple[uuid.UUID, str, str]]:
        """Every refused entry: its id, the reason's code, and the server's words."""
        rows = self._database.query("SELECT * FROM outbox WHERE state = 'refused' ORDER BY number")
        return [(uuid.UUID(row["entry_id"]), str(row["reason"]), str(row["detail"])) for row in rows]

    def _leave_sending(
        self, entry: OutboxEntry, state: str, reason: str | None = None, detail: str | None = None
    ) -> bool:
        changed = self._database.execute(
            "UPDATE outbox SET state = ?, reason = ?, detail = ? WHERE number = ? AND state = 'sending'",
            (state, reason, detail, entry.number),
        )
        return changed == 1


def _to_entry(row: Row) -> OutboxEntry:
    return OutboxEntry(
        number=row["number"],
        entry_id=uuid.UUID(row["entry_id"]),
        kind=cast(EntryKind, row["kind"]),
        scope=cast(ConsentScope, row["scope"]),
        receipt_id=uuid.UUID(row["receipt_id"]),
        payload=row["payload"],
        audio_sha256=row["audio_sha256"],
        attempts=row["attempts"] + 1,
    )
