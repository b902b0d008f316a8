"""What the server signs about an erasure: what went, what learned from it before, and what erasing does not reach."""

from __future__ import annotations

from typing import Literal
from uuid import UUID

from pydantic import Field

from projectone.contracts.base import Contract, Moment, Name, Sha256
from projectone.contracts.consent import KEY_BACKUPS_DAYS, ConsentScope

ERASURE_LIMITS: tuple[str, ...] = (
    "Models are not edited: one that was released before the withdrawal stays on the devices that have it, until they "
    "install the release that replaces it. Releases that were trained later did not use what was erased.",
    "A model hub keeps the history of what was published to it.",
    "Sound and words were sealed with a key of this consent, and that key is destroyed: backups of them cannot be "
    f"read. A backup of the keys themselves could open them, and is to be kept {KEY_BACKUPS_DAYS} days at most. The "
    "server warns its operator of older backups in the folders that it was told of; it reaches no other copy and "
    "deletes none. Backups of models, and copies that were exported, last as long as the operator keeps them.",
    "The number of the samples, their ids and lengths, the consent and its withdrawal are kept: so that an id is not "
    "used again, and so that this receipt can be given.",
)
"""What a receipt says beside its facts, so that nobody takes it for more than it is."""


class LearnedRelease(Contract):
    """A release whose model learned from something that was erased later.

    `replaced_by` is the next release of its channel that did not; None as long as there is none. `replace_by` is the
    date by which there is one: retrained without what was erased, or else an earlier model again.
    """

    channel: Name
    version: str
    weights_sha256: Sha256
    released_at: Moment
    replaced_by: str | None = None
    replaced_at: Moment | None = None
    replace_by: Moment | None = None


class ReissuedSnapshot(Contract):
    """A signed manifest of a dataset that named an erased sample, and the one that stands in its place without it."""

    snapshot_id: Sha256
    dataset_sha256: Sha256
    made_at: Moment
    reissued_as: Sha256 | None = None


class ErasureReceipt(Contract):
    """What became of everything that was sent under one consent, at the moment the receipt was made.

    Attributes:
        receipt_id: The consent that was withdrawn.
        issued_at: When this was found out; a later receipt may know of more replaced releases.
        n_samples: Samples whose words and sound are gone.
        n_memories: Memories that products keep of this person here, where a product said whose they are, and that went
            with this consent because it was the last one. Where there are none the field is not there: apps of before
            it read the receipt.
        dataset_sha256s: Every sealed dataset that named one of them.
        snapshots: The signed manifests of those datasets, each with the one re-issued without the samples.
        is_complete: Whether sound, datasets and those memories are gone, every snapshot is re-issued, and no training
            run holds one of the samples any more. A run that was at work ends without a release; ask again.
        releases: Models that learned from a sample and were released before the withdrawal.
        limits: What erasing does not reach.
    """

    schema_version: Literal[1] = 1
    receipt_id: UUID
    contributor_id: Name
    scope: ConsentScope
    granted_at: Moment
    withdrawn_at: Moment
    issued_at: Moment
    n_samples: int = Field(ge=0)
    n_memories: int = Field(default=0, ge=0, exclude_if=lambda n_memories: n_memories == 0)
    dataset_sha256s: tuple[Sha256, ...] = ()
    snapshots: tuple[ReissuedSnapshot, ...] = ()
    is_complete: bool
    releases: tuple[LearnedRelease, ...] = ()
    limits: tuple[str, ...] = ERASURE_LIMITS


class SignedErasure(Contract):
    """A receipt's exact bytes and an Ed25519 signature over them (both in base64), by the key that signs releases."""

    receipt: str
    key_id: Name
    signature: str
