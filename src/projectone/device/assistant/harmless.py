"""What this person said was harmless although the safety classifier warned of it: here alone, and for that text alone.

A sentence that was taken for harmful is one that nobody should have to show to others to be answered. Nothing here
leaves the device: no consent is about it.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from projectone.contracts.assist import clean_utterance
from projectone.errors import DataError
from projectone.storage.database import Database

M024_HARMLESS = """
CREATE TABLE harmless (
    key TEXT PRIMARY KEY,
    text TEXT NOT NULL,
    said_at TEXT NOT NULL
) STRICT;
"""

MOST_KEPT: Final = 200
"""The newest; a classifier that needs more exceptions than these needs to be replaced."""

FROM_NOW_ON: Final = "answered from now on, on this device alone; nothing of it is sent"
"""What is told to whoever said it."""


@dataclass(frozen=True)
class SaidHarmless:
    """A text, and when its person said that it does no harm."""

    text: str
    said_at: datetime

    def facts(self) -> dict[str, str]:
        """For programs: the terminal and the pages say the same."""
        return {"text": self.text, "said_at": self.said_at.isoformat()}


class Harmless:
    """Lets the texts through that their person said are harmless, where they ask them again.

    What a model answers is not asked here: nobody can let a model's words through beforehand.

    Args:
        database: Of this device.
        flags: The safety classifier: whether a text raises the alarm.
        clock: Now, with its zone.
    """

    def __init__(self, database: Database, flags: Callable[[str], bool], *, clock: Callable[[], datetime]) -> None:
        self._database = database
        self._flags = flags
        self._clock = clock

    def flags(self, text: str) -> bool:
        """Whether a text raises the alarm and nobody said that it is harmless.

        It is read all the same: warnings are counted where they are false, too, and where a classifier that was here
        cannot be read nothing is let through.

        Raises:
            GuardError: as the classifier's own.
        """
        return self._flags(text) and not self._is_kept(text)

    def say(self, text: str) -> None:
        """Keep that a text is harmless; from now on it is answered here.

        Raises:
            DataError: ``not-warned-of`` if it raises no alarm; or it is no sentence that could have been asked.
            GuardError: as the classifier's own.
        """
        text = clean_utterance(text)
        if not self._flags(text):
            raise DataError("not-warned-of", f"{text[:80]!r}: the safety classifier does not warn of it")
        with self._database.transaction():
            self._database.execute(
                "INSERT INTO harmless VALUES (?, ?, ?) ON CONFLICT (key) DO UPDATE SET said_at = excluded.said_at",
                (_key(text), text, self._clock().isoformat()),
            )
            self._database.execute(
                "DELETE FROM harmless WHERE key NOT IN (SELECT key FROM harmless ORDER BY said_at DESC LIMIT ?)",
                (MOST_KEPT,),
            )

    def take_back(self, text: str) -> None:
        """Let it be warned of again, and forget it.

        Raises:
            DataError: ``not-said`` if it is not among the texts that were said to be harmless.
        """
        if not self._is_kept(text):
            raise DataError("not-said", f"{text[:80]!r}: nobody said that it is harmless (`projectone harmless`)")
        self._database.execute("DELETE FROM harmless WHERE key = ?", (_key(text),))
        self._database.empty_log()

    def forget_all(self) -> int:
        """Let all of it be warned of again, and forget it for good; gives how many texts that was."""
        with self._database.transaction():
            n_forgotten = len(self.listed())
            self._database.execute("DELETE FROM harmless")
        self._database.empty_log()
        return n_forgotten

    def listed(self) -> list[SaidHarmless]:
        """What is kept, the newest first."""
        rows = self._database.query("SELECT text, said_at FROM harmless ORDER BY said_at DESC")
        return [SaidHarmless(row["text"], datetime.fromisoformat(row["said_at"])) for row in rows]

    def _is_kept(self, text: str) -> bool:
        return bool(self._database.query("SELECT 1 FROM harmless WHERE key = ?", (_key(text),)))


def _key(text: str) -> str:
    """The same words, however they are spaced and whichever letters are large."""
    return " ".join(unicodedata.normalize("NFC", text).casefold().split())
