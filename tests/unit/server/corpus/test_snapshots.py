"""What was trained on can be named, checked and proved, also after somebody left (T45)."""

import uuid
from collections.abc import Sequence
from dataclasses import replace

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from tests.unit.server.corpus.conftest import Corpus
from tests.unit.server.corpus.test_datasets import item

from projectone.contracts.merkle import MerkleTree
from projectone.contracts.signatures import key_id_of, public_key_text, sign_snapshot, verify_snapshot
from projectone.contracts.snapshots import (
    Leaf,
    MembershipProof,
    Opening,
    Place,
    SnapshotManifest,
    commitment_of,
    is_member,
    sample_key,
)
from projectone.errors import ContractError, DataError, SignatureError
from projectone.server.corpus.datasets import DatasetItem, read_dataset, speaker_of
from projectone.server.corpus.retention import sweep, withdraw
from projectone.server.corpus.snapshot_proofs import openings_of, problems_of, prove
from projectone.server.corpus.snapshots import Snapshot, Snapshots
from projectone.server.corpus.tables import SampleRow

KEY = Ed25519PrivateKey.from_private_bytes(bytes(range(32)))
TRUSTED = {key_id_of(public_key_text(KEY)): public_key_text(KEY)}
OTHER_KEY = Ed25519PrivateKey.from_private_bytes(bytes(range(1, 33)))


def open_snapshots(corpus: Corpus) -> Snapshots:
    return Snapshots(
        corpus.catalog._engine,
        corpus.catalog,
        corpus.blobs,
        sign=lambda manifest: sign_snapshot(KEY, manifest),
        clock=corpus.tick,
    )


def items_of(rows: Sequence[SampleRow], held_back: Sequence[str] = ()) -> list[DatasetItem]:
    return [
        item(
            row,
            speaker=speaker_of(row.contributor_id),
            is_new=number % 2 == 0,
            split="dev" if row.contributor_id in held_back else "train",
        )
        for number, row in enumerate(rows)
    ]


def problems(corpus: Corpus, snapshots: Snapshots, snapshot: Snapshot) -> tuple[str, ...]:
    return problems_of(snapshot, snapshots, corpus.blobs, TRUSTED)


def send_four(corpus: Corpus) -> list[SampleRow]:
    return [corpus.send(person, f"word {n}", seed=n) for n, person in enumerate(("ada", "ada", "ben", "cleo"))]


def test_a_snapshot_says_in_signed_figures_what_it_holds(corpus: Corpus) -> None:
    snapshots = open_snapshots(corpus)
    snapshot = snapshots.seal(items_of(send_four(corpus), held_back=["cleo"]), split="speakers")
    manifest = verify_snapshot(TRUSTED, snapshot.signed)
    assert (manifest.n_train, manifest.n_dev, manifest.n_speakers, manifest.split) == (3, 1, 3, "speakers")
    assert manifest.audio_s == pytest.approx(1.2)
    assert problems(corpus, snapshots, snapshot) == ()
    assert snapshots.find(snapshot.snapshot_id[:8]) == snapshots.find(manifest.dataset_sha256[:8]) == snapshot
    text = snapshot.signed.to_bytes() + manifest.to_bytes() + b"".join(leaf.to_leaf_bytes() for leaf in snapshot.leaves)
    assert not any(word in text for word in (b"word", b"ada", b"ben", b"cleo")), "a manifest names nobody"


def test_the_same_list_again_is_the_same_snapshot(corpus: Corpus) -> None:
    snapshots = open_snapshots(corpus)
    items = items_of(send_four(corpus))
    assert snapshots.seal(items, split="none") == snapshots.seal(items[::-1], split="none")
    assert len(snapshots.listed()) == 1


def test_a_manifest_of_another_key_or_with_a_changed_byte_is_refused(corpus: Corpus) -> None:
    snapshot = open_snapshots(corpus).seal(items_of(send_four(corpus)), split="none")
    with pytest.raises(SignatureError, match="expected one of"):
        verify_snapshot(TRUSTED, sign_snapshot(OTHER_KEY, snapshot.manifest))
    changed = sign_snapshot(KEY, snapshot.manifest.model_copy(update={"n_train": 5}))
    with pytest.raises(SignatureError, match="does not hold"):
        verify_snapshot(TRUSTED, changed.model_copy(update={"signature": snapshot.signed.signature}))


def test_verifying_finds_a_word_or_a_side_that_was_changed_behind_it(corpus: Corpus) -> None:
    snapshots = open_snapshots(corpus)
    items = items_of(send_four(corpus), held_back=["cleo"])
    snapshot = snapshots.seal(items, split="speakers")
    for change, what in (({"text": "poison"}, "something else"), ({"split": "dev"}, "another part")):
        forged = snapshots.seal([replace(items[0], **change), *items[1:]], split="speakers")
        behind = replace(
            snapshot, manifest=forged.manifest, signed=sign_snapshot(KEY, _with_dataset(snapshot.manifest, forged))
        )
        assert any(what in problem for problem in problems(corpus, snapshots, behind))
    strangers = replace(snapshot, leaves=snapshot.leaves[1:])
    assert any("root" in problem for problem in problems(corpus, snapshots, strangers))


def _with_dataset(manifest: SnapshotManifest, other: Snapshot) -> SnapshotManifest:
    return manifest.model_copy(update={"dataset_sha256": other.manifest.dataset_sha256})


def test_a_withdrawal_reissues_every_snapshot_without_the_person_and_proves_the_absence(corpus: Corpus) -> None:
    snapshots = open_snapshots(corpus)
    rows = send_four(corpus)
    first = snapshots.seal(items_of(rows[:3]), split="clips")
    second = snapshots.seal(items_of(rows, held_back=["cleo"]), split="speakers")
    kept = prove(second, rows[0].sample_id, openings_of(snapshots, items_of(rows)))
    untouched = snapshots.seal(items_of(rows[2:]), split="none")
    withdraw(corpus.catalog, corpus.blobs, corpus.consent("ada"), contributor_id="ada", now=corpus.tick())
    assert {made.replaced for made in snapshots.reissue_without("ada")} == {first.snapshot_id, second.snapshot_id}
    assert snapshots.reissue_without("ada") == snapshots.reissue_withdrawn() == [], "once is enough"
    now = snapshots.find(snapshots.find(second.snapshot_id).replaced_by or "")
    assert (now.manifest.n_train, now.manifest.n_dev, now.manifest.n_withdrawn) == (1, 1, 2)
    assert {i.text: i.split for i in read_dataset(corpus.catalog, corpus.blobs, now.manifest.dataset_sha256)} == {
        "word 2": "train",
        "word 3": "dev",
    }
    assert sweep(corpus.catalog, corpus.blobs) == 0
    for snapshot in snapshots.listed():
        assert problems(corpus, snapshots, snapshot) == ()
    for row in rows[:2]:
        assert not is_member(prove(now, row.sample_id, {}), now.manifest)
        assert openings_of(snapshots, items_of([row])) == {}, "its salt is gone"
    assert is_member(kept, verify_snapshot(TRUSTED, kept.snapshot)), "the person's own proof outlives the salt"
    assert kept.opening is not None
    assert snapshots.find(untouched.snapshot_id).replaced_by is None


def test_when_everybody_leaves_an_empty_snapshot_is_left(corpus: Corpus) -> None:
    snapshots = open_snapshots(corpus)
    row = corpus.send("ada")
    snapshots.seal(items_of([row]), split="none")
    withdraw(corpus.catalog, corpus.blobs, corpus.consent("ada"), contributor_id="ada", now=corpus.tick())
    (made,) = snapshots.reissue_withdrawn()
    empty = snapshots.find(made.snapshot_id)
    assert (empty.manifest.n_samples, problems(corpus, snapshots, empty)) == (0, ())
    assert not is_member(prove(empty, row.sample_id, {}), empty.manifest)


def test_an_unknown_snapshot_is_said_to_be_unknown(corpus: Corpus) -> None:
    with pytest.raises(DataError, match="expected the beginning of one id, got none"):
        open_snapshots(corpus).find("3f")


# Whole proofs over many samples, without a database.

SALTED = {uuid.UUID(int=n * 7919): f"{n:064x}" for n in range(1, 501)}


def opening(sample_id: uuid.UUID, salt: str) -> Opening:
    return Opening(
        consent_receipt_id=uuid.UUID(int=1), clip_sha256=f"{sample_id.int:064x}", text_sha256="0" * 64, salt=salt
    )


def a_snapshot(*, is_sorted: bool = True) -> Snapshot:
    leaves = [
        Leaf(key=sample_key(i), commitment=commitment_of(i, opening(i, salt)), is_held_back=False, is_new=True)
        for i, salt in SALTED.items()
    ]
    if is_sorted:
        leaves.sort(key=lambda leaf: leaf.key)
    manifest = SnapshotManifest(
        dataset_sha256="0" * 64,
        merkle_root=MerkleTree(leaf.to_leaf_bytes() for leaf in leaves).root.hex(),
        made_at="2026-11-01T00:00:00Z",  # type: ignore[arg-type]
        n_train=len(leaves),
        n_dev=0,
        n_speakers=1,
        audio_s=1.0,
        split="none",
    )
    return Snapshot("0" * 64, sign_snapshot(KEY, manifest), manifest, tuple(leaves), None)


def test_a_thousand_questions_about_membership_get_a_thousand_right_answers_offline() -> None:
    snapshot = a_snapshot()
    openings = {sample_id: opening(sample_id, salt) for sample_id, salt in SALTED.items()}
    strangers = [uuid.UUID(int=n * 7919 + 1) for n in range(1, 501)]
    n_wrong = 0
    for sample_id in [*SALTED, *strangers]:
        content = prove(snapshot, sample_id, openings).to_bytes()
        proof = MembershipProof.from_bytes(content)
        n_wrong += is_member(proof, verify_snapshot(TRUSTED, proof.snapshot)) != (sample_id in SALTED)
    assert n_wrong == 0


def test_a_proof_that_was_bent_is_refused() -> None:
    snapshot = a_snapshot()
    inside, outside = uuid.UUID(int=7919), uuid.UUID(int=7920)
    member, absent = (prove(snapshot, which, {inside: opening(inside, SALTED[inside])}) for which in (inside, outside))
    far = prove(snapshot, uuid.UUID(int=7921 * 3), {})
    bent = (
        member.model_copy(update={"places": ()}),
        absent.model_copy(update={"places": absent.places[:1]}),
        absent.model_copy(update={"places": (absent.places[0], far.places[1])}),
        member.model_copy(update={"opening": opening(inside, "f" * 64)}),
        member.model_copy(update={"places": (member.places[0].model_copy(update={"index": 3}),)}),
        absent.model_copy(update={"sample_id": inside}),
    )
    for proof in bent:
        with pytest.raises(ContractError):
            is_member(proof, snapshot.manifest)


def test_without_sorted_leaves_a_member_could_be_denied_and_verifying_says_so(corpus: Corpus) -> None:
    """The control run: with the order off, a proof of absence lies; the whole check finds it."""
    snapshot = a_snapshot(is_sorted=False)
    tree = MerkleTree(leaf.to_leaf_bytes() for leaf in snapshot.leaves)
    honest = prove(a_snapshot(), uuid.UUID(int=1), {})
    n_lies = 0
    for sample_id in list(SALTED)[:50]:
        if (index := _gap_around(snapshot, sample_key(sample_id))) is not None:
            places = tuple(
                Place(index=i, leaf=snapshot.leaves[i], path=tuple(step.hex() for step in tree.path(i)))
                for i in (index, index + 1)
            )
            lie = honest.model_copy(update={"sample_id": sample_id, "places": places})
            n_lies += not is_member(lie, snapshot.manifest)
    assert n_lies > 25
    assert any("rising keys" in problem for problem in problems(corpus, open_snapshots(corpus), snapshot))


def _gap_around(snapshot: Snapshot, key: str) -> int | None:
    """What a liar looks for: two neighbours with the key between them."""
    keys = [leaf.key for leaf in snapshot.leaves]
    return next((i for i in range(len(keys) - 1) if keys[i] < key < keys[i + 1]), None)


def test_without_its_salt_a_leaf_could_be_guessed() -> None:
    """The control run: who knows the clip and tries every text finds it, unless there is a salt they do not know."""
    sample_id, salt = next(iter(SALTED.items()))
    unsalted = commitment_of(sample_id, opening(sample_id, "0" * 64))
    salted = commitment_of(sample_id, opening(sample_id, salt))
    guess = commitment_of(sample_id, opening(sample_id, "0" * 64))
    assert guess == unsalted
    assert guess != salted
