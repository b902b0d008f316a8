"""The consent ledger: events that are only ever added, and the question asked before anything leaves."""

from __future__ import annotations

import uuid
from datetime import datetime
from typing import Literal, cast, get_args

from projectone.contracts.consent import CONSENT_SCOPES, CONSENT_TEXTS, ConsentReceipt, ConsentScope
from projectone.contracts.erasures import SignedErasure
from projectone.errors import ConsentError
from projectone.storage.database import Database
from projectone.storage.sqlite import Row

ConsentMethod = Literal["cli", "web", "demo"]
CONSENT_METHODS: tuple[ConsentMethod, ...] = get_args(ConsentMethod)

M002_CONSENT = """
CREATE TABLE consent_events (
    number INTEGER PRIMARY KEY AUTOINCREMENT,
    receipt_id TEXT NOT NULL,
    contributor_id TEXT NOT NULL,
    scope TEXT NOT NULL,
    event TEXT NOT NULL CHECK (event IN ('granted', 'withdrawn')),
    text_version INTEGER NOT NULL,
    method TEXT NOT NULL,
    happened_at TEXT NOT NULL
) STRICT;
CREATE TRIGGER consent_is_not_rewritten BEFORE UPDATE ON consent_events
    BEGIN SELECT RAISE(ABORT, 'the consent ledger is only ever added to'); END;
CREATE TRIGGER consent_is_not_forgotten BEFORE DELETE ON consent_events
    BEGIN SELECT RAISE(ABORT, 'the consent ledger is only ever added to'); END;
"""

# What the server signed about each erasure. A later answer about the same one knows more, so it takes the place.
M004_ERASURES = """
CREATE TABLE erasures (
    receipt_id TEXT PRIMARY KEY,
    signed BLOB NOT NULL,
    fetched_at TEXT NOT NULL
) STRICT;
"""

# Whether the person said that they are an adult; unknown for those who were not asked.
M005_PEOPLE = """
ALTER TABLE consent_events ADD COLUMN is_adult INTEGER CHECK (is_adult IN (0, 1));
ALTER TABLE data_points ADD COLUMN others_present INTEGER CHECK (others_present IN (0, 1))
"""


class ConsentLedger:
    """What the user of this device allowed, in which words, and when they took it back."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def grant(
        self,
        scope: ConsentScope,
        *,
        contributor_id: str,
        method: ConsentMethod,
        now: datetime,
        is_adult: bool = True,
    ) -> ConsentReceipt:
        """Note a consent to the present words; the one in force is given back if there is one that says the same.

        Args:
            scope: The purpose.
            contributor_id: Who agrees.
            method: How they were asked.
            now: When.
            is_adult: What they said of themself; the words say "an adult" for whoever says nothing.
        """
        with self._database.transaction():
            current = self.current(scope)
            is_same = current is not None and self.is_adult(current.receipt_id) == is_adult
            if current is not None and is_same and current.text_version == CONSENT_TEXTS[scope].version:
                return current
            receipt = ConsentReceipt(
                receipt_id=uuid.uuid4(),
                contributor_id=contributor_id,
                scope=scope,
                text_version=CONSENT_TEXTS[scope].version,
                method=method,
                granted_at=now,
            )
            self._add(receipt, "granted", now, is_adult=is_adult)
            return receipt

    def is_adult(self, receipt_id: uuid.UUID) -> bool | None:
        """What the person said of themself when they gave this consent; None if they were not asked."""
        rows = self._database.query(
            "SELECT is_adult FROM consent_events WHERE receipt_id = ? AND event = 'granted'", (str(receipt_id),)
        )
        return bool(rows[0]["is_adult"]) if rows and rows[0]["is_adult"] is not None else None

    def withdraw(self, scope: ConsentScope, *, now: datetime) -> ConsentReceipt | None:
        """Note that a consent was taken back; None if there was none."""
        with self._database.transaction():
            current = self.current(scope)
            if current is None:
                return None
            self._add(current, "withdrawn", now)
            return current.model_copy(update={"withdrawn_at": now})

    def current(self, scope: ConsentScope) -> ConsentReceipt | None:
        """The consent in force for a purpose, under whichever words it was given."""
        rows = self._database.query(
            "SELECT * FROM consent_events WHERE scope = ? ORDER BY number DESC LIMIT 1", (scope,)
        )
        return _to_receipt(rows[0]) if rows and rows[0]["event"] == "granted" else None

    def history(self) -> list[ConsentReceipt]:
        """Every consent that was ever given on this device, withdrawn ones included, the last one first."""
        withdrawn = {
            row["receipt_id"]: datetime.fromisoformat(row["happened_at"])
            for row in self._database.query("SELECT * FROM consent_events WHERE event = 'withdrawn'")
        }
        rows = self._database.query("SELECT * FROM consent_events WHERE event = 'granted' ORDER BY number DESC")
        return [_to_receipt(row).model_copy(update={"withdrawn_at": withdrawn.get(row["receipt_id"])}) for row in rows]

    def require(self, scope: ConsentScope, receipt_id: uuid.UUID | None = None) -> ConsentReceipt:
        """The consent in force. Asked when something is put in line, and again just before its bytes leave.

        Args:
            scope: The purpose.
            receipt_id: The consent under which something was put in line: a later one does not cover it.

        Raises:
            ConsentError: if there is none, its words have changed since, or it is another than `receipt_id`.
        """
        current = self.current(scope)
        how = f"`projectone consent grant {scope}` shows the words and asks"
        if current is None:
            raise ConsentError(f"{scope}: the user has not agreed; {how}")
        if current.text_version != CONSENT_TEXTS[scope].version:
            raise ConsentError(f"{scope}: the words have changed since the user agreed; {how}")
        if receipt_id is not None and receipt_id != current.receipt_id:
            raise ConsentError(f"{scope}: the consent this was given under was withdrawn")
        return current

    def keep_erasure(self, receipt_id: uuid.UUID, signed: SignedErasure, *, now: datetime) -> None:
        """Keep what the server signed about the erasure of everything under a consent, byte for byte."""
        self._database.execute(
            "INSERT INTO erasures (receipt_id, signed, fetched_at) VALUES (?1, ?2, ?3)"
            " ON CONFLICT (receipt_id) DO UPDATE SET signed = ?2, fetched_at = ?3",
            (str(receipt_id), signed.to_bytes(), now.isoformat()),
        )

    def erasures(self) -> dict[uuid.UUID, SignedErasure]:
        """What was kept, by consent, the one withdrawn last first."""
        rows = self._database.query(
            "SELECT erasures.* FROM erasures JOIN consent_events USING (receipt_id)"
            " WHERE event = 'withdrawn' ORDER BY number DESC"
        )
        return {uuid.UUID(row["receipt_id"]): SignedErasure.from_bytes(row["signed"]) for row in rows}

    def in_force(self) -> dict[ConsentScope, ConsentReceipt | None]:
        """Every purpose with its consent."""
        return {scope: self.current(scope) for scope in CONSENT_SCOPES}

    def _add(self, receipt: ConsentReceipt, event: str, now: datetime, *, is_adult: bool | None = None) -> None:
        self._database.execute(
            "INSERT INTO consent_events (receipt_id, contributor_id, scope, event, text_version, method, happened_at,"
            " is_adult) VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
            (
                str(receipt.receipt_id),
                receipt.contributor_id,
                receipt.scope,
                event,
                receipt.text_version,
                receipt.method,
                now.isoformat(),
                is_adult,
            ),
        )


def _to_receipt(row: Row) -> ConsentReceipt:
    return ConsentReceipt(
        receipt_id=uuid.UUID(row["receipt_id"]),
        contributor_id=row["contributor_id"],
        scope=cast(ConsentScope, row["scope"]),
        text_version=row["text_version"],
        method=cast(ConsentMethod, row["method"]),
        granted_at=datetime.fromisoformat(row["happened_at"]),
    )
