"""The list itself, in the device's database. None of it is sent, with or without a consent: no purpose names it.

A term is learned from a correction or added by hand. One that was learned lives as long as a correction that taught it:
when the last of them is taken back or replaced, a trigger deletes the term with it, whoever takes it back. One that
does harm is switched off: it stays on the list with the reason, and a person may switch it on again.
"""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterable
from contextlib import AbstractContextManager
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal

from projectone.contracts.texts import clean_transcript
from projectone.device.vocabulary.learning import MAX_TERM_CHARACTERS, bare, learned_terms, occurrences
from projectone.device.vocabulary.removed import LatelyRemoved, Removed
from projectone.errors import DataError
from projectone.storage.database import Database
from projectone.storage.sqlite import Row

M013_VOCABULARY = """
CREATE TABLE vocabulary (
    term TEXT PRIMARY KEY,
    folded TEXT NOT NULL UNIQUE,
    is_by_hand INTEGER NOT NULL CHECK (is_by_hand IN (0, 1)),
    is_active INTEGER NOT NULL DEFAULT 1 CHECK (is_active IN (0, 1)),
    off_because TEXT,
    added_at TEXT NOT NULL,
    helped_at TEXT,
    n_helped INTEGER NOT NULL DEFAULT 0,
    n_harmed INTEGER NOT NULL DEFAULT 0
) STRICT;
CREATE TABLE vocabulary_origins (
    folded TEXT NOT NULL,
    sample_id TEXT NOT NULL,
    PRIMARY KEY (folded, sample_id)
) STRICT;
CREATE TABLE vocabulary_switch (is_on INTEGER NOT NULL CHECK (is_on IN (0, 1))) STRICT;
INSERT INTO vocabulary_switch VALUES (1);
CREATE TRIGGER vocabulary_forgets AFTER UPDATE OF is_superseded ON data_points WHEN NEW.is_superseded = 1
BEGIN
    DELETE FROM vocabulary_origins WHERE sample_id = NEW.sample_id;
    DELETE FROM vocabulary WHERE is_by_hand = 0 AND folded NOT IN (SELECT folded FROM vocabulary_origins);
END;
"""

MAX_TERMS = 1000
HELPS_PER_HARM = 4
"""A term that was corrected away is switched off unless it helped this many times as often."""

Origin = Literal["learned", "added"]
_CORRECTED_AWAY = "it was corrected away again"
_BY_HAND = "by hand"
_COLUMNS = (
    "term",
    "folded",
    "is_by_hand",
    "is_active",
    "off_because",
    "added_at",
    "helped_at",
    "n_helped",
    "n_harmed",
)


@dataclass(frozen=True)
class Term:
    """One name or word of the user.

    Attributes:
        text: As it is written.
        origin: Learned from a correction, or added by hand.
        is_active: Whether decoding leans towards it.
        off_because: Why it does not.
        added_at: Since when it is here.
        n_helped: How many transcripts have it because it is on the list.
        n_harmed: How often it was corrected away.
    """

    text: str
    origin: Origin
    is_active: bool
    off_because: str | None
    added_at: datetime
    n_helped: int
    n_harmed: int

    def facts(self) -> dict[str, Any]:
        """For programs: the terminal and the pages say the same."""
        return {
            "text": self.text,
            "origin": self.origin,
            "is_active": self.is_active,
            "off_because": self.off_because,
            "added_at": self.added_at.isoformat(),
            "n_helped": self.n_helped,
            "n_harmed": self.n_harmed,
        }


class Vocabulary:
    """The user's terms. Nothing of them leaves this device."""

    max_terms = MAX_TERMS
    max_characters = MAX_TERM_CHARACTERS

    def __init__(self, database: Database, *, clock: Callable[[], datetime]) -> None:
        self._database = database
        self._clock = clock
        self._removed = LatelyRemoved()

    @property
    def is_on(self) -> bool:
        """Whether the list is used at all."""
        (row,) = self._database.query("SELECT is_on FROM vocabulary_switch")
        return bool(row["is_on"])

    def switch_all(self, *, is_on: bool) -> None:
        """Use the list from now on, or do not. Nothing on it is forgotten."""
        self._database.execute("UPDATE vocabulary_switch SET is_on = ?", (int(is_on),))

    def all_or_none(self) -> AbstractContextManager[None]:
        """Several changes, all of them or, where one is refused, none."""
        return self._database.transaction()

    def list(self) -> list[Term]:
        """Every term, those that helped or came last first."""
        rows = self._database.query(
            "SELECT * FROM vocabulary ORDER BY coalesce(helped_at, added_at) DESC, added_at DESC, rowid DESC"
        )
        return [_to_term(row) for row in rows]

    def active(self) -> tuple[str, ...]:
        """What decoding leans towards now."""
        return tuple(term.text for term in self.list() if term.is_active) if self.is_on else ()

    def add(self, text: str) -> Term:
        """Put a term on the list by hand, or write one differently; it is switched on, and no correction takes it away.

        Raises:
            DataError: if it is too long or nothing a person could say, or the list is full.
        """
        text = _cleaned(text)
        with self._database.transaction():
            if self._find(text) is None:
                self._require_room()
            self._put(text, is_by_hand=True)
            return self.term(text)

    def remove(self, text: str) -> Term:
        """Take a term off the list; gives what it was. A later correction may teach it again, and `restore` undoes it.

        Raises:
            DataError: if it is not on the list.
        """
        with self._database.transaction():
            term = self.term(text)
            folded = _folded(term.text)
            (row,) = self._database.query("SELECT * FROM vocabulary WHERE folded = ?", (folded,))
            origins = self._database.query("SELECT sample_id FROM vocabulary_origins WHERE folded = ?", (folded,))
            self._database.execute("DELETE FROM vocabulary WHERE folded = ?", (folded,))
            self._database.execute("DELETE FROM vocabulary_origins WHERE folded = ?", (folded,))
        taught_by = tuple(origin["sample_id"] for origin in origins)
        self._removed.keep(folded, Removed(row, taught_by, self._clock()))
        return term

    def restore(self, text: str) -> Term:
        """Undo a removal of a moment ago: the term as it was, with where it came from and what it did.

        One that came back in between stays as it is now. One that was learned comes back only while a correction that
        taught it counts.

        Raises:
            DataError: if it was not removed lately, its corrections were taken back since, or the list is full.
        """
        folded = _folded(text)
        with self._database.transaction():
            removed = self._removed.find(folded, self._clock())
            found = self._find(text)
            if found is None and removed is not None:
                found = self._put_back(removed)
            if found is None:
                raise DataError("term-unknown", f"{text[:40]!r}: it cannot be put back any more; add it again")
        self._removed.drop(folded)
        return found

    def switch(self, text: str, *, is_on: bool) -> Term:
        """Lean towards a term again, or not; it stays on the list.

        Raises:
            DataError: if it is not on the list.
        """
        with self._database.transaction():
            term = self.term(text)
            self._database.execute(
                "UPDATE vocabulary SET is_active = ?, off_because = ?, n_harmed = n_harmed * ? WHERE folded = ?",
                # Whoever switches it on again does not want it gone at the next harm for what was before.
                (int(is_on), None if is_on else _BY_HAND, int(not is_on), _folded(term.text)),
            )
            return self.term(text)

    def term(self, text: str) -> Term:
        """A term on the list, however it is written in capitals and small letters.

        Raises:
            DataError: if it is not on the list.
        """
        found = self._find(text)
        if found is None:
            raise DataError("term-unknown", f"{text[:40]!r}: not on the list (`projectone vocabulary` shows it)")
        return found

    def learn(self, sample_id: uuid.UUID, heard: str, corrected: str) -> tuple[str, ...]:
        """Take from a correction what it teaches: new terms, and which of the old ones did harm.

        Args:
            sample_id: Of the correction; its terms live as long as it counts.
            heard: What the model wrote, with the list.
            corrected: What was really said.

        Returns:
            The terms that it taught.
        """
        with self._database.transaction():
            for term in self.list():
                n_wrong = occurrences(term.text, heard) - occurrences(term.text, corrected)
                if term.is_active and n_wrong > 0:
                    self._count_harm(term)
            learned = []
            for text in learned_terms(heard, corrected):
                if self._find(text) is None and self._is_full():
                    break
                self._put(text, is_by_hand=False)
                self._database.execute(
                    "INSERT OR IGNORE INTO vocabulary_origins VALUES (?, ?)", (_folded(text), str(sample_id))
                )
                learned.append(text)
        return tuple(learned)

    def count_helped(self, terms: Iterable[str]) -> None:
        """Note that these were written because they are on the list."""
        moment = self._clock().isoformat()
        for text in terms:
            self._database.execute(
                "UPDATE vocabulary SET n_helped = n_helped + 1, helped_at = ? WHERE folded = ?", (moment, _folded(text))
            )

    def _count_harm(self, term: Term) -> None:
        # It did not help in this recording after all.
        n_helped, n_harmed = max(0, term.n_helped - 1), term.n_harmed + 1
        is_harmful = n_harmed * HELPS_PER_HARM > n_helped
        self._database.execute(
            "UPDATE vocabulary SET n_helped = ?, n_harmed = ?, is_active = ?, off_because = ? WHERE folded = ?",
            (n_helped, n_harmed, int(not is_harmful), _CORRECTED_AWAY if is_harmful else None, _folded(term.text)),
        )

    def _put(self, text: str, *, is_by_hand: bool) -> None:
        """A term on the list; a word that somebody corrects to is wanted again, whatever was said of it before."""
        self._database.execute(
            "INSERT INTO vocabulary (term, folded, is_by_hand, added_at) VALUES (?, ?, ?, ?)"
            " ON CONFLICT (folded) DO UPDATE SET is_by_hand = max(is_by_hand, excluded.is_by_hand), is_active = 1,"
            " off_because = NULL, n_harmed = 0, term = CASE WHEN excluded.is_by_hand THEN excluded.term ELSE term END",
            (text, _folded(text), int(is_by_hand), self._clock().isoformat()),
        )

    def _put_back(self, removed: Removed) -> Term | None:
        row, folded = removed.row, removed.row["folded"]
        self._require_room()
        for sample_id in removed.taught_by:
            self._database.execute(
                "INSERT OR IGNORE INTO vocabulary_origins"
                " SELECT ?, sample_id FROM data_points WHERE sample_id = ? AND is_superseded = 0",
                (folded, sample_id),
            )
        # The trigger has no term to delete while it is off the list: what was taken back meanwhile is looked at here.
        self._database.execute(
            "INSERT INTO vocabulary (term, folded, is_by_hand, is_active, off_because, added_at, helped_at, n_helped,"
            " n_harmed) SELECT ?, ?, ?, ?, ?, ?, ?, ?, ?"
            " WHERE ? = 1 OR EXISTS (SELECT 1 FROM vocabulary_origins WHERE folded = ?)",
            (*(row[name] for name in _COLUMNS), row["is_by_hand"], folded),
        )
        return self._find(row["term"])

    def _require_room(self) -> None:
        if self._is_full():
            raise DataError(
                "vocabulary-full",
                f"vocabulary: expected at most {MAX_TERMS} terms; remove some (`vocabulary remove`)",
            )

    def _find(self, text: str) -> Term | None:
        rows = self._database.query("SELECT * FROM vocabulary WHERE folded = ?", (_folded(text),))
        return _to_term(rows[0]) if rows else None

    def _is_full(self) -> bool:
        (row,) = self._database.query("SELECT count(*) AS n FROM vocabulary")
        return int(row["n"]) >= MAX_TERMS


def _cleaned(text: str) -> str:
    if len(text) > MAX_TERM_CHARACTERS:
        raise DataError("term-too-long", f"term: expected at most {MAX_TERM_CHARACTERS} characters, got {len(text)}")
    return clean_transcript(text)


def _folded(text: str) -> str:
    return " ".join(bare(word) for word in text.split())


def _to_term(row: Row) -> Term:
    return Term(
        text=row["term"],
        origin="added" if row["is_by_hand"] else "learned",
        is_active=bool(row["is_active"]),
        off_because=row["off_because"],
        added_at=datetime.fromisoformat(row["added_at"]),
        n_helped=row["n_helped"],
        n_harmed=row["n_harmed"],
    )
