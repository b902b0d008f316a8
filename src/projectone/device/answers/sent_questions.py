"""Every question that left this device for an answer, exactly as it left."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final

from projectone.storage.database import Database

KEPT: Final = timedelta(days=30)

ANSWERS_SENT = """
CREATE TABLE answers_sent (
    number INTEGER PRIMARY KEY AUTOINCREMENT,
    sent_at TEXT NOT NULL,
    host TEXT NOT NULL,
    model TEXT NOT NULL,
    system TEXT NOT NULL,
    prompt TEXT NOT NULL
) STRICT;
"""


@dataclass(frozen=True)
class SentQuestion:
    """One request: when, to whom, and its words, with marks in the place of personal data."""

    sent_at: datetime
    host: str
    model: str
    system: str
    prompt: str

    def facts(self) -> dict[str, Any]:
        """For programs."""
        return {
            "sent_at": self.sent_at.isoformat(),
            "host": self.host,
            "model": self.model,
            "system": self.system,
            "prompt": self.prompt,
        }


class SentQuestions:
    """The rows, for 30 days."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def note(self, question: SentQuestion) -> None:
        """Keep it before it leaves: what is on its way may arrive."""
        with self._database.transaction():
            self.sweep(question.sent_at)
            self._database.execute(
                "INSERT INTO answers_sent (sent_at, host, model, system, prompt) VALUES (?, ?, ?, ?, ?)",
                (question.sent_at.isoformat(), question.host, question.model, question.system, question.prompt),
            )

    def newest(self, limit: int, now: datetime) -> list[SentQuestion]:
        """The last first; nothing older than 30 days."""
        rows = self._database.query(
            "SELECT * FROM answers_sent WHERE sent_at > ? ORDER BY number DESC LIMIT ?",
            ((now - KEPT).isoformat(), limit),
        )
        return [
            SentQuestion(
                datetime.fromisoformat(row["sent_at"]), row["host"], row["model"], row["system"], row["prompt"]
            )
            for row in rows
        ]

    def count(self, now: datetime) -> int:
        """How many there are."""
        (row,) = self._database.query(
            "SELECT count(*) AS n FROM answers_sent WHERE sent_at > ?", ((now - KEPT).isoformat(),)
        )
        return int(row["n"])

    def sweep(self, now: datetime) -> None:
        """Let go of what is older than 30 days."""
        self._database.execute("DELETE FROM answers_sent WHERE sent_at <= ?", ((now - KEPT).isoformat(),))

    def forget(self) -> int:
        """Let go of everything; gives how many."""
        return self._database.execute("DELETE FROM answers_sent")
