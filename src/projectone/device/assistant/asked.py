"""What was asked and what the classifier said, as rows of this device: so that it can be corrected afterwards.

A text is as private as a voice. Nothing here leaves by itself; what nobody corrected goes by itself after a month.
"""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any, Final

from projectone.errors import DataError
from projectone.storage.database import Database
from projectone.storage.sqlite import Row

if TYPE_CHECKING:
    from projectone.assist.protocols import Judgement

M016_ASKED = """
CREATE TABLE asked (
    ask_id TEXT PRIMARY KEY,
    recording_id TEXT REFERENCES recordings(recording_id) ON DELETE CASCADE,
    text TEXT NOT NULL,
    label TEXT,
    nearest TEXT NOT NULL,
    probability REAL NOT NULL,
    fit REAL NOT NULL,
    model_version TEXT NOT NULL,
    asked_at TEXT NOT NULL
) STRICT;
CREATE INDEX asked_by_recording ON asked(recording_id);
"""

KEPT_FOR: Final = timedelta(days=30)
MOST_KEPT: Final = 500
"""What was asked and not corrected is kept no longer, and no more of it."""

LAST: Final = "last"
_SHORTEST_PREFIX = 4
_UNCORRECTED = "NOT EXISTS (SELECT 1 FROM data_points d WHERE d.ask_id = asked.ask_id AND d.is_superseded = 0)"


@dataclass(frozen=True)
class Asked:
    """A text and what it was taken to mean.

    Attributes:
        recording_id: Where the text was heard; None if it was written.
        label: What is meant; None for none of these.
        nearest: The intent that fits best, also where it does not fit.
        probability: That `nearest` is right, if one of the intents is.
        fit: How well `nearest` fits; below the classifier's threshold it is none of these.
        model_version: Of the classifier.
    """

    ask_id: str
    recording_id: str | None
    text: str
    label: str | None
    nearest: str
    probability: float
    fit: float
    model_version: str
    asked_at: datetime

    def facts(self) -> dict[str, Any]:
        """For programs: the terminal and the pages say the same."""
        return {
            "ask_id": self.ask_id,
            "recording_id": self.recording_id,
            "text": self.text,
            "label": self.label,
            "nearest": self.nearest,
            "probability": round(self.probability, 4),
            "fit": round(self.fit, 4),
            "model_version": self.model_version,
            "asked_at": self.asked_at.isoformat(),
        }


class AskedRows:
    """The rows."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def keep(
        self, text: str, judgement: Judgement, version: str, *, recording_id: str | None, asked_at: datetime
    ) -> Asked:
        """Keep one more; the same text of the same recording takes the place of the one before. Old ones go.

        What the person corrected stays.
        """
        asked = Asked(
            str(uuid.uuid4()),
            recording_id,
            text,
            judgement.label,
            judgement.nearest,
            judgement.probability,
            judgement.fit,
            version,
            asked_at,
        )
        values = (*(getattr(asked, name) for name in _COLUMNS[:-1]), asked_at.isoformat())
        with self._database.transaction():
            if recording_id is not None:
                self._database.execute(
                    f"DELETE FROM asked WHERE recording_id = ? AND text = ? AND {_UNCORRECTED}", (recording_id, text)
                )
            self._database.execute(
                f"INSERT INTO asked ({', '.join(_COLUMNS)}) VALUES ({', '.join('?' * len(_COLUMNS))})", values
            )
            self._database.execute(
                f"DELETE FROM asked WHERE {_UNCORRECTED} AND (asked_at < ?1 OR ask_id NOT IN"
                " (SELECT ask_id FROM asked ORDER BY asked_at DESC, rowid DESC LIMIT ?2))",
                ((asked_at - KEPT_FOR).isoformat(), MOST_KEPT),
            )
        return asked

    def find(self, named: str) -> Asked:
        """The one with this id, or the only one whose id begins so, or the ``last`` one.

        Raises:
            DataError: if there is none, or more than one.
        """
        if named == LAST:
            found = self._select("1 ORDER BY asked_at DESC, rowid DESC LIMIT 1")
        elif len(named) >= _SHORTEST_PREFIX and set(named) <= set("0123456789abcdef-"):
            found = self._select("ask_id GLOB ? LIMIT 2", (f"{named}*",))
        else:
            found = []
        if len(found) == 1:
            return found[0]
        problem = "several begin so; give more of the id" if found else "nothing with this id was asked"
        raise DataError("ask-unknown", f"{named!r}: {problem} (`projectone ask --list` shows what was)")

    def newest(self, limit: int) -> list[Asked]:
        """What was asked, the last first."""
        return self._select("1 ORDER BY asked_at DESC, rowid DESC LIMIT ?", (limit,))

    def of_recording(self, recording_id: str) -> Asked | None:
        """What was last asked about a recording."""
        found = self._select("recording_id = ? ORDER BY asked_at DESC, rowid DESC LIMIT 1", (recording_id,))
        return found[0] if found else None

    def forget(self, ask_id: str) -> None:
        """Forget one of them."""
        self._database.execute("DELETE FROM asked WHERE ask_id = ?", (ask_id,))

    def _select(self, condition: str, parameters: Sequence[object] = ()) -> list[Asked]:
        return [_asked(row) for row in self._database.query(f"SELECT * FROM asked WHERE {condition}", parameters)]


_COLUMNS = (
    "ask_id",
    "recording_id",
    "text",
    "label",
    "nearest",
    "probability",
    "fit",
    "model_version",
    "asked_at",
)


def _asked(row: Row) -> Asked:
    values = {name: row[name] for name in _COLUMNS} | {"asked_at": datetime.fromisoformat(row["asked_at"])}
    return Asked(**values)
