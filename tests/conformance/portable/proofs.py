"""Topics `proofs/trees` and `proofs/membership`: what one short root says about many leaves."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from tests.conformance.portable.signing import KEY, T0, TRUSTED
from tests.conformance.portable.topics import Case, Mistake, Topic, Value

import projectone.contracts.merkle as merkle
import projectone.contracts.signatures as signatures
import projectone.contracts.snapshots as snapshots
from projectone.contracts.merkle import MerkleTree
from projectone.contracts.snapshots import Leaf, MembershipProof, Opening, Place, SnapshotManifest
from projectone.errors import ContractError, SignatureError


def tree(given: Value) -> Value:
    """Root and paths of leaves."""
    made = MerkleTree([bytes.fromhex(leaf) for leaf in given["leaves"]])
    paths = [[step.hex() for step in made.path(index)] for index in range(len(given["leaves"]))]
    return {"root": made.root.hex(), "paths": paths}


_LEAVES = [f"{n:02x}" * n for n in range(9)]
_node = merkle.node_hash
TREES = Topic(
    name="proofs/trees",
    about="Merkle trees (RFC 9162): the root over the leaves (hex), and each leaf's path from the bottom up.",
    run=tree,
    cases=tuple(Case(f"{n} leaves", {"leaves": _LEAVES[:n]}) for n in (0, 1, 2, 3, 4, 5, 8, 9)),
    mistakes=(
        Mistake("leaves and nodes alike", merkle, "_LEAF", b"\x01"),
        Mistake("neighbours in any order", merkle, "node_hash", lambda *both: _node(*sorted(both))),
        Mistake("nothing before a leaf", merkle, "_LEAF", b""),
    ),
)  # fmt: skip

_IDS = [UUID(int=number << 96 | 7) for number in (1, 2, 3, 4, 5)]
_OPENING = Opening(consent_receipt_id=UUID(int=9), clip_sha256="ab" * 32, text_sha256="cd" * 32, salt="ef" * 32)
_SORTED = sorted(_IDS, key=snapshots.sample_key)
_OWN = [
    Leaf(
        key=snapshots.sample_key(sample_id),
        commitment=snapshots.commitment_of(sample_id, _OPENING),
        is_held_back=index == 1,
        is_new=index == 2,
    )
    for index, sample_id in enumerate(_SORTED)
]
_TREE = MerkleTree([leaf.to_leaf_bytes() for leaf in _OWN])
_SIGNED = signatures.sign_snapshot(
    KEY,
    SnapshotManifest(
        dataset_sha256="12" * 32,
        merkle_root=_TREE.root.hex(),
        made_at=T0,
        n_train=4,
        n_dev=1,
        n_speakers=2,
        audio_s=12.5,
        split="clips",
    ),
)


def membership(given: Value) -> Value:
    """Whether the proof shows that the sample is in the snapshot, or shows nothing."""
    try:
        proof = MembershipProof.model_validate(given["proof"])
        return {"is_member": snapshots.is_member(proof, signatures.verify_snapshot(given["trusted"], proof.snapshot))}
    except SignatureError:
        return {"refused": "signature"}
    except ContractError:
        return {"refused": "proof"}


def _place(index: int) -> Place:
    return Place(index=index, leaf=_OWN[index], path=tuple(step.hex() for step in _TREE.path(index)))


def _outside(position: int) -> UUID:
    """An id that would stand before the leaf at `position`."""
    keys = [leaf.key for leaf in _OWN]
    low, high = (keys[position - 1] if position else ""), (keys[position] if position < len(keys) else "g")
    return next(found for n in range(10_000) if low < snapshots.sample_key(found := UUID(int=n << 64 | 1)) < high)


def _case(name: str, sample_id: UUID, *indices: int, opening: Opening | None = None, **changes: Any) -> Case:
    places = tuple(_place(index).model_copy(update=changes) for index in indices)
    proof = MembershipProof(sample_id=sample_id, snapshot=_SIGNED, places=places, opening=opening)
    return Case(name, {"trusted": TRUSTED, "proof": proof.model_dump(mode="json")})


_OTHER_OPENING = _OPENING.model_copy(update={"text_sha256": "ce" * 32})
MEMBERSHIP = Topic(
    name="proofs/membership",
    about=(
        "Whether a sample is in a signed snapshot. First the signature over `proof.snapshot.manifest` (context "
        "`projectone dataset snapshot 1` and a newline), then the way of each place to the manifest's root. A leaf is "
        "65 bytes: key, commitment, flags (1 held back, 2 new). The key is SHA-256 over `projectone sample key 1`, a "
        "newline and the id's 16 bytes; the commitment is SHA-256 over `projectone sample commitment 1`, a newline, "
        "the salt, the id, the consent's id, the clip's digest and the text's digest. A sample that is not there "
        "stands between two neighbouring leaves, or before the first, or after the last."
    ),
    run=membership,
    cases=(
        *(_case(f"leaf {n} of 5", _SORTED[n], n) for n in range(5)),
        _case("with its opening", _SORTED[3], 3, opening=_OPENING),
        _case("with an opening of something else", _SORTED[3], 3, opening=_OTHER_OPENING),
        _case("between two leaves", _outside(2), 1, 2),
        _case("between two leaves, named in the other order", _outside(2), 2, 1),
        _case("before the first", _outside(0), 0),
        _case("after the last", _outside(5), 4),
        _case("between two that are no neighbours", _outside(2), 1, 3),
        _case("not before the first", _outside(1), 1),
        _case("not after the last", _outside(4), 3),
        _case("nothing is shown", _outside(2)),
        _case("a path that is cut", _SORTED[0], 0, path=_place(0).path[:-1]),
        _case("a path that goes on", _SORTED[0], 0, path=(*_place(0).path, "00" * 32)),
        _case("a leaf at another place", _SORTED[0], 0, index=1),
        _case("a leaf beyond the end", _SORTED[4], 4, index=5),
        _case("flags that were changed", _SORTED[1], 1, leaf=_OWN[1].model_copy(update={"is_held_back": False})),
        Case("a snapshot that nobody signed", {"trusted": {}, "proof": _case("", _SORTED[0], 0).input["proof"]}),
    ),
    mistakes=(
        Mistake("no look at the way", snapshots, "holds", lambda *_, **__: True),
        Mistake("no look at the gap", snapshots, "_check_gap", lambda *_: None),
        Mistake("no look at the opening", snapshots, "commitment_of", lambda sample_id, opening: next(
            leaf.commitment for leaf in _OWN if leaf.key == snapshots.sample_key(sample_id))),
        Mistake("the length of a path is not bounded", snapshots, "holds", lambda leaf, *, index, path, root, **_: any(
            merkle.holds(leaf, index=index, n_leaves=5, path=path[:n], root=root) for n in range(len(path) + 1))),
        Mistake("an id as text", snapshots, "sample_key", lambda sample_id: merkle.leaf_hash(
            str(sample_id).encode()).hex()),
    ),
)  # fmt: skip
