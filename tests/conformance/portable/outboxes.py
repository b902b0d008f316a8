"""Topic `outbox/states`: what happens to what waits to be sent."""

from __future__ import annotations

import hashlib
import tempfile
from datetime import UTC, datetime, timedelta
from functools import cache
from pathlib import Path
from typing import Any, cast
from uuid import UUID

from tests.conformance.portable.topics import Case, Mistake, Topic, Value

import projectone.device.outbox.line as outbox_line
from projectone.contracts.consent import ConsentScope
from projectone.device.migrations import MIGRATIONS
from projectone.device.outbox import Outbox, OutboxEntry
from projectone.storage.database import Database

_T0 = datetime(2026, 11, 22, 12, tzinfo=UTC)


def _id(name: str) -> UUID:
    return UUID(bytes=hashlib.sha256(name.encode()).digest()[:16], version=4)


@cache
def _empty() -> bytes:
    """A database with nothing in it: made once, for a migration takes longer than a story."""
    with tempfile.TemporaryDirectory() as folder:
        Database(Path(folder) / "empty.sqlite", MIGRATIONS).close()
        return (Path(folder) / "empty.sqlite").read_bytes()


class _Played:
    """An outbox that things happen to."""

    def __init__(self, folder: Path) -> None:
        (folder / "outbox.sqlite").write_bytes(_empty())
        self.database = Database(folder / "outbox.sqlite", MIGRATIONS)
        self.outbox = Outbox(self.database, seed=7)
        self.names: dict[UUID, str] = {}
        self.held: OutboxEntry | None = None

    def happen(self, event: Value) -> Value:
        """One event; gives what came of it and every entry's state."""
        kind, arguments = event["event"], {key: item for key, item in event.items() if key != "event"}
        said = getattr(self, f"_{kind}")(**arguments)
        rows = self.database.query("SELECT * FROM outbox ORDER BY number")
        entries = [
            f"{row['kind']} {self.names[UUID(row['entry_id'])]}: {row['state']} {row['attempts']}" for row in rows
        ]
        return {"said": said, "entries": entries}

    def _put(self, kind: str, name: str, consent: str) -> None:
        self.names[_id(name)] = name
        scope: ConsentScope = "corrections"
        payload = name.encode()
        self.outbox.put(cast(Any, kind), _id(name), scope=scope, receipt_id=_id(consent), payload=payload)

    def _claim(self, at_s: float | None = None) -> str | None:
        due = None if at_s is None else _T0 + timedelta(seconds=at_s)
        self.held = self.outbox.claim(due_before=due)
        return None if self.held is None else f"{self.held.kind} {self.names[self.held.entry_id]}"

    def _sent(self) -> bool:
        assert self.held is not None
        return self.outbox.mark_sent(self.held)

    def _refused(self) -> bool:
        assert self.held is not None
        return self.outbox.mark_refused(self.held, reason="text-empty", detail="")

    def _no_consent(self) -> bool:
        assert self.held is not None
        return self.outbox.mark_withdrawn(self.held)

    def _failed(self, at_s: float) -> None:
        assert self.held is not None
        self.outbox.put_back(self.held, problem="no answer", now=_T0 + timedelta(seconds=at_s))

    def _restart(self) -> int:
        return self.outbox.recover()

    def _withdraw(self, consent: str) -> bool:
        return self.outbox.withdraw(_id(consent))

    def _take_back(self, name: str) -> bool:
        return self.outbox.take_back(_id(name))

    def _forgotten(self, consent: str) -> None:
        self.outbox.send_again("consent", _id(consent))


def played(given: Value) -> Value:
    """What came of each event."""
    with tempfile.TemporaryDirectory() as folder:
        played = _Played(Path(folder))
        try:
            return {"after": [played.happen(event) for event in given["events"]]}
        finally:
            played.database.close()


def _put(name: str, kind: str = "sample", consent: str = "c1") -> Value:
    return {"event": "put", "kind": kind, "name": name, "consent": consent}


def _do(event: str, **arguments: Any) -> Value:
    return {"event": event, **arguments}


_CLAIM, _SENT, _RESTART = _do("claim"), _do("sent"), _do("restart")
_STORIES: dict[str, list[Value]] = {
    "consent first, then samples in their order": [
        _put("s1"), _put("s2"), _put("c1", "consent"), _CLAIM, _SENT, _CLAIM, _SENT, _CLAIM, _SENT, _CLAIM],
    "the same again is the same": [_put("s1"), _CLAIM, _SENT, _put("s1"), _CLAIM],
    "a crash while sending": [_put("s1"), _CLAIM, _RESTART, _CLAIM, _SENT, _RESTART],
    "a crash between the answer and its row": [_put("s1"), _CLAIM, _RESTART, _CLAIM, _SENT, _CLAIM],
    "a failure waits longer and goes to the end of the line": [
        _put("s1"), _put("s2"), _do("claim", at_s=0), _do("failed", at_s=0), _do("claim", at_s=0), _SENT,
        _do("claim", at_s=29), _do("claim", at_s=61), _do("failed", at_s=61), _do("claim", at_s=61 + 59),
        _do("claim", at_s=61 + 121), _SENT],
    "the clock is set back by a year after a failure": [
        _put("s1"), _do("claim", at_s=0), _do("failed", at_s=31_536_000), _do("claim", at_s=0), _SENT],
    "a refusal is final": [_put("s1"), _CLAIM, _do("refused"), _CLAIM, _put("s1"), _CLAIM],
    "withdrawn before anything left": [_put("c1", "consent"), _put("s1"), _do("withdraw", consent="c1"), _CLAIM],
    "withdrawn after the consent left": [
        _put("c1", "consent"), _put("s1"), _CLAIM, _SENT, _do("withdraw", consent="c1"),
        _put("c1", "withdrawal"), _CLAIM, _SENT],
    "withdrawn while it is under way": [
        _put("s1"), _CLAIM, _do("withdraw", consent="c1"), _SENT, _put("c1", "withdrawal"), _CLAIM],
    "another consent is not touched": [
        _put("s1"), _put("s2", consent="c2"), _do("withdraw", consent="c1"), _CLAIM, _SENT],
    "no consent when its turn comes": [_put("s1"), _CLAIM, _do("no_consent"), _CLAIM],
    "taken back before it left": [_put("s1"), _do("take_back", name="s1"), _CLAIM],
    "taken back after it was sent": [
        _put("s1"), _CLAIM, _SENT, _put("s2"), _do("take_back", name="s1"), _CLAIM, _SENT, _CLAIM],
    "taken back while it is under way": [_put("s1"), _CLAIM, _do("take_back", name="s1"), _SENT, _CLAIM, _SENT],
    "a refused one is not taken back": [_put("s1"), _CLAIM, _do("refused"), _do("take_back", name="s1"), _CLAIM],
    "the server forgot the consent": [
        _put("c1", "consent"), _put("s1"), _CLAIM, _SENT, _CLAIM, _do("forgotten", consent="c1"),
        _do("failed", at_s=0), _CLAIM, _SENT, _CLAIM, _SENT],
}  # fmt: skip

_LEAVE = Outbox._leave_sending


def _leave_anything(self: Outbox, entry: OutboxEntry, state: str, *_: Any) -> bool:
    return self._database.execute("UPDATE outbox SET state = ? WHERE number = ?", (state, entry.number)) == 1


def _sent_at_once(self: Outbox, **options: Any) -> OutboxEntry | None:
    entry = _CLAIMED(self, **options)
    if entry is not None:
        self.mark_sent(entry)
    return entry


_CLAIMED = Outbox.claim
STATES = Topic(
    name="outbox/states",
    about=(
        "Events that happen to an empty outbox, and after each what it said and all entries as `kind name: state "
        "attempts`. `put` changes nothing if the same kind and name ever was there. `claim` gives the next that waits "
        "and makes it `sending`, with one attempt more: consents first, then withdrawals and deletions, then samples, "
        "those with fewer attempts before others; with `at_s`, only what is due by then. `sent`, `refused`, "
        "`no_consent` and `failed` are about the last claimed one, and do nothing unless it is still `sending`. After "
        "a failure it waits for 30 s times 2^attempts, times something between a half and one, but six hours at most; "
        "what is due later than that was put off before the clock was set back, and is due. `restart` makes "
        "everything that is `sending` wait again. `withdraw` says whether the server may know of the consent; "
        "`take_back`, whether it may have the sample, and then puts a deletion in line. `forgotten` sends a consent "
        "once more."
    ),
    run=played,
    cases=tuple(Case(name, {"events": events}) for name, events in _STORIES.items()),
    mistakes=(
        Mistake("what was being sent is forgotten", Outbox, "recover", lambda self: 0),
        Mistake("a withdrawn one becomes sent", Outbox, "_leave_sending", _leave_anything),
        Mistake("sent before the answer", Outbox, "claim", _sent_at_once),
        Mistake("never due", outbox_line, "_LONGEST_PAUSE_S", 1e9),
        Mistake("nothing is taken back", Outbox, "take_back", lambda self, sample_id: False),
    ),
)
