"""Back to the model before: a new release with the old bytes, since devices never go to a lower number."""

from __future__ import annotations

from collections.abc import Callable, Collection
from datetime import datetime
from functools import partial

from projectone.contracts.releases import ReleaseManifest
from projectone.contracts.versions import ModelVersion
from projectone.errors import DataError
from projectone.server.audit import record
from projectone.server.database import Engine, writing
from projectone.server.delivery.ledger import Ledger, Release


def roll_back(
    engine: Engine,
    ledger: Ledger,
    *,
    channel: str,
    by: str,
    now: datetime,
    recalled: Callable[[], Collection[str]] = frozenset,
) -> Release:
    """Release what was in production before, as it was, for everybody at once. Asked twice, it is done once.

    Args:
        engine: The server's database.
        ledger: What is released.
        channel: Whose release is taken back.
        by: Who decided so.
        now: The time.
        recalled: Runs whose releases learned from what was withdrawn: no way back leads to them.

    Raises:
        DataError: if there is nothing to go back to.
    """
    releases = ledger.releases(channel)
    if not releases:
        raise DataError("rollout", f"nothing has been released to {channel!r} yet")
    newest, marked = releases[-1], recalled()
    run_id = run_id_of(newest.manifest)
    if newest.run_id.startswith(_PREFIX):  # what this very command made a moment ago
        return newest
    earlier = next((item for item in reversed(releases[:-1]) if _may_return(item, newest, marked)), None)
    if earlier is None:
        raise DataError(
            "rollout", f"release {newest.manifest.seq}: there is no earlier model on {channel!r} to go back to"
        )
    version = str(ModelVersion.parse(newest.manifest.version).successor())

    def draft(seq: int, manifest: ReleaseManifest) -> ReleaseManifest:
        values = {"seq": seq, "version": version, "rollout": None, "created_at": now, "expires_at": None}
        return manifest.model_copy(update=values)

    release = ledger.publish(
        run_id,
        channel,
        partial(draft, manifest=earlier.manifest),
        others=[partial(draft, manifest=manifest) for manifest in earlier.others],
    )
    with writing(engine) as connection:
        subject = f"{channel}/{newest.manifest.seq}"
        record(
            connection,
            "rollout-rolled-back",
            subject,
            by=by,
            now=now,
            to=earlier.manifest.seq,
            seq=release.manifest.seq,
        )
    return release


_PREFIX = "rollback-"


def run_id_of(manifest: ReleaseManifest) -> str:
    """The name under which a release is taken back."""
    return f"{_PREFIX}{manifest.channel}-{manifest.seq}"[:96]


def _may_return(release: Release, newest: Release, marked: Collection[str]) -> bool:
    manifest = release.manifest
    is_other = manifest.weights_sha256 != newest.manifest.weights_sha256
    return is_other and release.run_id not in marked and manifest.seq >= newest.manifest.min_seq
