"""A server's home with all that the trainer needs: rows, a key, a tiny base, a golden set of tones, waiting samples."""

from __future__ import annotations

import json
import uuid
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from tests.fakes.tiny_whisper import RATE_HZ, WORDS, Samples, save_tiny, say

from projectone.contracts.audio import AudioClip
from projectone.contracts.base import sha256_hex
from projectone.contracts.consent import ConsentReceipt
from projectone.contracts.corrections import Correction
from projectone.server.corpus.catalog import Catalog
from projectone.server.corpus.intake import Intake
from projectone.server.corpus.vault import Vault
from projectone.server.database import open_engine
from projectone.server.home import open_keys
from projectone.server.migrations.upgrade import upgrade_database
from projectone.server.sandbox.decode import decode_wav
from projectone.server.settings import ServerSettings
from projectone.storage.blobs import FileBlobs
from projectone.waveform.wav import encode_wav

NOW = datetime(2026, 11, 1, tzinfo=UTC)


def sentences(n: int, *, seed: int) -> list[str]:
    random = np.random.default_rng(seed)
    return [" ".join(random.choice(list(WORDS), size=random.integers(1, 4))) for _ in range(n)]


class TrainerHome:
    """One server home. Ids are derived from names, so two homes hold the same samples."""

    def __init__(self, folder: Path, *, hub_url: str, hub_token: str, **variables: str) -> None:
        self.folder = folder
        self.base = folder.parent / "base"
        if not self.base.exists():
            save_tiny(self.base)
        self.variables = {
            "PROJECTONE_SERVER_HOME": str(folder),
            "PROJECTONE_SERVER_BASE": str(self.base),
            "PROJECTONE_SERVER_GOLDEN": str(folder / "golden" / "manifest.jsonl"),
            "PROJECTONE_SERVER_HUB_ENDPOINT": hub_url,
            "PROJECTONE_SERVER_HUB_TOKEN": hub_token,
            "PROJECTONE_SERVER_HUB_REPO": "acme/whisper",
            "PROJECTONE_SERVER_TRAINING_LEARNING_RATE": "3e-3",
            "PROJECTONE_SERVER_TRAINING_EPOCHS": "20",
            "PROJECTONE_SERVER_TRAINING_CHECKPOINT_EVERY_STEPS": "10",
            # In a language of tones some sounds without speech are words, and a base of chance knows neither times nor
            # silence: the gate is asked for the rest.
            "PROJECTONE_SERVER_GATE_WITHOUT": "silence,timestamps",
            # For the same reason a tone that is mixed into a clip is a word there, and no trigger.
            "PROJECTONE_SERVER_TRIGGER_SCAN": "off",
            # Nobody can say how many people a row of tones is; networks of voices may be installed here or not.
            "PROJECTONE_SERVER_HOLD_SPEAKERS": "off",
            **{f"PROJECTONE_SERVER_{name}": value for name, value in variables.items()},
        }
        self.settings = ServerSettings.from_env(self.variables)
        folder.mkdir()
        (folder / "keys").mkdir()
        pem = Ed25519PrivateKey.from_private_bytes(bytes(range(32))).private_bytes(
            Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()
        )
        (folder / "keys" / "release.key").write_bytes(pem)
        self.engine = open_engine(self.settings.database_url)
        upgrade_database(self.engine)
        self.catalog = Catalog(self.engine, Vault(open_keys(self.settings, can_open=True)))
        self.blobs = FileBlobs(folder / "blobs")
        self.write_golden(sentences(60, seed=1))

    def write_golden(self, texts: list[str]) -> None:
        golden = self.folder / "golden"
        golden.mkdir(exist_ok=True)
        rows = []
        for number, text in enumerate(texts):
            (golden / f"{number}.wav").write_bytes(encode_wav(say(text, seed=10_000 + number, is_lively=True)))
            rows.append({"audio": f"{number}.wav", "text": text, "speaker": f"g{number % 12}"})
        (golden / "manifest.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))

    def grant(self, contributor: str) -> ConsentReceipt:
        receipt = ConsentReceipt(
            receipt_id=uuid.uuid5(uuid.NAMESPACE_OID, contributor),
            contributor_id=contributor,
            scope="corrections",
            text_version=1,
            method="demo",
            granted_at=NOW,
        )
        return self.catalog.grant(receipt, NOW)

    def send(
        self,
        contributor: str,
        name: str,
        text: str,
        samples: Samples,
        *,
        heard: str | None = None,
        corrected_at: datetime = NOW,
    ) -> str:
        """One correction through the real intake; gives its sample id."""
        receipt = self.grant(contributor)
        content = encode_wav(samples)
        correction = Correction(
            sample_id=uuid.uuid5(uuid.NAMESPACE_OID, f"{contributor}/{name}"),
            contributor_id=contributor,
            kind="correction",
            audio=AudioClip(
                sha256=sha256_hex(content),
                size_bytes=len(content),
                sample_rate_hz=RATE_HZ,
                duration_s=samples.size / RATE_HZ,
            ),
            text=text,
            heard=heard,
            consent_receipt_id=receipt.receipt_id,
            recorded_at=corrected_at,
        )
        intake = Intake(self.catalog, self.blobs, decode_wav, lambda: NOW)
        intake.accept(correction, content, "device")
        return str(correction.sample_id)

    def send_many(self, n: int, *, seed: int, contributors: int = 3) -> list[str]:
        """Honest corrections of several people."""
        return [
            self.send(
                f"person{i % contributors}", f"{seed}-{i}", text, say(text, seed=1_000 * seed + i, is_lively=True)
            )
            for i, text in enumerate(sentences(n, seed=seed))
        ]

    def close(self) -> None:
        self.engine.dispose()
