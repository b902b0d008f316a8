"""What the server signs when a person asks which models learned from a sample of theirs."""

from __future__ import annotations

from typing import Literal
from uuid import UUID

from pydantic import Field

from projectone.contracts.base import Contract, Moment, Name, Sha256
from projectone.contracts.snapshots import MembershipProof


class ModelUse(Contract):
    """One released model, and whether it learned from the sample.

    Attributes:
        proof: That the sample is in the dataset which the model was trained on, or is not; None for a model that was
            not trained on samples here, such as the first one.
        snapshot_missing: Whether the model was trained here, before datasets had signed manifests: nothing is proved.
    """

    channel: Name
    version: str
    weights_sha256: Sha256
    released_at: Moment
    proof: MembershipProof | None = None
    snapshot_missing: bool = False


class SampleUses(Contract):
    """Which released models learned from one sample, the newest first, at the moment that this was signed.

    Attributes:
        models: The newest releases; of one model that was released twice, each.
        n_releases: How many releases there were; if these are more, the older ones are not named.
    """

    schema_version: Literal[1] = 1
    sample_id: UUID
    issued_at: Moment
    models: tuple[ModelUse, ...]
    n_releases: int = Field(ge=0)


class SignedUses(Contract):
    """The exact bytes of a `SampleUses` and an Ed25519 signature over them (both in base64), by the release key."""

    uses: str
    key_id: Name
    signature: str
