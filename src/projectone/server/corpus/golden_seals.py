"""What is sealed of a golden set: its leaves and the manifest over them, which names nobody and holds no copy."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any, Literal
from uuid import UUID

from projectone.contracts.base import canonical_json, sha256_hex
from projectone.contracts.merkle import MerkleTree
from projectone.contracts.signatures import verify_snapshot
from projectone.contracts.snapshots import SignedSnapshot, SnapshotManifest
from projectone.contracts.versions import DEFAULT_FAMILY, Family
from projectone.errors import EvaluationError, SignatureError
from projectone.server.corpus.datasets import speaker_of
from projectone.server.corpus.tables import ListedSample

Part = Literal["main", "canary"]
PARTS: tuple[Part, ...] = ("main", "canary")


def leaf_of(sample: ListedSample) -> str:
    """What is sealed of a sample: its payload, and its text as the keyed digest that says nothing without the key."""
    return sha256_hex(canonical_json([str(sample.sample_id), sample.clip_sha256, sample.text_mac]))


def manifest_of(
    version: int,
    part: Part,
    family: Family,
    samples: Sequence[ListedSample],
    leaves: Mapping[UUID, str],
    now: datetime,
) -> SnapshotManifest:
    """All of it is held back from training: a snapshot without a part to learn from."""
    root = _root(leaves.values())
    return SnapshotManifest(
        dataset_sha256=_name(version, part, family, root),
        merkle_root=root,
        made_at=now,
        n_train=0,
        n_dev=len(samples),
        n_speakers=len({speaker_of(sample.contributor_id) for sample in samples}),
        audio_s=round(sum(sample.duration_s for sample in samples), 3),
        split="speakers",
    )


def verified_manifest(found: Any, leaves: Mapping[UUID, str], trusted: Mapping[str, str]) -> SnapshotManifest:  # noqa: ANN401 - a row of GOLDEN_VERSIONS
    """The manifest of a version, if its signature holds and its leaves are those that were sealed.

    Raises:
        EvaluationError: if not.
    """
    try:
        manifest = verify_snapshot(trusted, SignedSnapshot.from_bytes(found.signed.encode()))
    except SignatureError as error:
        raise EvaluationError(f"golden set {found.version}: {error}") from error
    root = _root(leaves.values())
    if (manifest.merkle_root, manifest.dataset_sha256) != (root, _name(found.version, found.part, found.family, root)):
        raise EvaluationError(f"golden set {found.version}: its clips are not those that were sealed")
    return manifest


def _root(leaves: Iterable[str]) -> str:
    return MerkleTree(bytes.fromhex(leaf) for leaf in sorted(leaves)).root.hex()


def _name(version: int, part: str, family: str, root: str) -> str:
    """Sets of speech are named as before there were families."""
    others = [] if family == DEFAULT_FAMILY else [family]
    return sha256_hex(canonical_json(["golden set", version, part, root, *others]))
