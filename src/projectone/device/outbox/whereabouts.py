"""Where something is that was put in line: in the words of its row, and in those that a person needs."""

from __future__ import annotations

import uuid
from dataclasses import dataclass
from datetime import datetime
from typing import Literal, cast

from projectone.storage.sqlite import Row

EntryKind = Literal["consent", "withdrawal", "deletion", "sample"]
EntryState = Literal["waiting", "sending", "sent", "refused", "withdrawn"]
Whereabouts = Literal["maybe sent", "sent", "refused", "withdrawn", "to be deleted", "deleted"]
"""Of a sample that left: whether the server has it, as far as this device knows."""

LEFT = """
SELECT s.entry_id, s.receipt_id, s.state, s.left_at, e.state AS erasure, e.left_at AS erasure_left_at
FROM outbox s LEFT JOIN outbox e ON e.number = (
    SELECT number FROM outbox WHERE (kind = 'deletion' AND entry_id = s.entry_id)
    OR (kind = 'withdrawal' AND entry_id = s.receipt_id)
    ORDER BY CASE state WHEN 'sent' THEN 0 WHEN 'withdrawn' THEN 2 ELSE 1 END LIMIT 1
)
WHERE s.kind = 'sample' AND s.attempts > 0 ORDER BY s.number DESC LIMIT ? OFFSET ?
"""
"""Samples that left, or may have, the last ones first, each with the request to erase it, if there is one."""


@dataclass(frozen=True)
class Departure:
    """A sample that left this device, or may have.

    Attributes:
        sample_id: Of the sample.
        receipt_id: The consent under which it left.
        whereabouts: Whether the server has it, as far as this device knows.
        left_at: When its bytes left, the last time; None if that was not noted then.
        erased_at: When the server said that it erased it; None as long as it did not, or if that was not noted.
    """

    sample_id: uuid.UUID
    receipt_id: uuid.UUID
    whereabouts: Whereabouts
    left_at: datetime | None
    erased_at: datetime | None


def to_departure(row: Row) -> Departure:
    """A row of `LEFT` as a departure."""
    where = _whereabouts(row["state"], row["erasure"])
    erased_at = _moment(row["erasure_left_at"]) if where == "deleted" else None
    return Departure(
        uuid.UUID(row["entry_id"]), uuid.UUID(row["receipt_id"]), where, _moment(row["left_at"]), erased_at
    )


def _whereabouts(state: EntryState, erasure: EntryState | None) -> Whereabouts:
    if state == "refused":  # it never kept it
        return "refused"
    if erasure in ("waiting", "sending"):
        return "to be deleted"
    if erasure == "sent":
        return "deleted"
    return "maybe sent" if state in ("waiting", "sending") else cast(Whereabouts, state)


def _moment(text: str | None) -> datetime | None:
    return None if text is None else datetime.fromisoformat(text)
