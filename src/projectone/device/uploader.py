"""The outbox to the server, one thing per request, each asked for its consent just before its bytes leave."""

from __future__ import annotations

import base64
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from http import HTTPStatus
from pathlib import Path
from uuid import UUID

from projectone.contracts import endpoints
from projectone.contracts.assist import UTTERANCE_MEDIA_TYPE, IntentCorrection
from projectone.contracts.corrections import SCOPE_OF_KIND
from projectone.contracts.devices import Enrolment
from projectone.contracts.erasures import SignedErasure
from projectone.contracts.uploads import UploadReceipt
from projectone.contracts.uses import SignedUses
from projectone.device.consent import ConsentLedger
from projectone.device.outbox import Outbox, OutboxEntry
from projectone.device.recordings import Recordings
from projectone.device.transport import Transport
from projectone.errors import (
    ConsentError,
    ContractError,
    DigestMismatchError,
    RefusedError,
    SettingsError,
    StorageError,
    TransportError,
)
from projectone.storage.database import Database
from projectone.storage.locks import exclusive_lock

SyncProgress = Callable[[int, int, str], None]
"""Called with how many were handled, how many there are, and what happened to the last one."""

# Bad request, conflict, gone, too large, media type, content. Whatever else is refused is no verdict on this one
# thing, so it waits.
_FINAL = {400, 409, 410, 413, 415, 422}
_UNKNOWN_DEVICE, _UNKNOWN_CONSENT = "device-unknown", "consent-missing"


@dataclass(frozen=True)
class SyncReport:
    """What a sync did.

    Attributes:
        sent: Samples that the server has now and had not before.
        refused: Samples that it will never take.
        waiting: Samples, consents, withdrawals and deletions that are still to be sent.
        notices: Consents, withdrawals and deletions that it was told.
        refusals: For each refused sample its id and the reason's code.
        problem: Why something still waits, if something went wrong.
    """

    sent: int
    refused: int
    waiting: int
    notices: int = 0
    refusals: tuple[tuple[UUID, str], ...] = ()
    problem: str | None = None


@dataclass
class _Round:
    """One pass through the line."""

    n_total: int
    on_progress: SyncProgress | None
    sent: int = 0
    notices: int = 0
    problem: str | None = None
    is_over: bool = False

    def __post_init__(self) -> None:
        self.reminded: set[UUID] = set()
        self.refusals: list[tuple[UUID, str]] = []
        self.n_done = 0

    def tell(self, entry: OutboxEntry, what: str) -> None:
        self.n_done += 1
        if self.on_progress is not None:
            self.on_progress(self.n_done, max(self.n_total, self.n_done), f"{entry.kind} {entry.entry_id} {what}")


class Uploader:
    """Sends what waits. Only one process does so at a time."""

    def __init__(
        self,
        database: Database,
        outbox: Outbox,
        consent: ConsentLedger,
        recordings: Recordings,
        transport: Transport,
        *,
        lock: Path,
        introduce: Callable[[], Enrolment],
        clock: Callable[[], datetime],
    ) -> None:
        self._database = database
        self._outbox = outbox
        self._consent = consent
        self._recordings = recordings
        self._transport = transport
        self._lock = lock
        self._introduce = introduce
        self._clock = clock

    def sync(self, *, only_due: bool = False, on_progress: SyncProgress | None = None) -> SyncReport:
        """Send everything that waits, until the end of the line or until the wire fails.

        Args:
            only_due: Leave what failed a short while ago; for timers.
            on_progress: Called after each.

        Raises:
            LeaseError: if another process is sending.
            SettingsError: if no server is set and something waits.
        """
        with exclusive_lock(self._lock, what="sending what waits"):
            self._outbox.recover()
            this = _Round(self._outbox.counts()["waiting"], on_progress)
            if this.n_total and self._transport.server is None:
                raise SettingsError(f"{this.n_total} wait to be sent: set PROJECTONE_SERVER to your server's address")
            while not this.is_over:
                now = self._clock()
                entry = self._outbox.claim(due_before=now if only_due else None, now=now)
                if entry is None:
                    break
                self._handle(entry, this)
        return SyncReport(
            sent=this.sent,
            refused=len(this.refusals),
            waiting=self._outbox.counts()["waiting"],
            notices=this.notices,
            refusals=tuple(this.refusals),
            problem=this.problem,
        )

    def fetch_erasure(self, receipt_id: UUID) -> bool:
        """Ask for what the server signs about an erasure, and keep it; False if it has no answer to that.

        Then everything is erased all the same: only the paper is missing.

        Raises:
            TransportError: if the server could not be reached.
        """
        try:
            answer = self._transport.call("GET", endpoints.erasure(receipt_id))
            signed = SignedErasure.from_bytes(answer.body)
        except (RefusedError, ContractError):
            return False
        self._consent.keep_erasure(receipt_id, signed, now=self._clock())
        return True

    def fetch_uses(self, sample_id: UUID) -> SignedUses:
        """Ask which models learned from a sample; what is signed is for the reader to check.

        Raises:
            RefusedError: if the server has no such sample of ours.
            TransportError: if the server could not be reached.
        """
        return SignedUses.from_bytes(self._transport.call("GET", endpoints.uses(sample_id)).body)

    def _handle(self, entry: OutboxEntry, this: _Round) -> None:
        try:
            self._send(entry)
        except ConsentError:
            self._outbox.mark_withdrawn(entry)
            this.tell(entry, "stays here: no consent")
        except RefusedError as error:
            self._handle_refusal(entry, error, this)
        except (TransportError, ContractError) as error:
            self._put_back(entry, str(error), this)
        except DigestMismatchError as error:
            self._refuse(entry, "audio-damaged", str(error), this)
        except StorageError as error:
            self._put_back(entry, str(error), this)
        except BaseException:
            self._outbox.put_back(entry, problem="interrupted", now=self._clock())
            raise
        else:
            self._note_sent(entry, this)

    def _send(self, entry: OutboxEntry) -> None:
        try:
            self._send_once(entry)
        except RefusedError as error:
            if error.reason != _UNKNOWN_DEVICE:
                raise
            self._enrol()
            self._send_once(entry)

    def _send_once(self, entry: OutboxEntry) -> None:
        if entry.kind == "withdrawal":
            try:
                self._transport.call("DELETE", endpoints.consent(entry.entry_id))
            except RefusedError as error:
                if error.status not in (HTTPStatus.NOT_FOUND, HTTPStatus.GONE):  # it has nothing of ours to erase
                    raise
                return
            self.fetch_erasure(entry.entry_id)
            return

        if entry.kind == "deletion":  # taking back needs no consent
            self._transport.call("DELETE", endpoints.sample(entry.entry_id))
            return

        def require_consent() -> None:
            self._consent.require(entry.scope, entry.receipt_id)

        if entry.kind == "consent":
            self._transport.call(
                "PUT",
                endpoints.consent(entry.entry_id),
                body=entry.payload,
                media_type="application/json",
                before_bytes_leave=require_consent,
            )
            return
        require_consent()
        body, media_type = self._body(entry)
        answer = self._transport.call(
            "PUT",
            endpoints.sample(entry.entry_id),
            body=body,
            media_type=media_type,
            sample_header=base64.urlsafe_b64encode(entry.payload).decode(),
            before_bytes_leave=require_consent,
        )
        receipt = UploadReceipt.from_bytes(answer.body)
        if receipt.sample_id != entry.entry_id:
            raise ContractError(f"upload: expected a receipt for {entry.entry_id}, got one for {receipt.sample_id}")

    def _body(self, entry: OutboxEntry) -> tuple[bytes, str]:
        """What goes beside a sample's letter, and its media type: the recording, or the sentence."""
        if SCOPE_OF_KIND["intent"] == entry.scope:
            return IntentCorrection.from_bytes(entry.payload).payload, UTTERANCE_MEDIA_TYPE
        return self._recordings.audio(entry.audio_sha256 or ""), "audio/wav"

    def _enrol(self) -> None:
        """Introduce this device; the same again is answered as the first time."""
        self._transport.call(
            "POST",
            endpoints.DEVICES,
            body=self._introduce().to_bytes(),
            media_type="application/json",
            is_signed=False,
        )

    def _handle_refusal(self, entry: OutboxEntry, error: RefusedError, this: _Round) -> None:
        is_forgotten = error.reason == _UNKNOWN_CONSENT and entry.kind == "sample"
        if is_forgotten and entry.receipt_id not in this.reminded:
            # The server may have been restored from an older backup: tell it of the consent once more.
            this.reminded.add(entry.receipt_id)
            self._outbox.send_again("consent", entry.receipt_id)
            self._outbox.put_back(entry, problem=str(error), now=self._clock())
        elif is_forgotten or error.status in _FINAL:
            self._refuse(entry, error.reason, str(error), this)
        else:
            self._put_back(entry, str(error), this)

    def _note_sent(self, entry: OutboxEntry, this: _Round) -> None:
        with self._database.transaction():
            # False if it was withdrawn while it was under way: the withdrawal in line makes the server erase it.
            if self._outbox.mark_sent(entry) and entry.kind == "sample":
                self._recordings.mark_uploaded(entry.entry_id)
            elif entry.kind == "deletion":
                self._recordings.mark_uploaded(entry.entry_id, is_uploaded=False)
        if entry.kind == "sample":
            this.sent += 1
        else:
            this.notices += 1
        this.tell(entry, "sent")

    def _refuse(self, entry: OutboxEntry, reason: str, detail: str, this: _Round) -> None:
        self._outbox.mark_refused(entry, reason=reason, detail=detail)
        if entry.kind == "sample":
            this.refusals.append((entry.entry_id, reason))
        this.tell(entry, f"refused: {reason}")

    def _put_back(self, entry: OutboxEntry, problem: str, this: _Round) -> None:
        self._outbox.put_back(entry, problem=problem, now=self._clock())
        this.problem = problem
        this.is_over = True
        this.tell(entry, f"waits: {problem}")
