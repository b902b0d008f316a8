"""What this device saw of the server's audit log: the newest signed checkpoint, and whether each began as the last one.

Asked for without a name, once an hour at most, when something was sent: who sends nothing is not heard of. A server
whose log only grew can always show it; one that wrote it anew cannot, unless it shows everybody a log of their own.
What it had signed stays here for that. Only signed words that contradict each other are said to be a rewriting: a proof
that is missing proves nothing, so of a longer log it is said since when nothing was shown.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime, timedelta
from http import HTTPStatus
from pathlib import Path
from typing import Any, Final, Literal

from projectone.contracts import endpoints
from projectone.contracts.base import Contract, Moment
from projectone.contracts.checkpoints import AuditCheckpoint, ProvenCheckpoint, SignedCheckpoint
from projectone.contracts.merkle import is_prefix
from projectone.device.transport import Transport
from projectone.errors import ContractError, ProjectOneError, RefusedError, StorageError, TransportError
from projectone.storage.files import make_folder, write_atomically

_ASK_EVERY: Final = timedelta(hours=1)
_FILE: Final = "history.json"
# The first ones say what was done; more of them would say no more.
_MOST_KEPT: Final = 8
_IN_BETWEEN: Final = (HTTPStatus.PROXY_AUTHENTICATION_REQUIRED, HTTPStatus.NETWORK_AUTHENTICATION_REQUIRED)

Kind = Literal["none", "grown", "unshown", "rewritten"]


class _Seen(Contract):
    """One checkpoint: what was signed, and what it says."""

    signed: SignedCheckpoint
    checkpoint: AuditCheckpoint


class _Rewrite(Contract):
    """Two checkpoints that one log cannot have had."""

    found_at: Moment
    before: _Seen
    after: _Seen


class _Kept(Contract):
    schema_version: Literal[1] = 1
    asked_at: Moment
    shown_at: Moment | None = None
    newest: _Seen | None = None
    # What was signed later and not shown to begin as `newest` does; a proof that is missing proves nothing.
    unproven: _Seen | None = None
    problem: str | None = None
    rewrites: tuple[_Rewrite, ...] = ()


@dataclass(frozen=True)
class HistoryAccount:
    """What can be said of the server's audit log.

    Attributes:
        kind: Nothing was seen of it; it only grew; the server did not show that, the last time; it was written anew,
            which two checkpoints show that one log cannot have had.
        n_entries: Of the newest checkpoint.
        signed_at: When that was signed.
        shown_at: When the server last showed that it begins as what was seen before.
        rewritten_at: When this device first found that it does not.
        problem: Why nothing was shown the last time.
        evidence: Where the checkpoints are that do not fit.
    """

    kind: Kind = "none"
    n_entries: int | None = None
    signed_at: datetime | None = None
    shown_at: datetime | None = None
    rewritten_at: datetime | None = None
    problem: str | None = None
    evidence: Path | None = None

    @property
    def words(self) -> str:
        """As a sentence."""
        if self.kind == "rewritten":
            return (
                f"REWRITTEN: it does not begin any more with what the server had signed before (found "
                f"{_day(self.rewritten_at)}); what it signed then and later is in {self.evidence}"
            )
        if self.n_entries is None:
            return f"nothing seen: {self.problem}" if self.problem else "nothing seen yet"
        seen = f"{self.n_entries} entries, signed {_day(self.signed_at)}"
        if self.kind == "unshown":
            where = f" (both are in {self.evidence})" if self.evidence else ""
            return f"{seen}; not shown since {_day(self.shown_at)} that it only grew: {self.problem}{where}"
        return f"{seen}; it begins with everything that was seen before"

    @property
    def advice(self) -> str:
        """What the person can do about it; empty where there is nothing to do."""
        if self.kind == "rewritten":
            return (
                "Keep that file: it holds both, each signed by the server itself, and shows it to anybody. Ask whoever "
                "runs the server what happened: one that was put back from an older backup lost history, too, and "
                "looks the same from here; then they can name the day of the backup. Until you know, "
                "you can take your consents back: then nothing leaves. The model here works on."
            )
        if self.kind == "unshown":
            return (
                "A server that was moved, or that somebody stands before, does that too, and it may be shown later. "
                "If it lasts for days, ask whoever runs the server. Nothing here is affected."
            )
        return ""

    def facts(self) -> dict[str, Any]:
        """For scripts."""
        moments = {"signed_at": self.signed_at, "shown_at": self.shown_at, "rewritten_at": self.rewritten_at}
        return {
            "state": self.kind,
            "n_entries": self.n_entries,
            **{name: moment and moment.isoformat() for name, moment in moments.items()},
            "problem": self.problem,
            "evidence": self.evidence and str(self.evidence),
            "words": self.words,
            "advice": self.advice,
        }


class ServerHistory:
    """Keeps what was signed of the server's audit log, and compares."""

    def __init__(
        self,
        folder: Path,
        transport: Transport,
        read: Callable[[SignedCheckpoint], AuditCheckpoint],
        *,
        clock: Callable[[], datetime],
    ) -> None:
        """Nothing is asked yet.

        Args:
            folder: Where what was seen is kept.
            transport: To the server.
            read: Opens a checkpoint; raises if nobody we trust signed it.
            clock: Now, with its zone.
        """
        self._file = folder / _FILE
        self._transport = transport
        self._read = read
        self._clock = clock

    def look(self) -> None:
        """Ask, if that was not done in the last hour, and keep what was found.

        A server out of reach changes nothing, nor does somebody before it who wants a login or a proxy's word, nor a
        disk that refuses: what was sent before this was sent.
        """
        now, kept = self._clock(), self._kept()
        is_asked = kept is not None and timedelta(0) <= now - kept.asked_at < _ASK_EVERY
        if self._transport.server is None or is_asked:
            return
        kept = (kept or _Kept(asked_at=now)).model_copy(update={"asked_at": now, "problem": None})
        first = kept.newest.checkpoint.n_entries if kept.newest else 0
        try:
            answer = self._transport.call("GET", endpoints.AUDIT_CONSISTENCY, query=f"first={first}", is_signed=False)
        except RefusedError as error:  # nothing was signed yet, or it is not shown any more
            if _is_of_the_server(error):
                self._keep(kept.model_copy(update={"problem": None if kept.newest is None else str(error)}))
            return
        except (TransportError, ContractError):  # nobody there; a redirect, or a page without end
            return
        if not _is_json(answer.body):
            return
        try:
            found = _compared(kept, *self._opened(answer.body))
        except ProjectOneError as error:  # signed by nobody we trust, or no checkpoint
            found = kept.model_copy(update={"problem": str(error)})
        self._keep(found)

    def account(self) -> HistoryAccount:
        """What can be said of it; nothing is asked for that."""
        kept = self._kept()
        if kept is None:
            return HistoryAccount()
        seen = kept.newest.checkpoint if kept.newest else None
        kind: Kind = "rewritten" if kept.rewrites else "unshown" if kept.problem else "grown" if seen else "none"
        return HistoryAccount(
            kind=kind,
            n_entries=seen.n_entries if seen else None,
            signed_at=seen.made_at if seen else None,
            shown_at=kept.shown_at,
            rewritten_at=kept.rewrites[0].found_at if kept.rewrites else None,
            problem=kept.problem,
            evidence=self._file if kept.rewrites or kept.unproven else None,
        )

    def _keep(self, found: _Kept) -> None:
        with suppress(OSError, StorageError):
            make_folder(self._file.parent)
            write_atomically(self._file, found.to_bytes())

    def _opened(self, body: bytes) -> tuple[_Seen, list[bytes]]:
        proven = ProvenCheckpoint.from_bytes(body)
        return _Seen(signed=proven.newest, checkpoint=self._read(proven.newest)), [*map(bytes.fromhex, proven.path)]

    def _kept(self) -> _Kept | None:
        try:
            return _Kept.from_bytes(self._file.read_bytes())
        except (OSError, ContractError):  # what is damaged or cannot be read says nothing
            return None


def _is_of_the_server(refusal: RefusedError) -> bool:
    """Whether a no is the server's own: not that of a network that wants a login, nor a page of a proxy."""
    return refusal.status not in _IN_BETWEEN and not refusal.reason.startswith("http-")


def _is_json(body: bytes) -> bool:
    try:
        json.loads(body)
    except (ValueError, RecursionError):
        return False
    return True


def _compared(kept: _Kept, shown: _Seen, path: list[bytes]) -> _Kept:
    """What is kept after this was shown."""
    grown = kept.model_copy(update={"newest": shown, "unproven": None, "shown_at": kept.asked_at})
    if kept.newest is None:
        return grown
    before, new = kept.newest.checkpoint, shown.checkpoint
    if new.n_entries < before.n_entries and new.made_at < before.made_at:
        return kept.model_copy(update={"problem": "it shows what it signed earlier"})  # or somebody in between does
    if _contradict(before, new):
        rewrite = _Rewrite(found_at=kept.asked_at, before=kept.newest, after=shown)
        return kept.model_copy(update={"newest": shown, "rewrites": (*kept.rewrites, rewrite)[:_MOST_KEPT]})
    roots = bytes.fromhex(before.merkle_root), bytes.fromhex(new.merkle_root)
    if is_prefix(before.n_entries, roots[0], new.n_entries, roots[1], path):
        return grown
    return kept.model_copy(update={"unproven": shown, "problem": "its proof does not lead to what it signs now"})


def _contradict(before: AuditCheckpoint, new: AuditCheckpoint) -> bool:
    """Whether one log cannot have had both: by what was signed alone."""
    if new.n_entries == before.n_entries:
        return (new.head_sha256, new.merkle_root) != (before.head_sha256, before.merkle_root)
    return new.n_entries < before.n_entries


def _day(moment: datetime | None) -> str:
    return "never" if moment is None else f"{moment.astimezone():%Y-%m-%d %H:%M}"
