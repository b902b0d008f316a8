"""Releases as rows: appended, never rewritten. What is current is the newest row of a channel."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from sqlalchemy import (
    Column,
    Connection,
    Engine,
    Float,
    ForeignKey,
    Integer,
    Row,
    String,
    Table,
    Text,
    UniqueConstraint,
    func,
    insert,
    select,
)

from projectone.contracts.endpoints import SIGNED_METADATA, release_package
from projectone.contracts.releases import DEFAULT_TIER, LatestModelInfo, NotedRelease, ReleaseManifest, release_path
from projectone.errors import StorageError
from projectone.server.audit import record
from projectone.server.database import METADATA, reading, writing

RELEASES = Table(
    "releases",
    METADATA,
    Column("id", Integer, primary_key=True, autoincrement=True),
    # A run releases once: repeating its last step finds this row.
    Column("run_id", String(96), nullable=False, unique=True),
    Column("channel", String(96), nullable=False),
    Column("seq", Integer, nullable=False),
    Column("version", String(24), nullable=False),
    Column("weights_sha256", String(64), nullable=False),
    Column("package_sha256", String(64), nullable=False),
    Column("manifest", Text, nullable=False),
    # What each row was signed with before there was signed metadata (ADR 0023); empty since.
    Column("signed", Text, nullable=False, default=""),
    Column("created_at_s", Float, nullable=False),
    UniqueConstraint("channel", "seq"),
)

RELEASE_TIERS = Table(
    "release_tiers",
    METADATA,
    Column("run_id", String(96), ForeignKey("releases.run_id"), primary_key=True),
    Column("tier", String(96), primary_key=True),
    Column("manifest", Text, nullable=False),
)
"""A release for the tiers beside the default one, which is the row in `releases`."""

_READ = (RELEASES.c.run_id, RELEASES.c.manifest)

Draft = Callable[[int], ReleaseManifest]
"""The manifest of one tier for a sequence number."""


@dataclass(frozen=True, kw_only=True)
class Release:
    """One release: what its manifests say.

    Attributes:
        run_id: Which run made it.
        manifest: Of the default tier: the model that was judged; with what is new in it.
        others: The manifests of the other tiers, in the order of their names.
    """

    run_id: str
    manifest: NotedRelease
    others: tuple[NotedRelease, ...] = ()

    @property
    def tiers(self) -> dict[str, NotedRelease]:
        """The manifest of each tier, the default one first."""
        return {manifest.tier: manifest for manifest in (self.manifest, *self.others)}

    @property
    def contents(self) -> set[str]:
        """Digests of all that devices fetch of it: the packages of every tier and of bases, and the short ways."""
        every = self.tiers.values()
        ways = [way for tier in every for way in tier.updates]
        bases = {way.base_package.sha256 for way in ways if way.base_package is not None}
        return {tier.package_sha256 for tier in every} | {way.sha256 for way in ways} | bases


class Ledger:
    """The table of releases."""

    def __init__(
        self, engine: Engine, *, public_url: str = "", packages_url: str | None = None, above: int = 0
    ) -> None:
        """Read and write releases.

        Args:
            engine: The server's database.
            public_url: Where devices reach the API, without a final slash; empty gives URLs relative to it.
            packages_url: Where a CDN hands out packages by their digests; None names the API's own addresses.
            above: New releases have higher numbers than this one, which somebody else gave out in our name.
        """
        self._engine = engine
        self._public_url = public_url.rstrip("/")
        self._packages_url = packages_url
        self._above = above

    def publish(
        self,
        run_id: str,
        channel: str,
        draft: Draft,
        *,
        others: Sequence[Draft] = (),
        guard: Callable[[Connection], None] | None = None,
        before_new: Callable[[Connection], None] | None = None,
    ) -> Release:
        """Append a release; the one that `run_id` made before is given again.

        Args:
            run_id: Who publishes.
            channel: Who gets it.
            draft: The default tier's manifest for a sequence number, which is one more than the channel's newest
                or than `above`.
            others: The same release for other tiers, each its own manifest of the same number.
            guard: Refuses the transaction if the caller's lease is stale.
            before_new: Refuses it if the model must not leave; not asked about a release that is there already.

        Raises:
            LeaseError: if the guard refuses.
            WithdrawnError: if `before_new` does.
            StorageError: if a manifest is not of this channel and number, or the tiers are not one of each.
        """
        row = RELEASES.c
        with writing(self._engine) as connection:
            if guard is not None:
                guard(connection)
            known = connection.execute(select(*_READ).where(row.run_id == run_id)).first()
            if known is not None:
                return _releases(connection, [known])[0]
            if before_new is not None:
                before_new(connection)
            newest = connection.execute(select(func.max(row.seq)).where(row.channel == channel)).scalar()
            seq = max(int(newest or 0), self._above) + 1
            before = connection.execute(
                select(row.manifest).where(row.channel == channel).order_by(row.seq.desc()).limit(1)
            ).scalar()
            # what was retired stays so
            floor = 1 if before is None else NotedRelease.from_bytes(before.encode()).min_seq
            manifest, *rest = (_drafted(make, channel, seq, floor) for make in (draft, *others))
            rest.sort(key=lambda tier: tier.tier)
            _require_one_of_each(manifest, rest)
            release = Release(run_id=run_id, manifest=manifest, others=tuple(rest))
            _append(connection, release)
        return release

    def released_weights(self) -> set[str]:
        """Digests of every model that was ever released, on any channel."""
        with reading(self._engine) as connection:
            return set(connection.execute(select(RELEASES.c.weights_sha256)).scalars())

    def newest(self, channel: str) -> Release | None:
        """The channel's newest release: the model in production."""
        row = RELEASES.c
        found = select(*_READ).where(row.channel == channel).order_by(row.seq.desc()).limit(1)
        with reading(self._engine) as connection:
            releases = _releases(connection, connection.execute(found).all())
        return releases[0] if releases else None

    def find(self, run_id: str) -> Release | None:
        """The release that a run made."""
        found = select(*_READ).where(RELEASES.c.run_id == run_id)
        with reading(self._engine) as connection:
            releases = _releases(connection, connection.execute(found).all())
        return releases[0] if releases else None

    def releases(self, channel: str | None = None) -> list[Release]:
        """All releases, oldest first."""
        ordered = select(*_READ).order_by(RELEASES.c.id)
        if channel is not None:
            ordered = ordered.where(RELEASES.c.channel == channel)
        with reading(self._engine) as connection:
            return _releases(connection, connection.execute(ordered).all())

    def manifests(self) -> list[tuple[str, ReleaseManifest]]:
        """Every release, oldest first: the run that made it, and what its manifest says."""
        return [(release.run_id, release.manifest) for release in self.releases()]

    def _address_of(self, package_sha256: str) -> str:
        if self._packages_url is not None:
            return f"{self._packages_url}/{package_sha256}"
        return f"{self._public_url}{release_package(package_sha256)}"

    def stamp(self) -> object:
        """Something that changes with every row that is written, found without a read; None where there is none."""
        path = self._engine.url.database
        if self._engine.dialect.name != "sqlite" or not path or path == ":memory:":
            return None
        try:
            found = Path(f"{path}-wal").stat()
        except FileNotFoundError:
            return ()
        return found.st_mtime_ns, found.st_size, found.st_ino

    def latest(self, channel: str) -> LatestModelInfo | None:
        """What `/latest-model-info` answers, or none before the first release."""
        release = self.newest(channel)
        if release is None:
            return None
        manifest = release.manifest
        return LatestModelInfo(
            version=manifest.version,
            url=self._address_of(manifest.package_sha256),
            sha256=manifest.package_sha256,
            size_bytes=manifest.package_size_bytes,
            seq=manifest.seq,
            min_seq=manifest.min_seq,
            channel=manifest.channel,
            metadata_url=f"{self._public_url}{SIGNED_METADATA}",
            release_path=release_path(manifest.channel, manifest.tier),
        )


def _drafted(draft: Draft, channel: str, seq: int, min_seq: int) -> NotedRelease:
    manifest = NotedRelease.of(draft(seq))
    if (manifest.channel, manifest.seq) != (channel, seq):
        raise StorageError(f"release: expected {channel} {seq}, got {manifest.channel} {manifest.seq}")
    return manifest.model_copy(update={"min_seq": max(min_seq, manifest.min_seq)})


def _require_one_of_each(manifest: ReleaseManifest, others: Sequence[ReleaseManifest]) -> None:
    tiers = [manifest.tier, *(other.tier for other in others)]
    if manifest.tier != DEFAULT_TIER or len(set(tiers)) != len(tiers):
        raise StorageError(f"release: expected {DEFAULT_TIER!r} and other tiers, one of each, got {tiers}")


def _append(connection: Connection, release: Release) -> None:
    manifest = release.manifest
    connection.execute(
        insert(RELEASES).values(
            run_id=release.run_id,
            channel=manifest.channel,
            seq=manifest.seq,
            version=manifest.version,
            weights_sha256=manifest.weights_sha256,
            package_sha256=manifest.package_sha256,
            manifest=manifest.to_bytes().decode(),
            created_at_s=manifest.created_at.timestamp(),
        )
    )
    for other in release.others:
        values = {"run_id": release.run_id, "tier": other.tier, "manifest": other.to_bytes().decode()}
        connection.execute(insert(RELEASE_TIERS).values(**values))
    record(
        connection,
        "released",
        release.run_id,
        now=manifest.created_at,
        channel=manifest.channel,
        seq=manifest.seq,
        version=manifest.version,
        weights_sha256=manifest.weights_sha256,
    )


def _releases(connection: Connection, rows: Sequence[Row[str, str]]) -> list[Release]:
    others: dict[str, list[NotedRelease]] = {}
    if rows:
        tier = RELEASE_TIERS.c
        wanted = select(tier.run_id, tier.manifest).order_by(tier.tier)
        if len(rows) == 1:
            wanted = wanted.where(tier.run_id == rows[0][0])
        for run_id, text in connection.execute(wanted):
            others.setdefault(run_id, []).append(NotedRelease.from_bytes(text.encode()))
    return [
        Release(
            run_id=run_id,
            manifest=NotedRelease.from_bytes(manifest.encode()),
            others=tuple(others.get(run_id, ())),
        )
        for run_id, manifest in rows
    ]
