"""What can be said of an erasure afterwards: found out from rows and disk at every call, so that it is true then."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import Connection, Engine, func, select

from projectone.contracts.erasures import ErasureReceipt, LearnedRelease, ReissuedSnapshot
from projectone.contracts.releases import ReleaseManifest
from projectone.errors import DataError
from projectone.server.corpus.lapses import lapses
from projectone.server.corpus.snapshots import SNAPSHOTS
from projectone.server.corpus.tables import CONSENTS, DOOMED, SAMPLES, SEALED, batches, receipt_of_row, utc
from projectone.server.database import reading
from projectone.server.runs import Runs
from projectone.storage.blobs import BlobStore

_AT_WORK = ("requested", "running", "waiting")


class Erasures:
    """Makes receipts of withdrawn consents.

    Args:
        engine: The server's database.
        runs: Know which run learned from which dataset.
        blobs: Where sealed datasets lie.
        releases: Every release, oldest first: the run that made it, and its manifest.
        dates: For a withdrawn consent: run of a release that learned from it, to when it is replaced at the latest.
        clock: Now, with its zone.
        memories: For a person and the moment of a withdrawal: how many memories that products keep of them went with
            it, and whether all have gone. Asked of the last consent alone; the link to a person goes with them.
    """

    def __init__(
        self,
        engine: Engine,
        runs: Runs,
        blobs: BlobStore,
        *,
        releases: Callable[[], Sequence[tuple[str, ReleaseManifest]]],
        dates: Callable[[UUID], Mapping[str, datetime]],
        clock: Callable[[], datetime],
        memories: Callable[[str, datetime], tuple[int, bool]] = lambda contributor_id, withdrawn_at: (0, True),
    ) -> None:
        self._engine = engine
        self._runs = runs
        self._blobs = blobs
        self._releases = releases
        self._dates = dates
        self._clock = clock
        self._memories = memories

    def receipts(self) -> list[ErasureReceipt]:
        """One for every consent that was withdrawn, the newest withdrawal first."""
        withdrawn = select(CONSENTS.c.receipt_id, CONSENTS.c.contributor_id).where(CONSENTS.c.withdrawn_at.is_not(None))
        with reading(self._engine) as connection:
            ids = connection.execute(withdrawn.order_by(CONSENTS.c.withdrawn_at.desc(), CONSENTS.c.receipt_id)).all()
        found = (self.receipt(receipt_id, contributor_id) for receipt_id, contributor_id in ids)
        return [receipt for receipt in found if receipt is not None]

    def receipt(self, receipt_id: UUID, contributor_id: str) -> ErasureReceipt | None:
        """What became of everything sent under a person's consent; None if this person gave no such consent.

        Raises:
            DataError: ``consent-in-force`` if it was not withdrawn.
        """
        theirs = select(CONSENTS).where(
            CONSENTS.c.receipt_id == receipt_id, CONSENTS.c.contributor_id == contributor_id
        )
        under_it = (SAMPLES.c.consent_receipt_id == receipt_id, SAMPLES.c.state == "erased")
        sealed = select(SEALED.c.dataset_sha256).join(SAMPLES, SAMPLES.c.sample_id == SEALED.c.sample_id)
        doomed = select(DOOMED.c.sha256).where(DOOMED.c.consent_receipt_id == receipt_id).limit(1)
        with reading(self._engine) as connection:
            row = connection.execute(theirs).one_or_none()
            if row is None:
                return None
            consent = receipt_of_row(row)
            n_samples = connection.execute(select(func.count()).select_from(SAMPLES).where(*under_it)).scalar_one()
            datasets = sorted(set(connection.execute(sealed.where(*under_it)).scalars()))
            is_doomed = connection.execute(doomed).first() is not None
            snapshots = _snapshots(connection, datasets)
            in_force = (CONSENTS.c.contributor_id == contributor_id, CONSENTS.c.withdrawn_at.is_(None))
            is_last = connection.execute(select(CONSENTS.c.receipt_id).where(*in_force).limit(1)).first() is None
            is_last = is_last or consent.withdrawn_at in lapses(connection, [contributor_id]).get(contributor_id, [])
        if consent.withdrawn_at is None:
            raise DataError("consent-in-force", f"consent {receipt_id}: is in force, so nothing was erased")
        learned = self._runs.made_from(datasets)
        is_held = any(run.state in _AT_WORK for run in learned) or any(item.reissued_as is None for item in snapshots)
        n_memories, are_gone = self._memories(contributor_id, consent.withdrawn_at)
        is_held = is_held or (is_last and not are_gone)
        return ErasureReceipt(
            receipt_id=receipt_id,
            contributor_id=contributor_id,
            scope=consent.scope,
            granted_at=consent.granted_at,
            withdrawn_at=consent.withdrawn_at,
            issued_at=self._clock(),
            n_samples=n_samples,
            n_memories=n_memories,
            dataset_sha256s=tuple(datasets),
            snapshots=snapshots,
            is_complete=not (is_held or is_doomed or any(self._blobs.has(sha256) for sha256 in datasets)),
            releases=learned_releases(self._releases(), {run.run_id for run in learned}, self._dates(receipt_id)),
        )


def _snapshots(connection: Connection, datasets: Collection[str]) -> tuple[ReissuedSnapshot, ...]:
    fields = (SNAPSHOTS.c.snapshot_id, SNAPSHOTS.c.dataset_sha256, SNAPSHOTS.c.made_at)
    found: list[Any] = []
    for batch in batches(datasets):
        found += connection.execute(select(*fields).where(SNAPSHOTS.c.dataset_sha256.in_(batch))).all()
    later: dict[str, str] = {}
    for ids in batches([snapshot_id for snapshot_id, _, _ in found]):
        query = select(SNAPSHOTS.c.replaces, SNAPSHOTS.c.snapshot_id).where(SNAPSHOTS.c.replaces.in_(ids))
        later |= {replaced: snapshot_id for replaced, snapshot_id in connection.execute(query)}
    return tuple(
        ReissuedSnapshot(
            snapshot_id=snapshot_id,
            dataset_sha256=dataset_sha256,
            made_at=utc(made_at),
            reissued_as=later.get(snapshot_id),
        )
        for snapshot_id, dataset_sha256, made_at in sorted(found, key=lambda row: (utc(row[2]), row[0]))
    )


def learned_releases(
    releases: Sequence[tuple[str, ReleaseManifest]], run_ids: Collection[str], dates: Mapping[str, datetime]
) -> tuple[LearnedRelease, ...]:
    """The releases that hold a model made by these runs, each with the next one of its channel that does not.

    Args:
        releases: All of them, oldest first.
        run_ids: Runs that learned from what was erased.
        dates: By the run that released it, when a release is replaced at the latest.
    """
    weights = {manifest.weights_sha256 for run_id, manifest in releases if run_id in run_ids}
    found = []
    for place, (run_id, manifest) in enumerate(releases):
        if manifest.weights_sha256 not in weights:
            continue
        later = (other for _, other in releases[place + 1 :] if other.channel == manifest.channel)
        replacing = next((other for other in later if other.weights_sha256 not in weights), None)
        found.append(
            LearnedRelease(
                channel=manifest.channel,
                version=manifest.version,
                weights_sha256=manifest.weights_sha256,
                released_at=manifest.created_at,
                replaced_by=None if replacing is None else replacing.version,
                replaced_at=None if replacing is None else replacing.created_at,
                replace_by=dates.get(run_id),
            )
        )
    return tuple(found)
