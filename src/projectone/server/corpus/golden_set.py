"""Golden sets from people who agreed to it: candidates, an operator's review, sealed versions.

Whoever gave the `evaluation` consent and sent nothing that was trained on may judge models. Once one of their samples
is accepted, the person is reserved: nothing of theirs is trained on. Two parts are kept apart by person: `main` decides
what is released; `canary` is secret and only shown beside it. A sealed version holds ids and one signature, no copy:
with a withdrawal its clips and texts go as everywhere, and the version is smaller by them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from sqlalchemy import (
    Column,
    Connection,
    DateTime,
    Engine,
    ForeignKey,
    Integer,
    String,
    Table,
    Text,
    Uuid,
    delete,
    func,
    insert,
    select,
)

from projectone.contracts.snapshots import SignedSnapshot, SnapshotManifest, sample_key
from projectone.contracts.versions import DEFAULT_FAMILY, Family
from projectone.errors import DataError, EvaluationError
from projectone.server.audit import Act, record
from projectone.server.corpus.catalog import Catalog
from projectone.server.corpus.golden_seals import PARTS, Part, leaf_of, manifest_of, verified_manifest
from projectone.server.corpus.tables import (
    CONSENTS,
    SAMPLES,
    SEALED,
    ListedSample,
    SampleRow,
    State,
    batches,
    of_family,
    under_consent,
)
from projectone.server.database import METADATA, reading, writing

_KEPT: tuple[State, ...] = ("waiting", "held", "discarded", "quarantined")

GOLDEN = "golden"
GOLDEN_PERSON = "golden-person"
"""Why samples are held: accepted into the golden set; sent by somebody who is in it."""
SET_ASIDE = (GOLDEN, GOLDEN_PERSON)

GOLDEN_REVIEWS = Table(
    "golden_reviews",
    METADATA,
    Column("sample_id", Uuid, ForeignKey("samples.sample_id"), primary_key=True),
    Column("part", String(8)),  # none: refused
    Column("reviewed_by", String(96), nullable=False),
    Column("reviewed_at", DateTime(timezone=True), nullable=False),
)

GOLDEN_VERSIONS = Table(
    "golden_versions",
    METADATA,
    Column("version", Integer, primary_key=True, autoincrement=True),
    Column("part", String(8), nullable=False),
    Column("family", String(16), nullable=False, server_default=DEFAULT_FAMILY),
    Column("sealed_at", DateTime(timezone=True), nullable=False),
    Column("signed", Text, nullable=False),
)

GOLDEN_MEMBERS = Table(
    "golden_members",
    METADATA,
    Column("version", Integer, ForeignKey("golden_versions.version"), primary_key=True),
    Column("sample_id", Uuid, ForeignKey("samples.sample_id"), primary_key=True),
    Column("leaf", String(64), nullable=False),
)


@dataclass(frozen=True)
class GoldenVersion:
    """A sealed version, as it is now.

    Attributes:
        samples: Those that are still there; a withdrawal takes some away.
        n_sealed: How many there were.
    """

    version: int
    part: Part
    sealed_at: datetime
    manifest: SnapshotManifest
    samples: tuple[ListedSample, ...]
    n_sealed: int


class GoldenSets:
    """Reviews candidates and seals versions, for the models of one family.

    Who judges models of one family may teach those of another: a classifier of intents never heard a voice.

    Args:
        engine: The server's database.
        catalog: Gives the samples whose consent holds.
        family: Of the models that are judged.
    """

    def __init__(self, engine: Engine, catalog: Catalog, family: Family = DEFAULT_FAMILY) -> None:
        self._engine = engine
        self._catalog = catalog
        self._family = family

    @property
    def catalog(self) -> Catalog:
        """The samples behind the sets."""
        return self._catalog

    def candidates(self) -> list[SampleRow]:
        """Samples that could judge models and wait for a review, the oldest first."""
        with reading(self._engine) as connection:
            willing, trained = _willing(connection), _trained(connection, self._family)
            reviewed = set(connection.execute(select(GOLDEN_REVIEWS.c.sample_id)).scalars())
        return [
            row
            for row in self._catalog.living(self._family)
            if row.contributor_id in willing - trained and row.sample_id not in reviewed and _is_free(row)
        ]

    def accept(self, sample_ids: Iterable[UUID], part: Part, *, by: str, now: datetime) -> int:
        """Take samples into a part; their people are reserved from then on. All of them, or none.

        Raises:
            DataError: ``golden-candidate`` if one is no candidate, ``golden-part`` if its person is in the other part.
        """
        wanted = list(dict.fromkeys(sample_ids))
        rows = {row.sample_id: row for row in self.candidates()}
        parts = {person: own for own in PARTS for person in self.people(own)}
        for sample_id in wanted:
            row = rows.get(sample_id)
            if row is None:
                raise DataError(
                    "golden-candidate",
                    f"sample {sample_id}: is no candidate: it takes the person's `evaluation` consent, and nothing of "
                    "theirs may have been trained on; what was accepted or refused before is none either; see "
                    "`golden candidates`",
                )
            if parts.setdefault(row.contributor_id, part) != part:
                raise DataError("golden-part", f"sample {sample_id}: its person is in the other part of the set")
        self._review(wanted, part, by=by, now=now)
        self._catalog.mark(wanted, "held", reason=GOLDEN)
        self.set_aside()
        return len(wanted)

    def refuse(self, sample_ids: Iterable[UUID], *, by: str, now: datetime) -> int:
        """Say that samples shall judge nothing; unless their person is reserved they may be trained on."""
        known = {row.sample_id for row in self.candidates()}
        wanted = [sample_id for sample_id in dict.fromkeys(sample_ids) if sample_id in known]
        self._review(wanted, None, by=by, now=now)
        return len(wanted)

    def people(self, part: Part | None = None) -> frozenset[str]:
        """Contributors who are reserved: in this part, or in any."""
        return frozenset(sample.contributor_id for sample in self._accepted(PARTS if part is None else (part,)))

    def set_aside(self) -> int:
        """Hold what reserved people sent since, so that no run learns from it; gives how many samples.

        What was held of somebody of whom nothing judges any more goes back to what it was given for.
        """
        people = self.people()
        self._let_go(people)
        if not people:
            return 0
        waiting = select(SAMPLES.c.sample_id).where(SAMPLES.c.state == "waiting", SAMPLES.c.contributor_id.in_(people))
        waiting = of_family(waiting, self._family)
        with reading(self._engine) as connection:
            found = list(connection.execute(waiting).scalars())
        return self._catalog.mark(found, "held", reason=GOLDEN_PERSON) if found else 0

    def _let_go(self, people: frozenset[str]) -> None:
        query = select(SAMPLES.c.sample_id).where(
            SAMPLES.c.state == "held",
            SAMPLES.c.reason.in_(SET_ASIDE),
            SAMPLES.c.contributor_id.not_in(people),
        )
        query = of_family(query, self._family)
        with reading(self._engine) as connection:
            found = list(connection.execute(query).scalars())
        if not found:
            return
        # Not accepted any more either: should the person agree again, models may know their voice by then.
        with writing(self._engine) as connection:
            for batch in batches(found):
                connection.execute(delete(GOLDEN_REVIEWS).where(GOLDEN_REVIEWS.c.sample_id.in_(batch)))
        self._catalog.mark(found, "waiting")

    def seal(
        self, part: Part, sign: Callable[[SnapshotManifest], SignedSnapshot], *, now: datetime
    ) -> tuple[int, SnapshotManifest]:
        """Seal what was accepted into a part; gives the version's number and its manifest.

        Args:
            part: Which.
            sign: Signs with the golden set's own key.
            now: With its zone.

        Raises:
            EvaluationError: if nothing was accepted, or somebody in it was trained on.
        """
        samples = self._accepted((part,))
        with reading(self._engine) as connection:
            trained = _trained(connection, self._family)
        if shared := {sample.contributor_id for sample in samples} & trained:
            raise EvaluationError(
                f"golden set: {len(shared)} of its people were trained on; their samples cannot judge"
            )
        if not any(row.text.strip() for row in self.rows(samples)):
            raise EvaluationError(f"golden set: nothing was accepted into {part!r}; see `golden candidates`")
        leaves = {sample.sample_id: leaf_of(sample) for sample in samples}
        with writing(self._engine) as connection:
            version = (connection.execute(select(func.max(GOLDEN_VERSIONS.c.version))).scalar() or 0) + 1
            manifest = manifest_of(version, part, self._family, samples, leaves, now)
            signed = sign(manifest).to_bytes().decode()
            values = {"version": version, "part": part, "family": self._family, "sealed_at": now, "signed": signed}
            connection.execute(insert(GOLDEN_VERSIONS).values(**values))
            members = [{"version": version, "sample_id": key, "leaf": leaf} for key, leaf in leaves.items()]
            connection.execute(insert(GOLDEN_MEMBERS), members)
            record(
                connection,
                "golden-sealed",
                manifest.dataset_sha256,
                now=now,
                version=version,
                part=part,
                family=self._family,
                n_samples=len(members),
            )
        return version, manifest

    def newest(self, part: Part, trusted: Mapping[str, str]) -> GoldenVersion | None:
        """The newest version of a part, checked against its signature; None if none was sealed.

        Raises:
            EvaluationError: if the signature does not hold, or a clip or a text is not what was sealed.
        """
        query = select(GOLDEN_VERSIONS).where(GOLDEN_VERSIONS.c.part == part, GOLDEN_VERSIONS.c.family == self._family)
        with reading(self._engine) as connection:
            found = connection.execute(query.order_by(GOLDEN_VERSIONS.c.version.desc()).limit(1)).one_or_none()
            if found is None:
                return None
            members = select(GOLDEN_MEMBERS).where(GOLDEN_MEMBERS.c.version == found.version)
            leaves = {row.sample_id: row.leaf for row in connection.execute(members)}
        manifest = verified_manifest(found, leaves, trusted)
        living = {sample.sample_id: sample for sample in self._accepted((part,))}
        samples = [living[sample_id] for sample_id in sorted(leaves, key=sample_key) if sample_id in living]
        for sample in samples:
            if leaf_of(sample) != leaves[sample.sample_id]:
                raise EvaluationError(f"golden set {found.version}: sample {sample.sample_id} is not what was sealed")
        return GoldenVersion(found.version, part, manifest.made_at, manifest, tuple(samples), len(leaves))

    def rows(self, samples: Iterable[ListedSample]) -> list[SampleRow]:
        """The same samples with their words, in their order; without those that were withdrawn meanwhile."""
        rows = {row.sample_id: row for row in self._catalog.living(self._family)}
        return [rows[sample.sample_id] for sample in samples if sample.sample_id in rows]

    def _review(self, sample_ids: Sequence[UUID], part: Part | None, *, by: str, now: datetime) -> None:
        rows = [{"sample_id": item, "part": part, "reviewed_by": by, "reviewed_at": now} for item in sample_ids]
        if rows:
            with writing(self._engine) as connection:
                connection.execute(insert(GOLDEN_REVIEWS), rows)
                act: Act = "golden-refused" if part is None else "golden-accepted"
                record(connection, act, *sample_ids, by=by, now=now, part=part)

    def _accepted(self, parts: Sequence[Part]) -> list[ListedSample]:
        """What was accepted, and whose people still agree to both: that we have it, and that it judges."""
        columns = [SAMPLES.c[name] for name in ListedSample.__dataclass_fields__]
        query = of_family(under_consent(select(*columns), *_KEPT), self._family).join(
            GOLDEN_REVIEWS, GOLDEN_REVIEWS.c.sample_id == SAMPLES.c.sample_id
        )
        with reading(self._engine) as connection:
            willing = _willing(connection)
            found = [ListedSample(*row) for row in connection.execute(query.where(GOLDEN_REVIEWS.c.part.in_(parts)))]
        return [sample for sample in found if sample.contributor_id in willing]


def _is_free(row: SampleRow) -> bool:
    return row.state == "waiting" or (row.state == "held" and row.reason == GOLDEN_PERSON)


def _willing(connection: Connection) -> set[str]:
    """Contributors whose `evaluation` consent is in force."""
    query = select(CONSENTS.c.contributor_id).where(CONSENTS.c.scope == "evaluation", CONSENTS.c.withdrawn_at.is_(None))
    return set(connection.execute(query).scalars())


def _trained(connection: Connection, family: Family) -> set[str]:
    """Contributors of whom a dataset was ever made for a family: its models may know their voices, or their words."""
    query = select(SAMPLES.c.contributor_id).join(SEALED, SEALED.c.sample_id == SAMPLES.c.sample_id).distinct()
    return set(connection.execute(of_family(query, family)).scalars())
