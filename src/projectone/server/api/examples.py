"""One value of every contract that a device sends or gets, as OpenAPI shows it: each is a real one, and short."""

from __future__ import annotations

import base64
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, Final
from uuid import UUID

from projectone.contracts.base import Contract
from projectone.contracts.checkpoints import ProvenCheckpoint, SignedCheckpoint
from projectone.contracts.consent import ConsentReceipt
from projectone.contracts.devices import Enrolment, EnrolmentReceipt
from projectone.contracts.endpoints import SIGNED_METADATA, release_package
from projectone.contracts.erasures import SignedErasure
from projectone.contracts.health import HealthCounts, HealthReport, HealthTicket, TicketAnswer, TicketRequest
from projectone.contracts.policies import SignedPolicies
from projectone.contracts.quality import QualityReport, QualityTicketRequest, QualityWeek
from projectone.contracts.releases import DEFAULT_TIER, LatestModelInfo, release_path
from projectone.contracts.scripts import SignedScripts
from projectone.contracts.uploads import BatchReceipt, Problem, Refusal, SampleDeletion, SampleState, UploadReceipt
from projectone.contracts.uses import SignedUses

_AT: Final = datetime(2026, 11, 22, 12, tzinfo=UTC)
_RECEIPT: Final = UUID("11111111-2222-4333-8444-555555555555")
_SAMPLE: Final = UUID("99999999-8888-4777-8666-555555555555")
_DIGEST: Final = "5f70bf18a086007016e948b04aed3b82103a36bea41755b6cddfaf10ace3c6ef"
# Of the right length; what they are over is not shown.
_KEY: Final = base64.b64encode(bytes(32)).decode()
_SIGNATURE: Final = base64.b64encode(bytes(64)).decode()
_RSA: Final = base64.b64encode(bytes(256)).decode()
_SIGNED: Final = {"key_id": "0f3b1c9d2e4a5b6c", "signature": _SIGNATURE}
_DOCUMENT: Final = base64.b64encode(b'{"...":"canonical JSON"}').decode()

_VALUES: Final[tuple[Contract, ...]] = (
    Enrolment(device_id="d-3f2a91c0", contributor_id="c-7b6e", public_key=_KEY, enrolment_code="letmein"),
    EnrolmentReceipt(device_id="d-3f2a91c0", enrolled_at=_AT),
    ConsentReceipt(
        receipt_id=_RECEIPT,
        contributor_id="c-7b6e",
        scope="corrections",
        text_version=2,
        method="web",
        granted_at=_AT,
    ),
    UploadReceipt(sample_id=_SAMPLE, sha256=_DIGEST, received_at=_AT),
    BatchReceipt(
        stored=(UploadReceipt(sample_id=_SAMPLE, sha256=_DIGEST, received_at=_AT),),
        refused=(Refusal(item="note.wav", reason="wav-empty", detail="WAV: expected sound, found none"),),
    ),
    SampleState(sample_id=_SAMPLE, state="waiting", received_at=_AT),
    SampleDeletion(sample_id=_SAMPLE, deleted_at=_AT),
    SignedErasure(receipt=_DOCUMENT, **_SIGNED),
    SignedUses(uses=_DOCUMENT, **_SIGNED),
    SignedScripts(sheet=_DOCUMENT, **_SIGNED),
    SignedPolicies(policies=_DOCUMENT, **_SIGNED),
    SignedCheckpoint(checkpoint=_DOCUMENT, **_SIGNED),
    ProvenCheckpoint(newest=SignedCheckpoint(checkpoint=_DOCUMENT, **_SIGNED), path=(_DIGEST,)),
    LatestModelInfo(
        version="1.2.0",
        url=release_package(_DIGEST),
        sha256=_DIGEST,
        size_bytes=9_034_112,
        seq=7,
        channel="stable",
        metadata_url=SIGNED_METADATA,
        release_path=release_path("stable", DEFAULT_TIER),
    ),
    TicketRequest(channel="stable", seq=7, side="with", blinded=_RSA),
    TicketAnswer(blind_signature=_RSA),
    HealthReport(
        channel="stable",
        seq=7,
        tier=DEFAULT_TIER,
        app_version="0.1.0",
        cohort="treated",
        phase="used",
        counts=HealthCounts(installs=1, speeds=(12, 3, 0, 0, 0, 0), corrections=2),
        ticket=HealthTicket(serial=_DIGEST, signature=_RSA),
    ),
    QualityTicketRequest(week="2026-W47", blinded=_RSA),
    QualityWeek(week="2026-W47", ticket_key=_RSA),
    QualityReport(
        week="2026-W47",
        channel="stable",
        model_version="1.2.0",
        tier=DEFAULT_TIER,
        app_version="0.1.0",
        histogram="duration",
        answer=3,
        nonce=_DIGEST,
    ),
    Problem(title="Conflict", status=409, reason="sample-conflict", detail="another sample has this id"),
)

EXAMPLES: Final[Mapping[str, Mapping[str, Any]]] = {
    type(value).__name__: value.model_dump(mode="json") for value in _VALUES
}
"""By the contract's name."""
