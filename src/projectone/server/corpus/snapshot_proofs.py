"""Whether a snapshot is still what its manifest says, and proofs about single samples of it."""

from __future__ import annotations

from bisect import bisect_left
from collections import defaultdict
from collections.abc import Mapping, Sequence
from uuid import UUID

from projectone.contracts.base import sha256_hex
from projectone.contracts.merkle import MerkleTree
from projectone.contracts.signatures import verify_snapshot
from projectone.contracts.snapshots import (
    Leaf,
    MembershipProof,
    Opening,
    Place,
    SnapshotManifest,
    commitment_of,
    sample_key,
)
from projectone.errors import ContractError, DataError, DigestMismatchError, SignatureError
from projectone.server.corpus.datasets import DatasetItem, read_dataset
from projectone.server.corpus.snapshots import Snapshot, Snapshots
from projectone.storage.blobs import BlobStore


def problems_of(
    snapshot: Snapshot, snapshots: Snapshots, blobs: BlobStore, trusted: Mapping[str, str]
) -> tuple[str, ...]:
    """What does not hold of a snapshot; nothing if all of it does.

    The signature, the order and the root of the leaves, every sample of the dataset against its leaf, the split, and of
    a re-issue, that it is the one before without some samples. A dataset that is gone because something in it was
    withdrawn is no problem: then the leaves are checked alone.

    Args:
        snapshot: What to check.
        snapshots: Know the salts, and the snapshot before a re-issue.
        blobs: Where the dataset lies.
        trusted: Key id to raw public key, base64.
    """
    try:
        manifest = verify_snapshot(trusted, snapshot.signed)
    except (SignatureError, ContractError) as error:
        return (str(error),)
    found = []
    if sha256_hex(manifest.to_bytes()) != snapshot.snapshot_id:
        found.append(f"manifest: expected digest {snapshot.snapshot_id}, got {sha256_hex(manifest.to_bytes())}")
    found += _problems_of_leaves(snapshot.leaves, manifest)
    if manifest.replaces is not None:
        found += _problems_of_reissue(snapshot, snapshots.find(manifest.replaces))
    if snapshot.replaced_by is None and manifest.n_samples:
        try:
            items = read_dataset(snapshots.catalog, blobs, manifest.dataset_sha256)
        except (DataError, DigestMismatchError) as error:
            found.append(str(error))
        else:
            found += _problems_of_items(items, snapshot.leaves, manifest, snapshots)
    return tuple(found)


def prove(snapshot: Snapshot, sample_id: UUID, openings: Mapping[UUID, Opening]) -> MembershipProof:
    """Whether a sample is in a snapshot, as a proof that needs nothing but the server's public key to be checked.

    Args:
        snapshot: The snapshot.
        sample_id: Whose key is looked for.
        openings: The sample's, if it is known; see `openings_of`.
    """
    key = sample_key(sample_id)
    keys = [leaf.key for leaf in snapshot.leaves]
    tree = MerkleTree(leaf.to_leaf_bytes() for leaf in snapshot.leaves)
    at = bisect_left(keys, key)
    is_in = at < len(keys) and keys[at] == key
    wanted = [at] if is_in else [index for index in (at - 1, at) if 0 <= index < len(keys)]
    places = tuple(
        Place(index=index, leaf=snapshot.leaves[index], path=tuple(step.hex() for step in tree.path(index)))
        for index in wanted
    )
    return MembershipProof(
        sample_id=sample_id,
        snapshot=snapshot.signed,
        places=places,
        opening=openings.get(sample_id) if is_in else None,
    )


def openings_of(snapshots: Snapshots, items: Sequence[DatasetItem]) -> dict[UUID, Opening]:
    """What the commitments of these samples stand for; none for a sample that was withdrawn."""
    texts = {UUID(item.sample_id): (item.clip_sha256, item.text) for item in items}
    return snapshots.openings(texts)


def _problems_of_leaves(leaves: Sequence[Leaf], manifest: SnapshotManifest) -> list[str]:
    found = []
    keys = [leaf.key for leaf in leaves]
    if any(keys[i] >= keys[i + 1] for i in range(len(keys) - 1)):
        found.append("leaves: expected rising keys; absence could not be proved")
    n_dev = sum(leaf.is_held_back for leaf in leaves)
    if (len(leaves) - n_dev, n_dev) != (manifest.n_train, manifest.n_dev):
        found.append(
            f"leaves: expected {manifest.n_train} to learn from and {manifest.n_dev} held back, "
            f"got {len(leaves) - n_dev} and {n_dev}"
        )
    if MerkleTree(leaf.to_leaf_bytes() for leaf in leaves).root.hex() != manifest.merkle_root:
        found.append("leaves: their root is not the one that was signed")
    return found


def _problems_of_reissue(snapshot: Snapshot, before: Snapshot) -> list[str]:
    strangers = set(snapshot.leaves) - set(before.leaves)
    n_fewer = len(before.leaves) - len(snapshot.leaves)
    found = []
    if strangers:
        found.append(f"re-issue: {len(strangers)} leaves were not in the snapshot that it replaces")
    if n_fewer != snapshot.manifest.n_withdrawn:
        found.append(f"re-issue: expected {snapshot.manifest.n_withdrawn} samples fewer, got {n_fewer}")
    return found


def _problems_of_items(
    items: Sequence[DatasetItem], leaves: Sequence[Leaf], manifest: SnapshotManifest, snapshots: Snapshots
) -> list[str]:
    openings = openings_of(snapshots, items)
    expected = {leaf.key: leaf for leaf in leaves}
    found = []
    sides = defaultdict(set)
    for item in items:
        sample_id = UUID(item.sample_id)
        opening = openings.get(sample_id)
        leaf = expected.get(sample_key(sample_id))
        if opening is None:
            found.append(f"sample {item.sample_id}: its salt is gone, as after a withdrawal; re-issue the snapshot")
        elif leaf is None or leaf.commitment != commitment_of(sample_id, opening):
            found.append(f"sample {item.sample_id}: its clip and text are not what the signed leaf commits to")
        elif (leaf.is_held_back, leaf.is_new) != (item.split == "dev", item.is_new):
            found.append(f"sample {item.sample_id}: the signed leaf puts it into another part")
        sides[item.speaker].add(item.split)
    if len(items) != len(leaves):
        found.append(f"dataset: expected {len(leaves)} samples, got {len(items)}")
    shared = sum(len(own) > 1 for own in sides.values())
    if manifest.split == "speakers" and shared:
        found.append(f"split: {shared} speakers are on both sides")
    if len(sides) != manifest.n_speakers:
        found.append(f"dataset: expected {manifest.n_speakers} speakers, got {len(sides)}")
    return found
