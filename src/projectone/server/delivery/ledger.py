"""Releases as rows: appended, never rewritten. What is current is the newest row of a channel."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime

from sqlalchemy import (
    Column,
    Connection,
    Engine,
    Float,
    Integer,
    String,
    Table,
    Text,
    UniqueConstraint,
    func,
    insert,
    select,
    update,
)

from projectone.contracts.endpoints import release_package
from projectone.contracts.releases import LatestModelInfo, ReleaseManifest, SignedManifest
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
    Column("signed", Text, nullable=False),
    Column("created_at_s", Float, nullable=False),
    UniqueConstraint("channel", "seq"),
)

_READ = (RELEASES.c.run_id, RELEASES.c.manifest, RELEASES.c.signed)

Sign = Callable[[ReleaseManifest], SignedManifest]


@dataclass(frozen=True, kw_only=True)
class Release:
    """One release: what its manifest says, and that manifest signed."""

    run_id: str
    manifest: ReleaseManifest
    signed: SignedManifest


class Ledger:
    """The table of releases."""

    def __init__(self, engine: Engine, *, public_url: str = "") -> None:
        """Read and write releases.

        Args:
            engine: The server's database.
            public_url: Where devices reach the API, without a final slash; empty gives URLs relative to it.
        """
        self._engine = engine
        self._public_url = public_url.rstrip("/")

    def publish(
        self,
        run_id: str,
        channel: str,
        draft: Callable[[int], ReleaseManifest],
        sign: Sign,
        *,
        guard: Callable[[Connection], None] | None = None,
        before_new: Callable[[Connection], None] | None = None,
    ) -> Release:
        """Append a release; the one that `run_id` made before is given again.

        Args:
            run_id: Who publishes.
            channel: Who gets it.
            draft: The manifest for a sequence number, which is one more than the channel's newest.
            sign: Signs the manifest.
            guard: Refuses the transaction if the caller's lease is stale.
            before_new: Refuses it if the model must not leave; not asked about a release that is there already.

        Raises:
            LeaseError: if the guard refuses.
            WithdrawnError: if `before_new` does.
            StorageError: if the manifest is not of this channel and number.
        """
        row = RELEASES.c
        with writing(self._engine) as connection:
            if guard is not None:
                guard(connection)
            known = connection.execute(select(*_READ).where(row.run_id == run_id)).first()
            if known is not None:
                return _release(*known)
            if before_new is not None:
                before_new(connection)
            newest = connection.execute(select(func.max(row.seq)).where(row.channel == channel)).scalar()
            seq = int(newest or 0) + 1
            manifest = draft(seq)
            before = connection.execute(
                select(row.manifest).where(row.channel == channel).order_by(row.seq.desc()).limit(1)
            ).scalar()
            if before is not None:  # what was retired stays so
                floor = ReleaseManifest.from_bytes(before.encode()).min_seq
                manifest = manifest.model_copy(update={"min_seq": max(floor, manifest.min_seq)})
            if (manifest.channel, manifest.seq) != (channel, seq):
                raise StorageError(f"release: expected {channel} {seq}, got {manifest.channel} {manifest.seq}")
            signed = sign(manifest)
            connection.execute(
                insert(RELEASES).values(
                    run_id=run_id,
                    channel=channel,
                    seq=seq,
                    version=manifest.version,
                    weights_sha256=manifest.weights_sha256,
                    package_sha256=manifest.package_sha256,
                    manifest=manifest.to_bytes().decode(),
                    signed=signed.to_bytes().decode(),
                    created_at_s=manifest.created_at.timestamp(),
                )
            )
            record(
                connection,
                "released",
                run_id,
                now=manifest.created_at,
                channel=channel,
                seq=seq,
                version=manifest.version,
                weights_sha256=manifest.weights_sha256,
            )
        return Release(run_id=run_id, manifest=manifest, signed=signed)

    def renew(self, channel: str, expires_at: datetime, sign: Sign) -> None:
        """Sign the channel's newest release again with a later expiry; nothing else of it changes."""
        newest = self.newest(channel)
        if newest is None:
            return
        manifest = newest.manifest.model_copy(update={"expires_at": expires_at.astimezone(UTC)})
        signed = sign(manifest).to_bytes().decode()
        values = {"manifest": manifest.to_bytes().decode(), "signed": signed}
        with writing(self._engine) as connection:
            connection.execute(update(RELEASES).where(RELEASES.c.run_id == newest.run_id).values(**values))

    def released_weights(self) -> set[str]:
        """Digests of every model that was ever released, on any channel."""
        with reading(self._engine) as connection:
            return set(connection.execute(select(RELEASES.c.weights_sha256)).scalars())

    def newest(self, channel: str) -> Release | None:
        """The channel's newest release: the model in production."""
        row = RELEASES.c
        found = select(*_READ).where(row.channel == channel).order_by(row.seq.desc()).limit(1)
        with reading(self._engine) as connection:
            known = connection.execute(found).first()
        return None if known is None else _release(*known)

    def find(self, run_id: str) -> Release | None:
        """The release that a run made."""
        found = select(*_READ).where(RELEASES.c.run_id == run_id)
        with reading(self._engine) as connection:
            known = connection.execute(found).first()
        return None if known is None else _release(*known)

    def releases(self, channel: str | None = None) -> list[Release]:
        """All releases, oldest first."""
        ordered = select(*_READ).order_by(RELEASES.c.id)
        if channel is not None:
            ordered = ordered.where(RELEASES.c.channel == channel)
        with reading(self._engine) as connection:
            rows = connection.execute(ordered).all()
        return [_release(*row) for row in rows]

    def manifests(self) -> list[tuple[str, ReleaseManifest]]:
        """Every release, oldest first: the run that made it, and what its manifest says."""
        return [(release.run_id, release.manifest) for release in self.releases()]

    def latest(self, channel: str) -> LatestModelInfo | None:
        """What `/latest-model-info` answers, or none before the first release."""
        release = self.newest(channel)
        if release is None:
            return None
        manifest = release.manifest
        return LatestModelInfo(
            version=manifest.version,
            url=f"{self._public_url}{release_package(manifest.package_sha256)}",
            sha256=manifest.package_sha256,
            size_bytes=manifest.package_size_bytes,
            seq=manifest.seq,
            min_seq=manifest.min_seq,
            channel=manifest.channel,
            expires_at=manifest.expires_at,
            signed=release.signed,
        )


def _release(run_id: str, manifest_text: str, signed_text: str) -> Release:
    return Release(
        run_id=run_id,
        manifest=ReleaseManifest.from_bytes(manifest_text.encode()),
        signed=SignedManifest.from_bytes(signed_text.encode()),
    )
