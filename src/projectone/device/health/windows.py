"""What is counted about a release, as rows of this device: since it was seen, until it was in use for half a day.

Nothing is counted unless the user switched reports on, and switching them off forgets everything that was counted.
"""

from __future__ import annotations

import json
import random
import secrets
from dataclasses import dataclass
from typing import Final, Literal

from projectone.contracts.health import (
    MAX_COUNT,
    PHASES,
    SPEED_EDGES,
    HealthCounts,
    HealthTicket,
    OwnVerdict,
    Phase,
    speed_bin,
)
from projectone.contracts.releases import ReleaseManifest
from projectone.contracts.rollouts import Cohort
from projectone.contracts.versions import DEFAULT_FAMILY, Family
from projectone.storage.database import Database
from projectone.storage.sqlite import Row

Side = Literal["with", "without"]
Counted = Literal["installs", "load_failures", "crash_loops", "empty_transcripts", "corrections"]

OBSERVED_S: Final = 12 * 3600.0
JITTER_S: Final = 3600.0
"""Devices that saw a release at the same moment do not report at the same moment, nor at a known one."""

M007_HEALTH = """
CREATE TABLE health_facts (
    name TEXT PRIMARY KEY,
    value TEXT NOT NULL
) STRICT;
CREATE TABLE health_windows (
    channel TEXT NOT NULL,
    seq INTEGER NOT NULL,
    side TEXT NOT NULL CHECK (side IN ('with', 'without')),
    cohort TEXT NOT NULL CHECK (cohort IN ('treated', 'control', 'canary')),
    tier TEXT NOT NULL,
    ticket_key TEXT NOT NULL,
    serial TEXT NOT NULL,
    blinded TEXT,
    unblinder TEXT,
    signature TEXT,
    observed_at REAL NOT NULL,
    told INTEGER NOT NULL DEFAULT 0,
    installs INTEGER NOT NULL DEFAULT 0,
    load_failures INTEGER NOT NULL DEFAULT 0,
    crash_loops INTEGER NOT NULL DEFAULT 0,
    empty_transcripts INTEGER NOT NULL DEFAULT 0,
    corrections INTEGER NOT NULL DEFAULT 0,
    speeds TEXT NOT NULL,
    PRIMARY KEY (channel, seq, side)
) STRICT;
"""

M011_VERDICTS = "ALTER TABLE health_windows ADD COLUMN verdict TEXT;"

# Of what a model is for that is counted: each family's releases have a line of their own.
WINDOWS_BY_FAMILY = "ALTER TABLE health_windows ADD COLUMN family TEXT NOT NULL DEFAULT 'speech';"

_ON = "is_on"


@dataclass(frozen=True)
class Window:
    """One release, on one side of the comparison.

    Attributes:
        blinded: What the server is asked to sign, and the number that makes a ticket of its answer; None before.
        n_told: How many phases were told.
        observed_at: When it was long enough in use (Unix seconds).
    """

    channel: str
    seq: int
    side: Side
    cohort: Cohort
    tier: str
    ticket_key: str
    serial: str
    blinded: tuple[str, int] | None
    ticket: HealthTicket | None
    n_told: int
    observed_at: float
    counts: HealthCounts

    @property
    def next_phase(self) -> Phase | None:
        """What is to be told next; None if all is said. Who has nothing new has no trial to tell of."""
        phases = [phase for phase in PHASES[self.n_told :] if not (phase == "tried" and self.side == "without")]
        return phases[0] if phases else None


class Windows:
    """The rows of one family. Whether anything is reported is one decision for all of them."""

    def __init__(self, database: Database, *, family: Family = DEFAULT_FAMILY, seed: int | None = None) -> None:
        self._database = database
        self._family = family
        self._random = random.Random(seed)

    @property
    def is_on(self) -> bool:
        """Whether the user wants the model's health reported. Not unless they said so."""
        return bool(self._database.query("SELECT 1 FROM health_facts WHERE name = ?", (_ON,)))

    def switch(self, *, is_on: bool) -> None:
        """Report from now on; or no more, and forget what was counted."""
        with self._database.transaction():
            if is_on:
                self._database.execute("INSERT OR REPLACE INTO health_facts VALUES (?, '1')", (_ON,))
            else:
                self._database.execute("DELETE FROM health_facts WHERE name = ?", (_ON,))
                self._database.execute("DELETE FROM health_windows")

    def begin(self, manifest: ReleaseManifest, cohort: Cohort, now_s: float) -> None:
        """Count from now on, if reports are wanted and this release asks for them; what was begun goes on."""
        plan, side = manifest.rollout, "without" if cohort == "control" else "with"
        if plan is None or not plan.ticket_key or not self.is_on:
            return
        with self._database.transaction():
            # What is said of any earlier release, and as a control now that it is our turn, is said now or never.
            self._database.execute(
                "UPDATE health_windows SET observed_at = min(observed_at, ?) "
                "WHERE channel = ? AND seq = ? AND side <> ?",
                (now_s, manifest.channel, manifest.seq, side),
            )
            self._database.execute(
                "DELETE FROM health_windows WHERE family = ? AND (channel <> ? OR seq < ?)",
                (self._family, manifest.channel, manifest.seq),
            )
            self._database.execute(
                "INSERT OR IGNORE INTO health_windows "
                "(channel, seq, side, cohort, tier, ticket_key, serial, observed_at, speeds, family) "
                "VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
                (
                    manifest.channel,
                    manifest.seq,
                    side,
                    cohort,
                    manifest.tier,
                    plan.ticket_key,
                    secrets.token_hex(32),
                    now_s + OBSERVED_S + self._random.uniform(0, JITTER_S),
                    json.dumps([0] * (len(SPEED_EDGES) + 1)),
                    self._family,
                ),
            )

    def open(self) -> list[Window]:
        """Releases of which there is still something to say; as a control first."""
        rows = self._database.query(
            "SELECT * FROM health_windows WHERE family = ? ORDER BY side DESC, seq", (self._family,)
        )
        return [window for window in map(_window, rows) if window.next_phase is not None]

    def note_blinded(self, window: Window, blinded: str, unblinder: int) -> None:
        """Keep what the server is asked to sign: asked again, it must be the same."""
        self._set(window, "blinded = ?, unblinder = ?", (blinded, f"{unblinder:x}"))

    def note_ticket(self, window: Window, signature: str) -> None:
        """Keep the ticket."""
        self._set(window, "signature = ?, blinded = NULL, unblinder = NULL", (signature,))

    def note_told(self, window: Window, phase: Phase) -> None:
        """The server knows this phase."""
        self._set(window, "told = ?", (PHASES.index(phase) + 1,))

    def drop(self, window: Window) -> None:
        """Nobody asks about it any more."""
        where = (window.channel, window.seq, window.side)
        self._database.execute("DELETE FROM health_windows WHERE channel = ? AND seq = ? AND side = ?", where)

    def set_outcome(self, window: Window, counted: Counted) -> None:
        """How the trial ended."""
        self._set(window, f"{counted} = 1", ())

    def set_verdict(self, window: Window, verdict: OwnVerdict) -> None:
        """What the user's own recordings said of the release."""
        self._set(window, "verdict = ?", (verdict,))

    def count_heard(self, sound_s: float, computing_s: float, is_empty: bool) -> None:
        """Count a transcription."""
        with self._database.transaction():
            for window in self._counting():
                speeds, bin_ = list(window.counts.speeds), speed_bin(computing_s, sound_s)
                speeds[bin_] = min(MAX_COUNT, speeds[bin_] + 1)
                empty = min(MAX_COUNT, window.counts.empty_transcripts + is_empty)
                self._set(window, "speeds = ?, empty_transcripts = ?", (json.dumps(speeds), empty))

    def count_correction(self) -> None:
        """Count a transcription that the user corrected."""
        with self._database.transaction():
            for window in self._counting():
                self._set(window, "corrections = ?", (min(MAX_COUNT, window.counts.corrections + 1),))

    def _counting(self) -> list[Window]:
        """The one that tells of the model in use: with the release, once it is here."""
        windows = self.open()
        return windows[-1:] if windows and (windows[-1].side == "without" or windows[-1].counts.installs) else []

    def _set(self, window: Window, assignments: str, values: tuple[object, ...]) -> None:
        where = (window.channel, window.seq, window.side)
        self._database.execute(
            f"UPDATE health_windows SET {assignments} WHERE channel = ? AND seq = ? AND side = ?",
            (*values, *where),
        )


def _window(row: Row) -> Window:
    signature, blinded = row["signature"], row["blinded"]
    return Window(
        channel=row["channel"],
        seq=row["seq"],
        side=row["side"],
        cohort=row["cohort"],
        tier=row["tier"],
        ticket_key=row["ticket_key"],
        serial=row["serial"],
        blinded=None if blinded is None else (blinded, int(row["unblinder"], 16)),
        ticket=None if signature is None else HealthTicket(serial=row["serial"], signature=signature),
        n_told=row["told"],
        observed_at=row["observed_at"],
        counts=HealthCounts(
            installs=row["installs"],
            load_failures=row["load_failures"],
            crash_loops=row["crash_loops"],
            speeds=tuple(json.loads(row["speeds"])),
            empty_transcripts=row["empty_transcripts"],
            corrections=row["corrections"],
            verdict=row["verdict"],
        ),
    )
