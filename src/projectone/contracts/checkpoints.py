"""What the server signs about its audit log: whoever keeps one can tell later whether history was kept."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from projectone.contracts.base import Contract, Moment, Name, Sha256


class AuditCheckpoint(Contract):
    """The log as it was at one moment.

    `head_sha256` is the digest of entry `n_entries`, which binds all before it; of an empty log, 64 zeros.
    `merkle_root` (RFC 9162) is over the digests of all entries, so that one of them can be proved without the others.
    """

    schema_version: Literal[1] = 1
    n_entries: int = Field(ge=0)
    head_sha256: Sha256
    merkle_root: Sha256
    made_at: Moment


class SignedCheckpoint(Contract):
    """A checkpoint's exact bytes and an Ed25519 signature over them (both in base64)."""

    checkpoint: str
    key_id: Name
    signature: str


class ProvenCheckpoint(Contract):
    """The newest checkpoint, and what shows that its log begins with an earlier one (`is_prefix`).

    `path` is a consistency proof of RFC 9162 from the number of entries that was asked about; empty where there is
    nothing to show: of none, of as many, or of more than there are.
    """

    schema_version: Literal[1] = 1
    newest: SignedCheckpoint
    path: tuple[Sha256, ...] = Field(max_length=128)
