"""A corpus on the disk, and people who send to it."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from tests.fakes.caller import a_clip
from tests.fakes.vaults import a_vault

from projectone.contracts.audio import AudioClip
from projectone.contracts.base import sha256_hex
from projectone.contracts.consent import ConsentReceipt
from projectone.contracts.corrections import Correction
from projectone.server.corpus.catalog import Catalog
from projectone.server.corpus.intake import Intake
from projectone.server.corpus.tables import SampleRow
from projectone.server.database import open_engine
from projectone.server.migrations.upgrade import upgrade_database
from projectone.server.sandbox.decode import decode_wav
from projectone.storage.blobs import FileBlobs

START = datetime(2026, 11, 1, tzinfo=UTC)


@dataclass
class Corpus:
    """Catalog, clips and a clock that moves a minute with every look."""

    catalog: Catalog
    blobs: FileBlobs
    now: datetime = START
    consents: dict[str, uuid.UUID] = field(default_factory=dict)

    def tick(self) -> datetime:
        self.now += timedelta(minutes=1)
        return self.now

    @property
    def intake(self) -> Intake:
        return Intake(self.catalog, self.blobs, decode_wav, self.tick)

    def consent(self, person: str) -> uuid.UUID:
        if person not in self.consents:
            self.consents[person] = uuid.uuid4()
            receipt = ConsentReceipt(
                receipt_id=self.consents[person],
                contributor_id=person,
                scope="corrections",
                text_version=1,
                method="cli",
                granted_at=START,
            )
            self.catalog.grant(receipt, START)
        return self.consents[person]

    def send(self, person: str = "ada", text: str = "seven", seed: int = 0) -> SampleRow:
        """One more sample; gives its row."""
        clip = a_clip(seed)
        correction = Correction(
            sample_id=uuid.uuid4(),
            contributor_id=person,
            kind="correction",
            audio=AudioClip(sha256=sha256_hex(clip), size_bytes=len(clip), sample_rate_hz=16000, duration_s=0.3),
            text=text,
            consent_receipt_id=self.consent(person),
            recorded_at=START,
        )
        self.intake.accept(correction, clip, f"device of {person}")
        return next(row for row in self.catalog.waiting() if row.sample_id == correction.sample_id)


@pytest.fixture
def corpus(tmp_path: Path) -> Iterator[Corpus]:
    engine = open_engine(f"sqlite:///{tmp_path}/rows.sqlite")
    upgrade_database(engine)
    yield Corpus(Catalog(engine, a_vault(tmp_path / "keys")), FileBlobs(tmp_path / "blobs"))
    engine.dispose()
