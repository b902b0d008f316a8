"""A fake server on loopback, and the rooms of a device around one database."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import pytest
from tests.fakes.device_rooms import TextEngine, tone
from tests.fakes.release_server import ENROLMENT_CODE, FakeServer, running

from projectone.device.client import DeviceClient
from projectone.device.clips import read_clip
from projectone.device.consent import ConsentLedger
from projectone.device.corrections import Corrections
from projectone.device.keys import DeviceKeys
from projectone.device.migrations import MIGRATIONS
from projectone.device.offers import Offers
from projectone.device.outbox import Outbox
from projectone.device.recordings import Recording, Recordings
from projectone.device.settings import DeviceSettings
from projectone.device.transport import Transport
from projectone.device.uploader import Uploader
from projectone.device.wiring import open_client
from projectone.storage.blobs import FileBlobs
from projectone.storage.database import Database


@pytest.fixture
def server() -> Iterator[FakeServer]:
    with running(FakeServer()) as started:
        yield started


@pytest.fixture(autouse=True)
def _no_misuse_of_engines() -> Iterator[None]:
    TextEngine.open_engines, TextEngine.misuse = 0, []
    yield
    assert TextEngine.misuse == []


@dataclass
class Rooms:
    """What a test of corrections and uploads needs, without a model."""

    home: Path
    database: Database
    recordings: Recordings
    consent: ConsentLedger
    outbox: Outbox
    offers: Offers
    corrections: Corrections
    uploader: Uploader
    transport: Transport

    def close(self) -> None:
        self.transport.close()
        self.database.close()

    def record(self, text: str = "won too three", *, pitch_hz: float = 440.0, seconds: float = 0.5) -> Recording:
        clip = read_clip(tone(seconds, pitch_hz=pitch_hz))
        return self.recordings.add(clip, text=text, model_version="1.0.0", recorded_at=datetime.now(UTC))


def open_rooms(home: Path, server_url: str | None) -> Rooms:
    database = Database(home / "device.sqlite", MIGRATIONS)
    keys = DeviceKeys.open(home / "keys", clock_s=lambda: datetime.now(UTC).timestamp())
    recordings, consent = Recordings(database, FileBlobs(home / "audio")), ConsentLedger(database)
    outbox = Outbox(database, seed=0)

    def now() -> datetime:
        return datetime.now(UTC)

    offers = Offers(recordings, outbox, consent, contributor_id=keys.contributor_id, language="en")
    corrections = Corrections(
        database, recordings, outbox, consent, offers, contributor_id=keys.contributor_id, clock=now
    )
    transport = Transport(server_url, keys.sign, sleep=lambda _: None, seed=0)
    uploader = Uploader(
        database,
        outbox,
        consent,
        recordings,
        transport,
        lock=home / "sync.lock",
        introduce=lambda: keys.enrolment(ENROLMENT_CODE),
        clock=now,
    )
    return Rooms(home, database, recordings, consent, outbox, offers, corrections, uploader, transport)


@pytest.fixture
def rooms(tmp_path: Path, server: FakeServer) -> Iterator[Rooms]:
    made = open_rooms(tmp_path, server.url)
    yield made
    made.close()


@pytest.fixture
def client(tmp_path: Path, server: FakeServer, monkeypatch: pytest.MonkeyPatch) -> Iterator[DeviceClient]:
    """The whole device, with a model that is a text file."""
    monkeypatch.setattr("projectone.device.wiring._load_engine", lambda folder, settings: TextEngine(folder))
    settings = DeviceSettings(
        home=tmp_path / "device",
        server=server.url,
        enrolment_code=ENROLMENT_CODE,
        release_keys=(server.public_key,),
        release_root=server.root,
    )
    with open_client(settings) as opened:
        yield opened
