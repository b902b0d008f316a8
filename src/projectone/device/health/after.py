"""A model in use that does badly here: noticed from counts of this device alone, and gone back from by itself.

Three things speak against a model, each only while there is a model before it to go back to:

- It could not be loaded, twice in a row; or the process ended three times in a row between its load and its first
  answer.
- It hears nothing, far more often than the model before did.
- Its user corrects it, far more often than the model before.

The last two compare two rates of one person at two times. That person may have changed too, so much is asked: the
rate at least doubled, with evidence of more than a hundred to one, by the same Bayes factor by which a server stops a
release (Beta prior, multiplied up, so that it may be looked at after every recording). What that costs and finds is
simulated in the tests. Nothing of it leaves the device.
"""

from __future__ import annotations

import contextlib
import math
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from projectone.contracts.versions import DEFAULT_FAMILY, Family
from projectone.device.installed import Installed, Slot
from projectone.errors import ArtifactError, LeaseError
from projectone.storage.database import Database
from projectone.storage.sqlite import Row

MAX_LOAD_FAILURES: Final = 2
MAX_UNANSWERED_STARTS: Final = 3

PRIOR: Final = (1.0, 9.0)
"""About one recording in ten is corrected, or a little less; a wide guess."""

EVIDENCE: Final = math.log(200.0)
"""Two counts are watched, so each is asked for twice a hundred to one."""

LEAST_FACTOR: Final = 2.0
LEAST_TRANSCRIPTS: Final = 20
"""Of the model before: a rate of fewer is no rate."""

WATCHED_TRANSCRIPTS: Final = 300
"""After so many recordings it is the model that this person has got used to, and no longer the new one."""

M014_USES = """
CREATE TABLE model_uses (
    version TEXT PRIMARY KEY,
    since TEXT NOT NULL,
    transcripts INTEGER NOT NULL DEFAULT 0,
    empty INTEGER NOT NULL DEFAULT 0,
    corrected INTEGER NOT NULL DEFAULT 0,
    load_failures INTEGER NOT NULL DEFAULT 0,
    unanswered_starts INTEGER NOT NULL DEFAULT 0
) STRICT;
CREATE TABLE adoption_facts (
    name TEXT PRIMARY KEY,
    value TEXT NOT NULL
) STRICT;
"""

# Versions of two families may be the same. SQLite changes no key, so the table is made anew.
USES_BY_FAMILY = """
CREATE TABLE model_uses_next (
    family TEXT NOT NULL,
    version TEXT NOT NULL,
    since TEXT NOT NULL,
    transcripts INTEGER NOT NULL DEFAULT 0,
    empty INTEGER NOT NULL DEFAULT 0,
    corrected INTEGER NOT NULL DEFAULT 0,
    load_failures INTEGER NOT NULL DEFAULT 0,
    unanswered_starts INTEGER NOT NULL DEFAULT 0,
    PRIMARY KEY (family, version)
) STRICT;
INSERT INTO model_uses_next SELECT 'speech', * FROM model_uses;
DROP TABLE model_uses;
ALTER TABLE model_uses_next RENAME TO model_uses;
"""

_NOUNS: Final[dict[Family, tuple[str, str, str]]] = {
    "speech": ("recordings", "model", "it hears nothing"),
    "intents": ("sentences", "classifier", "it finds nothing meant"),
    "safety": ("texts", "safety classifier", "it warns"),
}


@dataclass(frozen=True)
class Use:
    """How a model did on this device since it was first used.

    Attributes:
        load_failures: In a row, until it was loaded.
        unanswered_starts: Loads in a row after which no answer came before the process ended.
    """

    version: str
    since: datetime
    transcripts: int
    empty: int
    corrected: int
    load_failures: int
    unanswered_starts: int


class ModelUses:
    """The rows, and the way back. A `transcriber.Watch`."""

    def __init__(
        self,
        database: Database,
        installed: Installed,
        clock: Callable[[], datetime],
        *,
        family: Family = DEFAULT_FAMILY,
    ) -> None:
        self._database = database
        self._family = family
        self._installed = installed
        self._clock = clock

    def before_load(self, slot: Slot) -> None:
        """It is about to be loaded: should the process end now, that is counted already."""
        self._count(slot.version, "unanswered_starts = unanswered_starts + 1")

    def load_failed(self, slot: Slot) -> None:
        """It could not be loaded; that is no end of the process."""
        self._count(slot.version, "load_failures = load_failures + 1, unanswered_starts = 0")

    def ended_well(self, slot: Slot) -> None:
        """The app was closed in an orderly way, answered or not."""
        self._count(slot.version, "unanswered_starts = 0")

    def begin(self, version: str) -> None:
        """It is in use from now on; the first time counts."""
        self._count(version, "version = version")

    def count_heard(self, version: str, *, is_empty: bool) -> None:
        """Count a transcription: it was loaded, and it answers."""
        self._count(
            version,
            f"transcripts = transcripts + 1, empty = empty + {int(is_empty)}, load_failures = 0, unanswered_starts = 0",
        )

    def count_correction(self, version: str) -> None:
        """Count a recording that the user corrected."""
        self._count(version, "corrected = corrected + 1")

    def of(self, version: str) -> Use | None:
        """How a model did; None if it was never used here."""
        rows = self._database.query(
            "SELECT * FROM model_uses WHERE family = ? AND version = ?", (self._family, version)
        )
        return _use(rows[0]) if rows else None

    def was_any(self) -> bool:
        """Whether a model of the family was ever in use here, also where its files are gone."""
        return bool(self._database.query("SELECT 1 FROM model_uses WHERE family = ? LIMIT 1", (self._family,)))

    def complaint(self) -> str | None:
        """What speaks against the model in use, strongly enough to go back; None if nothing does."""
        state = self._installed.state()
        if state.current is None or state.previous is None or state.barred(state.previous) is not None:
            return None
        now, before = self.of(state.current.version), self.of(state.previous.version)
        return None if now is None else complaint(now, before, self._family)

    def settle(self) -> str | None:
        """Go back to the model before if what was seen here speaks against this one; says why, or None.

        The transcriber is to be told to load anew. Where another process is at the models, it is for another time.
        """
        reason = self.complaint()
        if reason is None:
            return None
        with contextlib.suppress(LeaseError, ArtifactError):
            self._installed.roll_back(reason)
            return reason
        return None

    def _count(self, version: str, changes: str) -> None:
        with self._database.transaction():
            self._database.execute(
                "INSERT OR IGNORE INTO model_uses (family, version, since) VALUES (?, ?, ?)",
                (self._family, version, self._clock().isoformat()),
            )
            self._database.execute(
                f"UPDATE model_uses SET {changes} WHERE family = ? AND version = ?", (self._family, version)
            )


def complaint(now: Use, before: Use | None, family: Family = DEFAULT_FAMILY) -> str | None:
    """What speaks against a model, by its own counts and those of the model before it."""
    if now.load_failures >= MAX_LOAD_FAILURES:
        return f"it could not be loaded, {now.load_failures} times in a row"
    is_new = now.transcripts <= WATCHED_TRANSCRIPTS
    if now.unanswered_starts >= MAX_UNANSWERED_STARTS and is_new:
        return f"the app ended {now.unanswered_starts} times before it answered"
    if before is None or before.transcripts < LEAST_TRANSCRIPTS or not is_new:
        return None
    things, noun, nothing = _NOUNS[family]
    for words, harmed, harmed_before in (
        (nothing, now.empty, before.empty),
        ("you correct it", now.corrected, before.corrected),
    ):
        if is_far_worse(harmed, now.transcripts, harmed_before, before.transcripts):
            return (
                f"{words} in {_share(harmed, now.transcripts)} of your {things}, and in "
                f"{_share(harmed_before, before.transcripts)} with {noun} {before.version}"
            )
    return None


def is_far_worse(harmed: int, total: int, harmed_before: int, total_before: int) -> bool:
    """Whether a rate has at least doubled, with enough evidence that it is another one."""
    if harmed * total_before < LEAST_FACTOR * harmed_before * total or not harmed:
        return False
    apart = _log_marginal(harmed, total) + _log_marginal(harmed_before, total_before)
    return apart - _log_marginal(harmed + harmed_before, total + total_before) > EVIDENCE


def _log_marginal(harmed: int, total: int) -> float:
    """Log probability of such counts, over all rates as the prior weighs them; the order of events given."""
    a, b = PRIOR
    harmed = min(harmed, total)  # a recording of yesterday may be corrected today
    beta = math.lgamma(a + harmed) + math.lgamma(b + total - harmed) - math.lgamma(a + b + total)
    return beta - (math.lgamma(a) + math.lgamma(b) - math.lgamma(a + b))


def _share(harmed: int, total: int) -> str:
    return f"{min(harmed, total) / max(1, total):.0%}"


def _use(row: Row) -> Use:
    return Use(
        version=row["version"],
        since=datetime.fromisoformat(row["since"]),
        transcripts=row["transcripts"],
        empty=row["empty"],
        corrected=row["corrected"],
        load_failures=row["load_failures"],
        unanswered_starts=row["unanswered_starts"],
    )
