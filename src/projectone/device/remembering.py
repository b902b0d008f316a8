"""What this device remembers for its person: off until they switch it on, shown whole, and forgotten when they say so.

Nothing of it is sent, with or without a consent: no purpose names it. A memory of a recording goes with the recording,
one of a correction or of a question with that one, whoever takes it back: triggers see to it.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Final

from projectone.assist.memory import (
    MAX_CHARACTERS,
    MEMORY_TABLES,
    About,
    Kind,
    Memory,
    Recalled,
    Remembered,
    Retention,
    names_in,
)
from projectone.assist.vectors.protocol import Owner
from projectone.assist.vectors.sqlite import VECTORS_TABLE
from projectone.contracts.texts import clean_transcript
from projectone.device.recordings import Recording
from projectone.errors import ConsentError, DataError, StorageError
from projectone.storage.database import Database

M018_MEMORY = f"""
{VECTORS_TABLE}
{MEMORY_TABLES}
CREATE TABLE memory_switch (is_on INTEGER NOT NULL CHECK (is_on IN (0, 1))) STRICT;
INSERT INTO memory_switch VALUES (0);
CREATE TRIGGER memory_forgets_recordings AFTER DELETE ON recordings
BEGIN
    DELETE FROM memories WHERE recording_id = OLD.recording_id;
END;
CREATE TRIGGER memory_forgets_corrections AFTER UPDATE OF is_superseded ON data_points WHEN NEW.is_superseded = 1
BEGIN
    DELETE FROM memories WHERE source_id = NEW.sample_id;
END;
CREATE TRIGGER memory_forgets_questions AFTER DELETE ON asked
BEGIN
    DELETE FROM memories WHERE source_id = OLD.ask_id;
END;
"""

M023_MEANINGS = """
CREATE TRIGGER memory_learns_meanings AFTER INSERT ON data_points WHEN NEW.kind = 'intent'
BEGIN
    UPDATE memories SET intent = nullif(NEW.text, '(none of these)')
    WHERE source_id = NEW.ask_id OR recording_id = NEW.recording_id;
END;
CREATE TRIGGER memory_unlearns_meanings AFTER UPDATE OF is_superseded ON data_points
WHEN NEW.kind = 'intent' AND NEW.is_superseded = 1 AND OLD.is_superseded = 0
BEGIN
    UPDATE memories SET intent = (SELECT label FROM asked WHERE ask_id = NEW.ask_id)
    WHERE source_id = NEW.ask_id OR recording_id = NEW.recording_id;
END;
"""
"""What a person says they meant is what is remembered of it; what they take back is as the classifier had it."""

THE_PERSON: Final = Owner("device", "person")
"""A home is one person's. Whoever shares a machine has a home each."""

_TEND_EVERY: Final = timedelta(hours=1)
_FAR: Final = 0.78
"""Cosine distance beyond which a memory has nothing to do with what is looked for: with MiniLM, "travel" lies 0.74 from
"the train to Rome leaves at nine", and what has nothing in common lies at 0.8 and more."""
_MADE_ANEW: Final = 64
"""Vectors at a time that another encoder made, or that are missing: less than half a second."""


class Remembering:
    """The memory of the person whose device this is."""

    def __init__(
        self,
        database: Database,
        memory: Memory,
        *,
        terms: Callable[[], tuple[str, ...]],
        clock: Callable[[], datetime],
    ) -> None:
        self._database = database
        self._memory = memory
        self._terms = terms
        self._clock = clock
        self._tended_at: datetime | None = None

    @property
    def is_on(self) -> bool:
        """Whether anything is remembered, and looked for."""
        (row,) = self._database.query("SELECT is_on FROM memory_switch")
        return bool(row["is_on"])

    @property
    def retention(self) -> Retention:
        """How long which kind is kept."""
        return self._memory.retention

    def switch(self, *, is_on: bool) -> None:
        """Remember from now on what is said, or nothing more. What is remembered stays until it is forgotten."""
        self._database.execute("UPDATE memory_switch SET is_on = ?", (int(is_on),))

    def heard(self, recording: Recording) -> None:
        """Remember what was heard in a recording, if memory is on."""
        self._remember(recording.text, kind="said", said_at=recording.recorded_at, recording=recording)

    def corrected(self, recording: Recording, text: str, sample_id: str) -> None:
        """Remember what was really said in place of what was heard; while memory is off, forget what was heard."""
        if not self.is_on or not text.strip():  # nothing was said, or nothing more is kept: what was heard is wrong
            self._memory.drop_recording(THE_PERSON, recording.recording_id)
        self._remember(text, kind="said", said_at=recording.recorded_at, recording=recording, sample_id=sample_id)

    def asked(self, text: str, *, intent: str | None, ask_id: str, recording_id: str | None = None) -> None:
        """Remember what was asked and what was meant by it, if memory is on.

        Of a recording that is remembered, what was meant is noted with it: it was said once.
        """
        if recording_id is not None and self._memory.note_intent(THE_PERSON, recording_id, intent):
            return
        if self.is_on and text.strip():
            self._tend()
            about = About("asked", self._clock(), self._names(text), intent, source_id=ask_id)
            self._memory.remember(THE_PERSON, text[:MAX_CHARACTERS], about, self._clock())

    def note(self, text: str) -> Remembered | None:
        """Remember what a person writes down; None if nothing in it could be found again.

        Raises:
            ConsentError: if memory is off.
            DataError: if it is no text that a person could have written, or too long.
        """
        if not self.is_on:
            raise ConsentError("memory is off, so nothing is kept: projectone memory on")
        try:
            clean_transcript(text, max_characters=MAX_CHARACTERS)  # as what is asked: pages and terminals show it
        except DataError as error:
            raise DataError("memory-text", str(error).replace("transcript:", "memory:", 1)) from error
        return self._memory.remember(THE_PERSON, text, About("noted", self._clock(), self._names(text)), self._clock())

    def recall(self, text: str, k: int = 5) -> list[Recalled]:
        """What is nearest to a text by what it means, the nearest first; nothing while memory is off."""
        self._tend()
        return self._memory.recall(THE_PERSON, text, k, self._clock()) if self.is_on else []

    def recall_of(self, owner: Owner, text: str, k: int, now: datetime) -> list[Recalled]:
        """As `Memory.recall`; nothing while memory is off."""
        return self._memory.recall(owner, text, k, now) if self.is_on else []

    def newest(self, limit: int = 50, *, skip: int = 0) -> list[Remembered]:
        """What is remembered, newest first, without so many of the newest; also while memory is off."""
        self._tend()
        return self._memory.newest(THE_PERSON, limit, self._clock(), skip=skip)

    def search(self, words: str, limit: int = 50, *, skip: int = 0) -> list[Remembered]:
        """What holds all of these words, newest first; then what is near to them by what it means, if anything is.

        Args:
            words: With blanks between them, parts of words too.
            limit: How many at most.
            skip: Without so many of the first that are found.
        """
        self._tend()
        most = skip + limit
        found = self._memory.search(THE_PERSON, words, most, self._clock())
        known = {memory.memory_id for memory in found}
        near = self._memory.recall(THE_PERSON, words, min(most, 10), self._clock()) if len(found) < most else []
        alike = [each.memory for each in near if each.distance <= _FAR]
        return [*found, *(memory for memory in alike if memory.memory_id not in known)][skip:most]

    def count(self) -> int:
        """How much is remembered."""
        return self._memory.count(THE_PERSON, self._clock())

    def find(self, named: str) -> Remembered:
        """One memory.

        Args:
            named: Its id, or a beginning of it that fits one only.

        Raises:
            DataError: if there is no such memory.
        """
        return self._memory.find(THE_PERSON, named, self._clock())

    def forget(self, named: str) -> Remembered:
        """Forget one for good, named as `find` does; gives what it was.

        Raises:
            DataError: if there is no such memory.
        """
        memory = self.find(named)
        self._memory.drop(THE_PERSON, [memory.memory_id])
        return memory

    def forget_all(self) -> int:
        """Forget everything for good; gives how much it was."""
        return self._memory.forget(THE_PERSON)

    def sweep(self, *, n_texts: int = 0) -> None:
        """Let go of what ran out, and of the vectors of what was deleted; make some vectors that are missing."""
        self._memory.sweep(self._clock(), n_texts=n_texts)

    def tidy(self) -> None:
        """Remove the vectors of what was deleted; part of the transaction that deletes it, if there is one."""
        self._memory.tidy(THE_PERSON)

    def close(self) -> None:
        """Let go of the vectors, those of what was deleted for good."""
        with contextlib.suppress(StorageError):  # another process writes: its end or the next start does it
            self.tidy()
        self._memory.close()

    def _remember(
        self, text: str, *, kind: Kind, said_at: datetime, recording: Recording, sample_id: str | None = None
    ) -> None:
        if self.is_on and text.strip():
            self._tend()
            about = About(kind, said_at, self._names(text), None, recording.recording_id, sample_id)
            self._memory.remember(THE_PERSON, text[:MAX_CHARACTERS], about, self._clock())

    def _tend(self) -> None:
        """The sweeper: once an hour, with whatever is asked or remembered just then; an app may run for weeks."""
        now = self._clock()
        if self._tended_at is None or abs(now - self._tended_at) >= _TEND_EVERY:
            self._tended_at = now
            with contextlib.suppress(StorageError):  # another process writes: in an hour again
                self._memory.sweep(now, n_texts=_MADE_ANEW)

    def _names(self, text: str) -> tuple[str, ...]:
        return names_in(text, self._terms())
