"""A device's recordings, consents, outbox and unfinished sound under a `Recorder`, and what is left by a power cut.

The whole device is the real one (`open_client`), but for the model, which hears one word in everything, and the server,
which answers in this process and whose memory no power cut of the device takes.
"""

from __future__ import annotations

import base64
import contextlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
from tests.fakes.device_rooms import tone
from tests.faults.server_disk import SYNCHRONOUS_FULL, ServerRecorder

import projectone.device.wiring as wiring
import projectone.storage.database as database
from projectone.contracts.corrections import Correction
from projectone.contracts.uploads import UploadReceipt
from projectone.device.client import DeviceClient
from projectone.device.heard import Heard
from projectone.device.live import Live
from projectone.device.settings import DeviceSettings
from projectone.device.transcriber import Transcriber
from projectone.device.transport import Answer
from projectone.errors import RefusedError, StorageError
from projectone.storage.database import Database

SOUNDS = {name: tone(0.2, pitch_hz=300 + 100 * number) for number, name in enumerate(("first", "second", "third"))}
SPEECH = bytes(range(256)) * 250  # two seconds that are said while they are recorded
PIECE_BYTES = 32_000
Say = Callable[[str], None]


@dataclass
class Server:
    """What the server keeps. It answers the same again with the same, and refuses what was withdrawn.

    Attributes:
        conflicts: Samples that came twice with other bytes.
        say: Told of each change, by its number.
        history: What it remembered after each change.
    """

    is_known: bool = False
    consents: set[str] = field(default_factory=set)
    erased: set[str] = field(default_factory=set)
    samples: dict[str, tuple[str, bytes]] = field(default_factory=dict)
    conflicts: list[str] = field(default_factory=list)
    say: Say = field(default=lambda what: None, compare=False)
    history: list[Server] = field(default_factory=list, compare=False)
    server: str = "http://127.0.0.1:9"  # as a transport says it

    def close(self) -> None:
        """What a transport can do."""

    def texts(self) -> list[str]:
        """What people said in the samples that are here."""
        return sorted(_read(header).text for header, _ in self.samples.values())

    def call(
        self, method: str, path: str, *, body: bytes = b"", sample_header: str = "",
        before_bytes_leave: Callable[[], object] = lambda: None, **_: Any,
    ) -> Answer:  # fmt: skip
        """One request, answered as the real server would."""
        before_bytes_leave()
        kind, name = path.strip("/").split("/")[1], path.strip("/").split("/")[-1]
        if kind != "devices" and not self.is_known:
            raise RefusedError("who is this", status=401, reason="device-unknown")
        before = self._memory()
        answer = getattr(self, f"_{method.lower()}_{kind}")(name, body, sample_header)
        if self._memory() != before:
            self.history.append(self._memory())
            self.say(f"server {len(self.history)}")
        return Answer(200, {}, answer)

    def _memory(self) -> Server:
        return Server(self.is_known, set(self.consents), set(self.erased), dict(self.samples))

    def as_of(self, said: frozenset[str]) -> Server:
        """A server with the memory of the last moment that was noted."""
        moments = [int(item.split()[1]) for item in said if item.startswith("server ")]
        return self.history[max(moments) - 1]._memory() if moments else Server()

    def _post_devices(self, name: str, body: bytes, header: str) -> bytes:
        self.is_known = True
        return b"{}"

    def _put_consents(self, name: str, body: bytes, header: str) -> bytes:
        if name in self.erased:
            raise RefusedError("withdrawn", status=409, reason="consent-withdrawn")
        self.consents.add(name)
        return b"{}"

    def _delete_consents(self, name: str, body: bytes, sample_header: str) -> bytes:
        self.erased.add(name)
        self.consents.discard(name)
        for sample_id, (header, _) in list(self.samples.items()):
            if str(_read(header).consent_receipt_id) == name:
                del self.samples[sample_id]
        return b"{}"

    def _get_consents(self, name: str, body: bytes, header: str) -> bytes:
        raise RefusedError("no receipt yet", status=404, reason="not-found")

    _get_erasure = _get_audit = _get_consents

    def _put_samples(self, name: str, body: bytes, header: str) -> bytes:
        receipt = str(_read(header).consent_receipt_id)
        if receipt not in self.consents:
            reason = "consent-withdrawn" if receipt in self.erased else "consent-missing"
            raise RefusedError(reason, status=410 if receipt in self.erased else 403, reason=reason)
        known = self.samples.setdefault(name, (header, body))
        if known != (header, body):
            self.conflicts.append(name)
        return UploadReceipt(
            sample_id=UUID(name), sha256=_read(header).audio.sha256, received_at=datetime.now(UTC)
        ).to_bytes()

    def _delete_samples(self, name: str, body: bytes, header: str) -> bytes:
        self.samples.pop(name, None)
        return b"{}"


def _read(header: str) -> Correction:
    return Correction.from_bytes(base64.urlsafe_b64decode(header))


@contextlib.contextmanager
def device(home: Path, server: Server, monkeypatch: pytest.MonkeyPatch) -> Iterator[DeviceClient]:
    """The device at `home`, as it is opened."""
    with monkeypatch.context() as patch:
        patch.setattr(wiring, "Transport", lambda url, sign: server)
        patch.setattr(Transcriber, "transcribe", lambda self, samples, **_: Heard("won", "1.0.0"))
        patch.setattr(Live, "_follow", lambda self, item, **_: None)  # nobody listens meanwhile: no thread
        settings = DeviceSettings(home=home, server=server.server, enrolment_code="letmein")
        with wiring.open_client(settings) as client:
            yield client


@contextlib.contextmanager
def recording(root: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[ServerRecorder]:
    """Notes everything below `root`; a statement or a transaction that ends is a commit."""
    recorder = ServerRecorder(root)
    execute, transaction, open_database = Database.execute, Database.transaction, database.open_database

    def committed(rows: Database) -> None:
        if not rows._connection.in_transaction:
            ((mode,),) = rows._connection.execute("PRAGMA synchronous").fetchall()
            recorder.committed(mode >= SYNCHRONOUS_FULL)

    def noted(self: Database, *arguments: Any) -> int:
        changed = execute(self, *arguments)
        committed(self)
        return changed

    @contextlib.contextmanager
    def noted_transaction(self: Database) -> Iterator[None]:
        with transaction(self):
            yield
        committed(self)

    def noted_opening(*arguments: Any) -> Any:
        connection = open_database(*arguments)
        recorder._look()  # what SQLite does to make a database is one step
        return connection

    with monkeypatch.context() as patch:
        patch.setattr(database, "open_database", noted_opening)
        patch.setattr(Database, "execute", noted)
        patch.setattr(Database, "transaction", noted_transaction)
        with recorder:
            yield recorder


def live_through(client: DeviceClient, say: Say, *, is_short: bool = False) -> None:
    """What a person does on a day, or until they sent something; `say` is told what they were told."""
    client.grant("corrections", "demo")
    say("consent")
    for name in ("first", "second"):
        recording = client.transcribe(SOUNDS[name])
        say(f"heard {name}")
        client.correct(recording.recording_id, name)
        say(f"corrected {name}")
    _send(client, 2)
    say("synced")
    if is_short:
        return
    live_id = client.live.begin()
    for offset in range(0, len(SPEECH), PIECE_BYTES):
        state = client.live.append(live_id, offset, SPEECH[offset : offset + PIECE_BYTES])
        say(f"spoken {round(state.safe_s * PIECE_BYTES)}")
    client.live.finish(live_id)
    say("finished")
    third = client.transcribe(SOUNDS["third"])
    client.correct(third.recording_id, "third")
    say("heard third")
    say("corrected third")
    _send(client, 1)
    say("synced again")
    client.withdraw("corrections")
    say("withdrawn")
    _send(client, 0)
    say("erased")


def _send(client: DeviceClient, expected: int) -> None:
    report = client.sync()
    if report.problem is not None:
        raise StorageError(report.problem)
    assert report.sent == expected
