"""What the server answers to a sample: kept, or refused with a reason."""

from __future__ import annotations

from typing import Literal
from uuid import UUID

from projectone.contracts.base import Contract, Moment, Sha256


class UploadReceipt(Contract):
    """The sample is on the server's disk. The same request again gives the same receipt."""

    sample_id: UUID
    sha256: Sha256
    received_at: Moment


class Refusal(Contract):
    """One item that was not kept: a machine-readable reason, and a sentence for a person."""

    item: str
    reason: str
    detail: str


class BatchReceipt(Contract):
    """The answer to `/upload-training-data`: each pair of the batch was kept or has its reason."""

    stored: tuple[UploadReceipt, ...] = ()
    refused: tuple[Refusal, ...] = ()


class Problem(Contract):
    """An error answer, `application/problem+json` (RFC 9457)."""

    type: str = "about:blank"
    title: str
    status: int
    reason: str
    detail: str


class SampleDeletion(Contract):
    """A sample is erased at its person's wish, or refused if it still comes. The same again gives the same answer."""

    sample_id: UUID
    deleted_at: Moment


class SampleState(Contract):
    """What became of a sample, for the device that sent it; `held` waits for a person who looks at it."""

    sample_id: UUID
    state: Literal["waiting", "held", "used", "discarded", "quarantined", "erased"]
    reason: str | None = None
    received_at: Moment
