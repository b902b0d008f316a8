"""What is counted, as rows of this device: how much of a week fell into which class, and the reports.

A row holds a number. Nothing of it leads back to a recording or a sentence, and after eight weeks it is gone.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final, cast

from projectone.contracts.quality import week_of, weeks_before
from projectone.contracts.questions import HISTOGRAMS_OF, N_BINS, Histogram, family_asked
from projectone.contracts.versions import Family
from projectone.device.quality.measures import Bins, measure_warnings, measure_week
from projectone.storage.database import Database
from projectone.storage.sqlite import Row

KEPT_WEEKS: Final = 8
TOLD_WEEKS: Final = 104
"""What was sent is shown for two years."""

M012_QUALITY = """
CREATE TABLE quality_counts (
    week TEXT NOT NULL,
    model_version TEXT NOT NULL,
    histogram TEXT NOT NULL,
    bin INTEGER NOT NULL CHECK (bin BETWEEN 0 AND 7),
    n INTEGER NOT NULL,
    PRIMARY KEY (week, model_version, histogram, bin)
) STRICT;
CREATE TABLE quality_reports (
    week TEXT PRIMARY KEY,
    body BLOB NOT NULL,
    due_at TEXT NOT NULL,
    ticket_key TEXT,
    blinded TEXT,
    unblinder TEXT,
    signature TEXT,
    told_at TEXT,
    is_refused INTEGER NOT NULL DEFAULT 0
) STRICT;
"""


@dataclass(frozen=True)
class WeekCounts:
    """What was counted under one model in one week: in each histogram of its family, how many fell into each class."""

    family: Family
    week: str
    model_version: str
    counts: Mapping[Histogram, tuple[int, ...]]


@dataclass(frozen=True)
class Draft:
    """A report that was drawn, and how far it has come.

    Attributes:
        body: All that leaves.
        due_at: Not sent before: what is sent at a moment of its own stands beside nothing else of this device.
        ticket_key: The server's key for this week, once it was asked for.
        blinded: What the server is asked to sign, and the number that makes a ticket of its answer.
        signature: The ticket.
        told_at: When the server took it.
        is_refused: The server will not take it any more; no other one is drawn, as these bytes may have been seen.
    """

    week: str
    body: bytes
    due_at: datetime
    ticket_key: str | None
    blinded: tuple[str, int] | None
    signature: str | None
    told_at: datetime | None
    is_refused: bool


class Counts:
    """The rows."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def add(self, bins: Bins, *, model_version: str, now: datetime) -> None:
        """Count one recording, sentence, correction or answer; what is too old goes."""
        week = week_of(now)
        with self._database.transaction():
            for histogram, bin_ in bins.items():
                self._database.execute(
                    "INSERT INTO quality_counts VALUES (?, ?, ?, ?, 1)"
                    " ON CONFLICT (week, model_version, histogram, bin) DO UPDATE SET n = n + 1",
                    (week, model_version, histogram, bin_),
                )
            self._database.execute("DELETE FROM quality_counts WHERE week <= ?", (weeks_before(week, KEPT_WEEKS),))
            self._database.execute("DELETE FROM quality_reports WHERE week <= ?", (weeks_before(week, TOLD_WEEKS),))

    def weeks(self) -> list[WeekCounts]:
        """Everything that is counted here, the last week first."""
        found: dict[tuple[str, Family, str], dict[Histogram, list[int]]] = defaultdict(
            lambda: defaultdict(lambda: [0] * N_BINS)
        )
        for row in self._database.query("SELECT * FROM quality_counts"):
            histogram = cast(Histogram, row["histogram"])
            found[row["week"], family_asked(histogram), row["model_version"]][histogram][row["bin"]] = row["n"]
        return [
            WeekCounts(family, week, version, _all_counts(family, counts))
            for (week, family, version), counts in sorted(found.items(), reverse=True)
        ]

    def forget(self) -> None:
        """Drop what was counted, and what was drawn and not sent. What was sent stays on this device's list."""
        with self._database.transaction():
            self._database.execute("DELETE FROM quality_counts")
            self._database.execute("DELETE FROM quality_reports WHERE told_at IS NULL")

    def keep_draft(self, week: str, body: bytes, due_at: datetime) -> None:
        """Keep what will be sent, unless there is one: drawn again, it would say more than it may."""
        self._database.execute(
            "INSERT OR IGNORE INTO quality_reports (week, body, due_at) VALUES (?, ?, ?)",
            (week, body, due_at.isoformat()),
        )

    def draft_of(self, week: str) -> Draft | None:
        """The report of a week, sent or not."""
        rows = self._database.query("SELECT * FROM quality_reports WHERE week = ?", (week,))
        return _draft(rows[0]) if rows else None

    def told(self, limit: int) -> list[Draft]:
        """What was sent, the last first."""
        rows = self._database.query(
            "SELECT * FROM quality_reports WHERE told_at IS NOT NULL ORDER BY week DESC LIMIT ?", (limit,)
        )
        return [_draft(row) for row in rows]

    def note_blinded(self, week: str, ticket_key: str, blinded: str, unblinder: int) -> None:
        """Keep what the server is asked to sign: asked again, it must be the same."""
        self._set(week, "ticket_key = ?, blinded = ?, unblinder = ?", (ticket_key, blinded, f"{unblinder:x}"))

    def note_ticket(self, week: str, signature: str) -> None:
        """Keep the ticket."""
        self._set(week, "signature = ?, blinded = NULL, unblinder = NULL", (signature,))

    def note_told(self, week: str, now: datetime) -> None:
        """The server has it."""
        self._set(week, "told_at = ?, signature = NULL", (now.isoformat(),))

    def note_refused(self, week: str) -> None:
        """The server will not take it any more."""
        self._set(week, "is_refused = 1, signature = NULL, blinded = NULL, unblinder = NULL", ())

    def _set(self, week: str, assignments: str, values: tuple[object, ...]) -> None:
        self._database.execute(f"UPDATE quality_reports SET {assignments} WHERE week = ?", (*values, week))


def _all_counts(family: Family, counts: Mapping[Histogram, Sequence[int]]) -> dict[Histogram, tuple[int, ...]]:
    """What was counted, and what a week says as a whole, which no row holds."""
    found = {name: tuple(counts[name]) for name in HISTOGRAMS_OF[family]}
    if family == "safety":
        return found | measure_warnings(found["alarm"])
    return found | measure_week(found["outcome"]) if family == "intents" else found


def _draft(row: Row) -> Draft:
    return Draft(
        week=row["week"],
        body=row["body"],
        due_at=datetime.fromisoformat(row["due_at"]),
        ticket_key=row["ticket_key"],
        blinded=None if row["blinded"] is None else (row["blinded"], int(row["unblinder"], 16)),
        signature=row["signature"],
        told_at=None if row["told_at"] is None else datetime.fromisoformat(row["told_at"]),
        is_refused=bool(row["is_refused"]),
    )
