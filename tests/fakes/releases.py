"""A release's manifest, of nothing in particular."""

from __future__ import annotations

from datetime import UTC, datetime

from projectone.contracts.releases import ReleaseManifest

RELEASED_AT = datetime(2026, 11, 21, 12, tzinfo=UTC)


def a_manifest() -> ReleaseManifest:
    """Version 1.0.0 on the channel `stable`; to be changed with `model_copy`."""
    return ReleaseManifest(
        channel="stable",
        seq=1,
        version="1.0.0",
        repo_id="acme/whisper",
        commit="0" * 40,
        base_sha256="0" * 64,
        weights_sha256="0" * 64,
        package_sha256="0" * 64,
        package_size_bytes=1,
        files=(),
        created_at=RELEASED_AT,
        expires_at=RELEASED_AT.replace(year=2027),
    )
