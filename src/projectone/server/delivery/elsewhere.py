"""Where a package can be fetched besides the API: behind a CDN, or from the bucket by an address that is signed."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from functools import cache
from typing import Final

from projectone.errors import StorageError
from projectone.storage.objects import ObjectStore

LIFETIME: Final = timedelta(minutes=15)
"""Of a signed address: long enough to begin a download with; a device that goes on later asks for another."""

Elsewhere = Callable[[str], str | None]
"""The address of a package by its digest; None if the API hands it out itself."""


def nowhere(sha256: str) -> str | None:
    """The API hands out everything."""
    return None


def behind_cdn(packages_url: str) -> Elsewhere:
    """Everything lies behind a CDN, under its digest."""
    return lambda sha256: f"{packages_url}/{sha256}"


def in_bucket(open_store: Callable[[], ObjectStore]) -> Elsewhere:
    """Everything lies in a bucket that signs addresses; what it cannot sign the API hands out.

    Args:
        open_store: Opens the bucket when it is first asked: its library takes a second to load.
    """
    opened = cache(open_store)

    def address(sha256: str) -> str | None:
        try:
            return opened().sign_get(sha256, LIFETIME)
        except StorageError:  # no credentials for it on this machine: what lies here serves as well
            return None

    return address
