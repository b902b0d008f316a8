"""Datasets with a signed manifest: what a training run learned from can be named, checked and proved later.

A sealed dataset is a list of samples with their texts, and goes when one of them is withdrawn. Its snapshot stays: a
manifest in figures, the leaves of its Merkle tree, and a signature. They name nobody, and with the salt of a withdrawn
sample its leaf says nothing any more. A withdrawal re-issues the snapshot without the sample.
"""

from __future__ import annotations

import base64
import secrets
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import (
    Column,
    Connection,
    DateTime,
    Engine,
    ForeignKey,
    LargeBinary,
    String,
    Table,
    Text,
    Uuid,
    delete,
    insert,
    select,
)

from projectone.contracts.base import sha256_hex
from projectone.contracts.merkle import MerkleTree
from projectone.contracts.snapshots import (
    LEAF_BYTES,
    Leaf,
    Opening,
    SignedSnapshot,
    SnapshotManifest,
    SplitKind,
    commitment_of,
    sample_key,
)
from projectone.errors import ConsentError, DataError, KeyDestroyedError
from projectone.server.audit import record
from projectone.server.corpus.catalog import Catalog
from projectone.server.corpus.datasets import DatasetItem, ListItem, seal_dataset, seal_list, speaker_of
from projectone.server.corpus.sample_words import place_of_row
from projectone.server.corpus.tables import SAMPLES, SEALED, ListedSample
from projectone.server.corpus.vault import Vault
from projectone.server.database import METADATA, forget_freed_pages, reading, writing
from projectone.storage.blobs import BlobStore

_SALT_BYTES = 32
_LOOKUP_BATCH = 500

SNAPSHOTS = Table(
    "snapshots",
    METADATA,
    Column("snapshot_id", String(64), primary_key=True),
    Column("dataset_sha256", String(64), nullable=False, index=True),
    Column("signed", Text, nullable=False),
    Column("leaves", LargeBinary, nullable=False),
    Column("made_at", DateTime(timezone=True), nullable=False, index=True),
    Column("replaces", String(64), unique=True),
)

SALTS = Table(
    "sample_salts",
    METADATA,
    Column("sample_id", Uuid, ForeignKey("samples.sample_id"), primary_key=True),
    Column("salt", LargeBinary, nullable=False),
)


@dataclass(frozen=True)
class Snapshot:
    """A snapshot as the rows have it; whether its signature holds is for `verify_snapshot` to say.

    Attributes:
        snapshot_id: Digest of the manifest.
        replaced_by: The re-issue without what was withdrawn since, if there is one.
    """

    snapshot_id: str
    signed: SignedSnapshot
    manifest: SnapshotManifest
    leaves: tuple[Leaf, ...]
    replaced_by: str | None


@dataclass(frozen=True)
class Reissue:
    """A snapshot that was made anew because samples in it were withdrawn."""

    replaced: str
    snapshot_id: str
    n_withdrawn: int


class Snapshots:
    """Makes snapshots, finds them, and makes them anew without what was withdrawn.

    Args:
        engine: The server's database.
        catalog: Gives the samples that may still be used.
        blobs: Where sealed datasets lie.
        sign: Signs a manifest.
        clock: Now, with its zone.
    """

    def __init__(
        self,
        engine: Engine,
        catalog: Catalog,
        blobs: BlobStore,
        *,
        sign: Callable[[SnapshotManifest], SignedSnapshot],
        clock: Callable[[], datetime],
    ) -> None:
        self._engine = engine
        self._catalog = catalog
        self._blobs = blobs
        self._sign = sign
        self._clock = clock

    @property
    def catalog(self) -> Catalog:
        """The samples behind the snapshots."""
        return self._catalog

    def seal(self, items: Sequence[DatasetItem], *, split: SplitKind) -> Snapshot:
        """Keep a list of samples, with a signed manifest; the same list again gives the snapshot that is there.

        Raises:
            ConsentError: if one of the samples has been erased meanwhile.
            DataError: ``dataset-duplicate`` if a sample is named twice.
        """
        sealed = seal_dataset(self._catalog, self._blobs, items)
        return self._issue(
            sealed.sha256, items, lambda connection: _leaves(connection, items, self._catalog.vault), split=split
        )

    def listed(self) -> list[Snapshot]:
        """Every snapshot, the newest first."""
        query = select(SNAPSHOTS).order_by(SNAPSHOTS.c.made_at.desc(), SNAPSHOTS.c.snapshot_id)
        with reading(self._engine) as connection:
            rows = connection.execute(query).all()
        later = {row.replaces: row.snapshot_id for row in rows if row.replaces is not None}
        return [_snapshot(row, later.get(row.snapshot_id)) for row in rows]

    def first_of(self, dataset_sha256: str) -> Snapshot | None:
        """The first snapshot of a dataset; None if it has none, as datasets from before there were any."""
        query = select(SNAPSHOTS).where(SNAPSHOTS.c.dataset_sha256 == dataset_sha256).order_by(SNAPSHOTS.c.made_at)
        with reading(self._engine) as connection:
            row = connection.execute(query.limit(1)).one_or_none()
        return None if row is None else _snapshot(row, None)

    def find(self, named: str) -> Snapshot:
        """The snapshot whose id, or whose dataset's digest, begins like this.

        Raises:
            DataError: ``snapshot-unknown`` unless exactly one does.
        """
        found = [
            snapshot
            for snapshot in (self.listed() if named else [])
            if snapshot.snapshot_id.startswith(named) or snapshot.manifest.dataset_sha256.startswith(named)
        ]
        if len(found) != 1:
            how_many = "several" if found else "none"
            raise DataError("snapshot-unknown", f"snapshot {named!r}: expected the beginning of one id, got {how_many}")
        return found[0]

    def reissue_without(self, contributor_id: str) -> list[Reissue]:
        """Make anew, without what was withdrawn, every snapshot that holds a withdrawn sample of this person."""
        return self._reissue(SAMPLES.c.contributor_id == contributor_id)

    def reissue_withdrawn(self) -> list[Reissue]:
        """The same for everybody: what a crash between a withdrawal and its re-issues left. Safe to repeat."""
        return self._reissue()

    def openings(self, texts: Mapping[UUID, tuple[str, str]]) -> dict[UUID, Opening]:
        """What commits to samples, given the clip digest and the text of each; none for those withdrawn."""
        with reading(self._engine) as connection:
            return _openings(connection, texts, self._catalog.vault)

    def _reissue(self, *of: Any) -> list[Reissue]:  # noqa: ANN401 - conditions on SAMPLES
        erased = (SAMPLES.c.state == "erased", *of)
        tainted = select(SEALED.c.dataset_sha256).join(SAMPLES, SAMPLES.c.sample_id == SEALED.c.sample_id)
        with writing(self._engine) as connection:
            # With its salt a leaf could still be told to be somebody's; without it nobody can but the person.
            gone = select(SAMPLES.c.sample_id).where(SAMPLES.c.state == "erased")
            connection.execute(delete(SALTS).where(SALTS.c.sample_id.in_(gone)))
            datasets = set(connection.execute(tainted.where(*erased).distinct()).scalars())
        if not datasets:
            return []
        forget_freed_pages(self._engine)
        living = {sample_key(row.sample_id): row for row in self._catalog.listed()}
        in_force = [s for s in self.listed() if s.replaced_by is None and s.manifest.dataset_sha256 in datasets]
        made = []
        for snapshot in in_force:
            # Another withdrawal was quicker: it calls this too, and takes both.
            with suppress(ConsentError):
                made.append(self._without_withdrawn(snapshot, living))
        return made

    def _without_withdrawn(self, snapshot: Snapshot, living: dict[str, ListedSample]) -> Reissue:
        kept = [leaf for leaf in snapshot.leaves if leaf.key in living]
        items = [_item(living[leaf.key], leaf) for leaf in kept]
        n_withdrawn = len(snapshot.leaves) - len(kept)
        sealed = seal_list(self._catalog, self._blobs, items)
        fresh = self._issue(
            sealed.sha256,
            items,
            lambda connection: tuple(kept),
            split=snapshot.manifest.split,
            replaces=snapshot.snapshot_id,
            n_withdrawn=n_withdrawn,
        )
        return Reissue(snapshot.snapshot_id, fresh.snapshot_id, n_withdrawn)

    def _issue(
        self,
        dataset_sha256: str,
        items: Sequence[DatasetItem | ListItem],
        leaves_of: Callable[[Connection], tuple[Leaf, ...]],
        *,
        split: SplitKind,
        replaces: str | None = None,
        n_withdrawn: int = 0,
    ) -> Snapshot:
        with writing(self._engine) as connection:
            same = (
                SNAPSHOTS.c.dataset_sha256 == dataset_sha256 if replaces is None else SNAPSHOTS.c.replaces == replaces
            )
            if (row := connection.execute(select(SNAPSHOTS).where(same).limit(1)).one_or_none()) is not None:
                return _snapshot(row, None)
            leaves = leaves_of(connection)
            n_dev = sum(item.split == "dev" for item in items)
            manifest = SnapshotManifest(
                dataset_sha256=dataset_sha256,
                merkle_root=MerkleTree(leaf.to_leaf_bytes() for leaf in leaves).root.hex(),
                made_at=self._clock(),
                n_train=len(items) - n_dev,
                n_dev=n_dev,
                n_speakers=len({item.speaker for item in items}),
                audio_s=round(sum(item.duration_s for item in items), 3),
                split=split,
                replaces=replaces,
                n_withdrawn=n_withdrawn,
            )
            signed = self._sign(manifest)
            snapshot_id = sha256_hex(manifest.to_bytes())
            values = {
                "snapshot_id": snapshot_id,
                "dataset_sha256": dataset_sha256,
                "signed": signed.to_bytes().decode(),
                "leaves": b"".join(leaf.to_leaf_bytes() for leaf in leaves),
                "made_at": manifest.made_at,
                "replaces": replaces,
            }
            connection.execute(insert(SNAPSHOTS).values(**values))
            record(
                connection,
                "snapshot-sealed",
                snapshot_id,
                now=manifest.made_at,
                dataset_sha256=dataset_sha256,
                n_samples=len(items),
                n_withdrawn=n_withdrawn,
            )
        return Snapshot(snapshot_id, signed, manifest, leaves, None)


def _leaves(connection: Connection, items: Sequence[DatasetItem], vault: Vault) -> tuple[Leaf, ...]:
    """One for each item, sorted by key; samples that were never committed to get their salt."""
    texts = {UUID(item.sample_id): (item.clip_sha256, item.text) for item in items}
    for batch in _batches(texts):
        unsalted = [row for row in _salted(connection, batch) if row.salt is None]
        if unsalted:
            connection.execute(insert(SALTS), [_fresh_salt(row, vault) for row in unsalted])
    openings = _openings(connection, texts, vault)
    leaves = [
        Leaf(
            key=sample_key(UUID(item.sample_id)),
            commitment=commitment_of(UUID(item.sample_id), openings[UUID(item.sample_id)]),
            is_held_back=item.split == "dev",
            is_new=item.is_new,
        )
        for item in items
    ]
    return tuple(sorted(leaves, key=lambda leaf: leaf.key))


def _fresh_salt(row: Any, vault: Vault) -> dict[str, Any]:  # noqa: ANN401 - a SQLAlchemy row has no type of its own
    """Sealed like the words that it guards: with an open one, whoever has a copy of the rows could try texts."""
    return {"sample_id": row.sample_id, "salt": vault.seal_salt(place_of_row(row), secrets.token_bytes(_SALT_BYTES))}


def _openings(connection: Connection, texts: Mapping[UUID, tuple[str, str]], vault: Vault) -> dict[UUID, Opening]:
    found = {}
    for batch in _batches(texts):
        for row in _salted(connection, batch):
            if row.salt is None:
                continue
            clip_sha256, text = texts[row.sample_id]
            with suppress(KeyDestroyedError):
                found[row.sample_id] = Opening(
                    consent_receipt_id=row.consent_receipt_id,
                    clip_sha256=clip_sha256,
                    text_sha256=sha256_hex(text.encode()),
                    salt=vault.open_salt(place_of_row(row), row.salt).hex(),
                )
    return found


def _salted(connection: Connection, sample_ids: Sequence[UUID]) -> Sequence[Any]:
    """Samples with their sealed salts; None for one that was never committed to."""
    columns = (SAMPLES.c.sample_id, SAMPLES.c.contributor_id, SAMPLES.c.consent_receipt_id, SALTS.c.salt)
    joined = select(*columns).outerjoin(SALTS, SALTS.c.sample_id == SAMPLES.c.sample_id)
    return connection.execute(joined.where(SAMPLES.c.sample_id.in_(sample_ids))).all()


def _item(row: ListedSample, leaf: Leaf) -> ListItem:
    """A sample as the snapshot had it: its leaf still knows on which side it was."""
    return ListItem(
        sample_id=str(row.sample_id),
        clip_sha256=row.clip_sha256,
        text_mac=row.text_mac,
        speaker=speaker_of(row.contributor_id),
        duration_s=row.duration_s,
        is_new=leaf.is_new,
        split="dev" if leaf.is_held_back else "train",
    )


def _snapshot(row: Any, replaced_by: str | None) -> Snapshot:  # noqa: ANN401 - a SQLAlchemy row has no type of its own
    signed = SignedSnapshot.from_bytes(row.signed.encode())
    manifest = SnapshotManifest.from_bytes(base64.b64decode(signed.manifest))
    content = bytes(row.leaves)
    parts = [content[start : start + LEAF_BYTES] for start in range(0, len(content), LEAF_BYTES)]
    return Snapshot(row.snapshot_id, signed, manifest, tuple(map(Leaf.from_leaf_bytes, parts)), replaced_by)


def _batches(values: Iterable[UUID]) -> Iterator[list[UUID]]:
    ordered = list(values)
    for start in range(0, len(ordered), _LOOKUP_BATCH):
        yield ordered[start : start + _LOOKUP_BATCH]
