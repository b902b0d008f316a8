"""What the server signs about a dataset, and the proof that one sample is in it or is not: checked without the server.

A snapshot is one sealed list of samples. Its manifest is signed and holds the Merkle root over one leaf for each
sample, sorted by the sample's key. The key is a digest of the sample's id, so whoever knows the id can look for it; the
commitment beside it is salted, so nobody else learns from a leaf which clip and which text it stands for. Sorted leaves
can prove absence too: the two leaves between which the sample would stand are neighbours.
"""

from __future__ import annotations

import hashlib
from typing import Literal
from uuid import UUID

from pydantic import Field

from projectone.contracts.base import Contract, Moment, Name, Sha256
from projectone.contracts.merkle import holds
from projectone.errors import ContractError

SplitKind = Literal["speakers", "clips", "none"]
"""How the held-back part is kept apart: whole speakers, clips of every speaker where speakers are few, or no part."""

_KEY_CONTEXT = b"projectone sample key 1\n"
_COMMITMENT_CONTEXT = b"projectone sample commitment 1\n"
_HELD_BACK, _NEW = 1, 2
LEAF_BYTES = 65


class SnapshotManifest(Contract):
    """One immutable dataset, in figures that name nobody.

    Attributes:
        dataset_sha256: The sealed list of samples.
        merkle_root: Over the leaves, sorted by key.
        n_train: Samples to learn from.
        n_dev: Samples held back to choose the checkpoint.
        split: How those two are kept apart.
        replaces: Digest of the manifest of which this is a re-issue, without what was withdrawn since.
        n_withdrawn: How many samples that one held more.
    """

    schema_version: Literal[1] = 1
    dataset_sha256: Sha256
    merkle_root: Sha256
    made_at: Moment
    n_train: int = Field(ge=0)
    n_dev: int = Field(ge=0)
    n_speakers: int = Field(ge=0)
    audio_s: float = Field(ge=0)
    split: SplitKind
    replaces: Sha256 | None = None
    n_withdrawn: int = Field(default=0, ge=0)

    @property
    def n_samples(self) -> int:
        """All of them: the leaves of the tree."""
        return self.n_train + self.n_dev


class SignedSnapshot(Contract):
    """A manifest's exact bytes and an Ed25519 signature over them (both in base64), by the key that signs releases."""

    manifest: str
    key_id: Name
    signature: str


class Opening(Contract):
    """What a commitment stands for. Whoever sent the sample can compare it with what they sent."""

    consent_receipt_id: UUID
    clip_sha256: Sha256
    text_sha256: Sha256
    salt: Sha256


class Leaf(Contract):
    """One sample of a snapshot, as everybody may see it."""

    key: Sha256
    commitment: Sha256
    is_held_back: bool
    is_new: bool

    def to_leaf_bytes(self) -> bytes:
        """The bytes that the tree is made over."""
        flags = _HELD_BACK * self.is_held_back | _NEW * self.is_new
        return bytes.fromhex(self.key) + bytes.fromhex(self.commitment) + bytes([flags])

    @classmethod
    def from_leaf_bytes(cls, content: bytes) -> Leaf:
        """The leaf that these bytes are.

        Raises:
            ContractError: if they are none.
        """
        if len(content) != LEAF_BYTES or content[-1] > _HELD_BACK | _NEW:
            raise ContractError(f"leaf: expected {LEAF_BYTES} bytes that end in flags, got {len(content)}")
        return cls(
            key=content[:32].hex(),
            commitment=content[32:64].hex(),
            is_held_back=bool(content[-1] & _HELD_BACK),
            is_new=bool(content[-1] & _NEW),
        )


class Place(Contract):
    """A leaf, where it stands, and the way from it to the root."""

    index: int = Field(ge=0)
    leaf: Leaf
    path: tuple[Sha256, ...]


class MembershipProof(Contract):
    """Whether a sample is in a snapshot, with everything needed to check the answer.

    Attributes:
        snapshot: The signed manifest that the answer is about.
        places: The sample's own, or those between which it would stand.
        opening: What the sample's commitment stands for; gone from the server once the sample is withdrawn.
    """

    schema_version: Literal[1] = 1
    sample_id: UUID
    snapshot: SignedSnapshot
    places: tuple[Place, ...] = Field(max_length=2)
    opening: Opening | None = None


def sample_key(sample_id: UUID) -> str:
    """Where a sample stands among the leaves."""
    return hashlib.sha256(_KEY_CONTEXT + sample_id.bytes).hexdigest()


def commitment_of(sample_id: UUID, opening: Opening) -> str:
    """The salted digest of what a sample is."""
    facts = (opening.clip_sha256, opening.text_sha256)
    content = sample_id.bytes + opening.consent_receipt_id.bytes + b"".join(map(bytes.fromhex, facts))
    return hashlib.sha256(_COMMITMENT_CONTEXT + bytes.fromhex(opening.salt) + content).hexdigest()


def is_member(proof: MembershipProof, manifest: SnapshotManifest) -> bool:
    """Whether the sample is in the snapshot, as the proof shows.

    Args:
        proof: What was answered.
        manifest: What `verify_snapshot` gave for `proof.snapshot`.

    Raises:
        ContractError: if the proof does not show what it says.
    """
    for place in proof.places:
        if not holds(
            place.leaf.to_leaf_bytes(),
            index=place.index,
            n_leaves=manifest.n_samples,
            path=[bytes.fromhex(step) for step in place.path],
            root=bytes.fromhex(manifest.merkle_root),
        ):
            raise ContractError(f"proof: no way leads from leaf {place.index} to the signed root")
    key = sample_key(proof.sample_id)
    own = [place for place in proof.places if place.leaf.key == key]
    if own:
        if proof.opening is not None and commitment_of(proof.sample_id, proof.opening) != own[0].leaf.commitment:
            raise ContractError("proof: the opening is not what the leaf commits to")
        return True
    _check_gap(proof, manifest, key)
    return False


def _check_gap(proof: MembershipProof, manifest: SnapshotManifest, key: str) -> None:
    """The places are neighbours, and the sample would stand between them; before the first and after the last, one."""
    places = sorted(proof.places, key=lambda place: place.index)
    before = [place for place in places if place.leaf.key < key]
    after = [place for place in places if place.leaf.key > key]
    if len(before) > 1 or len(after) > 1:
        raise ContractError("proof: expected at most one leaf on either side of the sample")
    next_index = before[0].index + 1 if before else 0
    found = after[0].index if after else manifest.n_samples
    if next_index != found:
        raise ContractError(f"proof: expected leaf {next_index} to follow the gap, got leaf {found}")
