"""Released models that learned from something that was withdrawn since: marked, with the date they are replaced by."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from uuid import UUID

from sqlalchemy import Column, Connection, DateTime, Engine, ForeignKey, String, Table, Uuid, insert, select

from projectone.contracts.releases import ReleaseManifest
from projectone.server.audit import record
from projectone.server.corpus.tables import CONSENTS, DELETED, SAMPLES, SEALED, utc
from projectone.server.database import METADATA, reading, writing
from projectone.server.runs import Runs

# Written once: a promise that was given does not move when a setting does.
RECALLS = Table(
    "recalled_releases",
    METADATA,
    Column("release_run_id", String(96), primary_key=True),
    Column("consent_receipt_id", Uuid, ForeignKey("consents.receipt_id"), primary_key=True),
    Column("replace_by", DateTime(timezone=True), nullable=False),
)


@dataclass(frozen=True)
class Recall:
    """A release that has to be replaced. `release_run_id` is the run that released it, `replace_by` the first date."""

    release_run_id: str
    manifest: ReleaseManifest
    replace_by: datetime


class Recalls:
    """Marks releases, and knows whether the model in production is marked.

    Args:
        engine: The server's database.
        runs: Know which run learned from which dataset.
        releases: Every release, oldest first: the run that made it, and its manifest.
        retrain: How long after a withdrawal a model that learned from the samples may stay in production.
    """

    def __init__(
        self,
        engine: Engine,
        runs: Runs,
        *,
        releases: Callable[[], Sequence[tuple[str, ReleaseManifest]]],
        retrain: timedelta,
    ) -> None:
        self._engine = engine
        self._runs = runs
        self._releases = releases
        self._retrain = retrain

    def mark(self) -> int:
        """Mark every release that holds a model made from a withdrawn sample; gives how many marks are new.

        Safe to repeat. A release that hands an old model out again is marked as the first one was.
        """
        withdrawn = self._withdrawn_datasets()
        releases = self._releases() if withdrawn else []
        n_new = 0
        for (receipt_id, withdrawn_at), datasets in withdrawn.items():
            run_ids = {run.run_id for run in self._runs.made_from(datasets)}
            weights = {manifest.weights_sha256 for run_id, manifest in releases if run_id in run_ids}
            marked = [run_id for run_id, manifest in releases if manifest.weights_sha256 in weights]
            if marked:
                with writing(self._engine) as connection:
                    n_new += _mark(connection, marked, receipt_id, withdrawn_at + self._retrain)
        return n_new

    def dates(self, receipt_id: UUID) -> dict[str, datetime]:
        """Of the releases that one withdrawal marked, by the run that released each: when they are replaced."""
        theirs = select(RECALLS.c.release_run_id, RECALLS.c.replace_by).where(
            RECALLS.c.consent_receipt_id == receipt_id
        )
        with reading(self._engine) as connection:
            return {run_id: utc(replace_by) for run_id, replace_by in connection.execute(theirs)}

    def standing(self, channel: str) -> Recall | None:
        """The mark on the model in production, if it has one."""
        newest = next((item for item in reversed(self._releases()) if item[1].channel == channel), None)
        if newest is None:
            return None
        query = select(RECALLS.c.replace_by).where(RECALLS.c.release_run_id == newest[0])
        with reading(self._engine) as connection:
            dates = [utc(replace_by) for replace_by in connection.execute(query).scalars()]
        return Recall(newest[0], newest[1], min(dates)) if dates else None

    def marked(self) -> set[str]:
        """The runs whose releases are marked."""
        with reading(self._engine) as connection:
            return set(connection.execute(select(RECALLS.c.release_run_id)).scalars())

    def newest_clean(self, channel: str) -> ReleaseManifest | None:
        """The newest release of a channel without a mark: what could be handed out again."""
        marked = self.marked()
        clean = (
            item for run_id, item in reversed(self._releases()) if item.channel == channel and run_id not in marked
        )
        return next(clean, None)

    def _withdrawn_datasets(self) -> Mapping[tuple[UUID, datetime], set[str]]:
        """By consent and moment: what a withdrawal took, and what a person took back alone."""
        withdrawn = (
            select(CONSENTS.c.receipt_id, CONSENTS.c.withdrawn_at, SEALED.c.dataset_sha256)
            .join(SAMPLES, SAMPLES.c.consent_receipt_id == CONSENTS.c.receipt_id)
            .join(SEALED, SEALED.c.sample_id == SAMPLES.c.sample_id)
            .where(CONSENTS.c.withdrawn_at.is_not(None))
            .distinct()
        )
        is_theirs = (DELETED.c.sample_id == SAMPLES.c.sample_id) & (
            DELETED.c.contributor_id == SAMPLES.c.contributor_id
        )
        taken_back = (
            select(SAMPLES.c.consent_receipt_id, DELETED.c.deleted_at, SEALED.c.dataset_sha256)
            .join(DELETED, is_theirs)
            .join(SEALED, SEALED.c.sample_id == SAMPLES.c.sample_id)
            .order_by(DELETED.c.deleted_at)
        )
        found: defaultdict[tuple[UUID, datetime], set[str]] = defaultdict(set)
        with reading(self._engine) as connection:
            for query in (withdrawn, taken_back):
                for receipt_id, moment, dataset_sha256 in connection.execute(query):
                    found[receipt_id, utc(moment)].add(dataset_sha256)
        return found


def _mark(connection: Connection, run_ids: Sequence[str], receipt_id: UUID, replace_by: datetime) -> int:
    query = select(RECALLS.c.release_run_id).where(RECALLS.c.consent_receipt_id == receipt_id)
    known = set(connection.execute(query).scalars())
    fresh = [
        {"release_run_id": run_id, "consent_receipt_id": receipt_id, "replace_by": replace_by}
        for run_id in run_ids
        if run_id not in known
    ]
    if fresh:
        connection.execute(insert(RECALLS), fresh)
        runs = [str(item["release_run_id"]) for item in fresh]
        facts = {"consent": str(receipt_id), "replace_by": replace_by.isoformat()}
        record(connection, "release-recalled", *runs, now=datetime.now(UTC), **facts)
    return len(fresh)
