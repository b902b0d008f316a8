"""A server's corpus of any size, made cheaply: rows as uploads leave them, many to a clip."""

from __future__ import annotations

import contextlib
import uuid
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta
from itertools import islice
from pathlib import Path
from typing import Any

from sqlalchemy import insert

from projectone.contracts.audio import AudioClip
from projectone.contracts.base import sha256_hex
from projectone.contracts.consent import CONSENT_TEXTS, ConsentReceipt
from projectone.contracts.corrections import Correction
from projectone.server.corpus.catalog import Catalog
from projectone.server.corpus.sample_words import sealed_row
from projectone.server.corpus.tables import SAMPLES
from projectone.server.database import open_engine, writing
from projectone.server.home import open_catalog
from projectone.server.serve.initialise import initialise
from projectone.server.settings import ServerSettings

BEGAN_AT = datetime(2026, 11, 1, tzinfo=UTC)
N_PEOPLE = 100
_AT_ONCE = 500


@contextlib.contextmanager
def a_corpus(home: Path, n_samples: int, clip_sha256s: Sequence[str], duration_s: float) -> Iterator[Catalog]:
    """A catalog of so many samples that wait, of a hundred people, no two texts alike; it names these clips in turn."""
    settings = ServerSettings.from_env({"PROJECTONE_SERVER_HOME": str(home)})
    initialise(settings)
    engine = open_engine(settings.database_url)
    catalog = open_catalog(settings, engine)
    consents = [_consent(catalog, f"person-{number}") for number in range(N_PEOPLE)]
    rows = _rows(catalog, consents, n_samples, clip_sha256s, duration_s)
    while some := list(islice(rows, _AT_ONCE)):
        with writing(engine) as connection:
            connection.execute(insert(SAMPLES), some)
    try:
        yield catalog
    finally:
        engine.dispose()


def _consent(catalog: Catalog, person: str) -> ConsentReceipt:
    receipt = ConsentReceipt(
        receipt_id=uuid.uuid4(),
        contributor_id=person,
        scope="corrections",
        text_version=CONSENT_TEXTS["corrections"].version,
        method="cli",
        granted_at=BEGAN_AT,
    )
    return catalog.grant(receipt, BEGAN_AT)


def _rows(
    catalog: Catalog, consents: Sequence[ConsentReceipt], n_samples: int, clips: Sequence[str], duration_s: float
) -> Iterator[dict[str, Any]]:
    for number in range(n_samples):
        consent, clip_sha256 = consents[number % len(consents)], clips[number % len(clips)]
        correction = Correction(
            sample_id=uuid.uuid4(),
            contributor_id=consent.contributor_id,
            kind="correction",
            audio=AudioClip(
                sha256=sha256_hex(b"%d" % number), size_bytes=32_044, sample_rate_hz=16_000, duration_s=duration_s
            ),
            text=f"this is what somebody said {number}",
            heard=f"this is what a model heard {number}",
            consent_receipt_id=consent.receipt_id,
            recorded_at=BEGAN_AT,
        )
        kept = {"clip_sha256": clip_sha256, "duration_s": duration_s, "state": "waiting"}
        at = BEGAN_AT + timedelta(seconds=number)
        yield sealed_row(correction, "device", catalog.vault) | kept | {"received_at": at}
