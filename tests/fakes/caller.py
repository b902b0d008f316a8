"""A device as the server sees it: a key, a person, signed requests. Works on a test client and on a real connection."""

from __future__ import annotations

import base64
import time
import uuid
from datetime import UTC, datetime
from typing import Any, Protocol

import numpy as np
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from projectone.contracts import endpoints
from projectone.contracts.assist import IntentCorrection
from projectone.contracts.audio import AudioClip
from projectone.contracts.base import sha256_hex
from projectone.contracts.consent import ConsentReceipt, ConsentScope
from projectone.contracts.corrections import Correction, Sample
from projectone.contracts.devices import Enrolment
from projectone.contracts.signatures import public_key_text, sign_request
from projectone.waveform.wav import encode_wav

SAID_AT = datetime(2026, 11, 1, 12, tzinfo=UTC)


class Http(Protocol):
    """The part of an HTTP client that is used here."""

    def request(self, method: str, url: str, *, headers: dict[str, str], content: bytes) -> Any:
        """Send a request."""
        ...


def a_clip(seed: int = 0, duration_s: float = 0.3, rate: int = 16000) -> bytes:
    """A short WAV file that passes every check."""
    t = np.arange(int(duration_s * rate)) / rate
    swell = np.sin(np.pi * t / duration_s) ** 2
    return encode_wav((0.4 * swell * np.sin(2 * np.pi * (150 + 10 * seed) * t)).astype(np.float32), rate)


class Caller:
    """One device of one person."""

    def __init__(self, http: Http, enrolment_code: str, name: str = "ada", *, contributor: str | None = None) -> None:
        self.http = http
        self.enrolment_code = enrolment_code
        self.device_id = f"device-{name}"
        self.contributor_id = contributor or f"person-{name}"
        self.key = Ed25519PrivateKey.from_private_bytes(name.encode().ljust(32, b"."))
        self.consent_id = uuid.uuid5(uuid.NAMESPACE_OID, f"consent {name}")

    def enrol(self, **changes: str) -> Any:
        """Introduce the device."""
        values = {
            "device_id": self.device_id,
            "contributor_id": self.contributor_id,
            "public_key": public_key_text(self.key),
            "enrolment_code": self.enrolment_code,
        } | changes
        return self.http.request(
            "POST", endpoints.DEVICES, headers={}, content=Enrolment.model_validate(values).to_bytes()
        )

    def grant(self, scope: ConsentScope = "corrections", **changes: Any) -> Any:
        """Send the consent."""
        receipt = self.receipt(scope, **changes)
        return self.signed("PUT", endpoints.consent(self.consent_id), receipt.to_bytes())

    def receipt(self, scope: ConsentScope = "corrections", **changes: Any) -> ConsentReceipt:
        """The consent of this person."""
        values = {
            "receipt_id": self.consent_id,
            "contributor_id": self.contributor_id,
            "scope": scope,
            "text_version": 1,
            "method": "cli",
            "granted_at": SAID_AT,
        }
        return ConsentReceipt.model_validate(values | changes)

    def withdraw(self) -> Any:
        """Take the consent back."""
        return self.signed("DELETE", endpoints.consent(self.consent_id))

    @property
    def intents_id(self) -> uuid.UUID:
        """The consent under which this person sends corrected intents."""
        return uuid.uuid5(uuid.NAMESPACE_OID, f"consent of {self.contributor_id} to intents")

    def grant_intents(self) -> Any:
        """Send that consent."""
        receipt = self.receipt("intents", receipt_id=self.intents_id)
        return self.signed("PUT", endpoints.consent(self.intents_id), receipt.to_bytes())

    def withdraw_intents(self) -> Any:
        """Take it back."""
        return self.signed("DELETE", endpoints.consent(self.intents_id))

    def intent(self, text: str, label: str | None = "weather", *, name: str = "", **changes: Any) -> IntentCorrection:
        """The metadata of a corrected intent."""
        values = {
            "sample_id": uuid.uuid5(uuid.NAMESPACE_OID, f"{self.device_id} intent {name or text}"),
            "contributor_id": self.contributor_id,
            "text": text,
            "label": label,
            "guessed": "timer",
            "guessed_by": "1.0.0",
            "consent_receipt_id": self.intents_id,
            "corrected_at": SAID_AT,
        }
        return IntentCorrection.model_validate(values | changes)

    def put_intent(self, text: str, label: str | None = "weather", *, name: str = "", **changes: Any) -> Any:
        """Send a corrected intent."""
        intent = self.intent(text, label, name=name, **changes)
        return self.put_raw(intent, intent.payload)

    def correction(self, clip: bytes, text: str = "seven", *, name: str = "first", **changes: Any) -> Correction:
        """The metadata of a sample."""
        audio = {
            "sha256": sha256_hex(clip),
            "size_bytes": len(clip),
            "sample_rate_hz": 16000,
            "duration_s": max(0.01, (len(clip) - 44) / 32000),
        } | changes.pop("audio", {})
        values = {
            "sample_id": uuid.uuid5(uuid.NAMESPACE_OID, f"{self.device_id} {name}"),
            "contributor_id": self.contributor_id,
            "kind": "correction",
            "audio": AudioClip.model_validate(audio),
            "text": text,
            "heard": "eleven",
            "consent_receipt_id": self.consent_id,
            "recorded_at": SAID_AT,
        }
        return Correction.model_validate(values | changes)

    def put(self, clip: bytes, text: str = "seven", *, name: str = "first", **changes: Any) -> Any:
        """Send a sample."""
        return self.put_raw(self.correction(clip, text, name=name, **changes), clip)

    def put_raw(self, sample: Sample, payload: bytes, *, metadata: bytes | None = None) -> Any:
        """Send a sample whose metadata may be anything."""
        header = base64.urlsafe_b64encode(metadata or sample.to_bytes()).decode()
        return self.signed("PUT", endpoints.sample(sample.sample_id), payload, sample_header=header)

    def signed(
        self,
        method: str,
        path: str,
        body: bytes = b"",
        *,
        sample_header: str = "",
        created_s: int | None = None,
        changes: dict[str, str] | None = None,
    ) -> Any:
        """Send a signed request; `changes` are made to its headers after it was signed."""
        headers = sign_request(
            self.key,
            method=method,
            path=path.partition("?")[0],
            query=path.partition("?")[2],
            body=body,
            device_id=self.device_id,
            created_s=int(time.time()) if created_s is None else created_s,
            sample_header=sample_header,
        )
        return self.http.request(method, path, headers=headers | (changes or {}), content=body)
