"""Paths, headers and limits that the server mounts and the device calls."""

from __future__ import annotations

from typing import Final
from uuid import UUID

DEVICES: Final = "/v1/devices"
SAMPLES: Final = "/v1/samples"
CONSENTS: Final = "/v1/consents"
UPLOAD_TRAINING_DATA: Final = "/upload-training-data"
LATEST_MODEL_INFO: Final = "/latest-model-info"
RELEASES: Final = "/v1/releases"
SIGNED_METADATA: Final = "/tuf/metadata"
"""Below it the signed metadata of releases, as The Update Framework names its files."""
SIGNED_DOCUMENTS: Final = "/tuf/targets"
"""Below it what that metadata lists, each file named by its digest."""
SCRIPTS: Final = "/v1/scripts"
POLICIES: Final = "/v1/policies"
AUDIT_CHECKPOINT: Final = "/v1/audit/checkpoint"
AUDIT_CONSISTENCY: Final = "/v1/audit/consistency"
AUDIT_ENTRIES: Final = "/v1/audit/entries"
REVIEW_QUEUE: Final = "/v1/review/queue"
REVIEW_DECISIONS: Final = "/v1/review/decisions"
RUNS: Final = "/v1/runs"
APPROVALS: Final = "/v1/approvals"
APPROVAL_ANSWERS: Final = "/v1/approvals/answers"
HEALTH_TICKETS: Final = "/v1/health/tickets"
HEALTH_REPORTS: Final = "/v1/health/reports"
QUALITY_TICKETS: Final = "/v1/quality/tickets"
QUALITY_REPORTS: Final = "/v1/quality/reports"
LIVE: Final = "/health/live"
READY: Final = "/health/ready"

QUALITY_TICKET_HEADER: Final = "X-Quality-Ticket"
"""The signature over a quality report's body (base64): the body is the whole report, as it was shown before."""

DEVICE_ID_HEADER: Final = "X-Device-Id"
SAMPLE_HEADER: Final = "X-Sample"
"""The `Correction` or `IntentCorrection` as canonical JSON in base64url: metadata and payload travel in one request."""

MAX_SAMPLE_HEADER_BYTES: Final = 24 * 1024
MAX_BATCH_BYTES: Final = 256 * 1024 * 1024
MAX_BATCH_ITEMS: Final = 10_000


def quality_week(week: str) -> str:
    """Path of what reports about a week are signed with: GET it."""
    return f"/v1/quality/weeks/{week}"


def sample(sample_id: UUID) -> str:
    """Path of one sample: PUT it, GET what became of it, or DELETE it."""
    return f"{SAMPLES}/{sample_id}"


def uses(sample_id: UUID) -> str:
    """Path of what the server signs about the models that learned from a sample: GET it as often as you like."""
    return f"{sample(sample_id)}/uses"


def consent(receipt_id: UUID) -> str:
    """Path of one consent: PUT the receipt, DELETE to withdraw."""
    return f"{CONSENTS}/{receipt_id}"


def erasure(receipt_id: UUID) -> str:
    """Path of what the server signs about a withdrawn consent: GET it as often as you like."""
    return f"{consent(receipt_id)}/erasure"


def release_package(package_sha256: str) -> str:
    """Path of one package, by its digest: it never changes, so it can be cached for ever."""
    return f"{RELEASES}/{package_sha256}.zip"


def release_update(sha256: str) -> str:
    """Path of what turns an earlier release's weights into a later one's, by its digest."""
    return f"{RELEASES}/{sha256}.delta"
