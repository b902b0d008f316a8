"""Which way to a release is the shortest for this device: an adapter, a difference, a base that pays later, or none.

And the files that the server has for each.
"""

from __future__ import annotations

from collections.abc import Callable

from projectone.contracts.endpoints import release_package, release_update
from projectone.contracts.releases import BasePackage, ReleaseManifest, ReleaseUpdate
from projectone.device.updater.download import Wanted

# A base with an adapter is a whole download and a little more, and makes every later one a fraction.
_WORTH_A_BASE = 1.05


def ways_to(manifest: ReleaseManifest, has_base: Callable[[ReleaseUpdate], bool]) -> list[ReleaseUpdate]:
    """The short ways that this device can go, the fewest bytes first; if all fail, or there is none: the package.

    Args:
        manifest: The release.
        has_base: Whether what an update begins at is here. A way without it is taken only if its base can be fetched,
            and both together are hardly more than the whole package.
    """
    ways = []
    for way in manifest.updates:
        n_bytes = way.size_bytes
        if not has_base(way):
            if way.base_package is None:
                continue
            n_bytes += way.base_package.size_bytes
            if n_bytes > _WORTH_A_BASE * manifest.package_size_bytes:
                continue
        ways.append((n_bytes, way.kind, way))
    return [way for *_, way in sorted(ways, key=lambda item: item[:2])]


def whole(manifest: ReleaseManifest) -> Wanted:
    """The package of a release."""
    return Wanted(
        path=release_package(manifest.package_sha256),
        sha256=manifest.package_sha256,
        size_bytes=manifest.package_size_bytes,
    )


def short(way: ReleaseUpdate) -> Wanted:
    """An adapter, or a difference."""
    return Wanted(path=release_update(way.sha256), sha256=way.sha256, size_bytes=way.size_bytes)


def base_of(package: BasePackage) -> Wanted:
    """The base that an update begins at."""
    return Wanted(path=release_package(package.sha256), sha256=package.sha256, size_bytes=package.size_bytes)
