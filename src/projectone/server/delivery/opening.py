"""Where the signed releases of a server lie, and what signs them."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

from projectone.server.delivery.ceremonies import Ceremonies
from projectone.server.delivery.publisher import Publisher
from projectone.server.delivery.role_keys import RoleKeys
from projectone.server.delivery.roles import ROLE_KEYS, SIGNED, Lifetimes
from projectone.server.delivery.signed_files import SignedFiles


def signed_files(home: Path) -> SignedFiles:
    """What devices read."""
    return SignedFiles(home / SIGNED)


def role_keys(keys_folder: Path) -> RoleKeys:
    """What signs it."""
    return RoleKeys(keys_folder / ROLE_KEYS)


def open_publisher(home: Path, keys_folder: Path, *, release_days: float) -> Publisher:
    """What lists releases; `release_days` is how long the list of releases is believed."""
    lifetimes = Lifetimes(targets=timedelta(days=release_days))
    return Publisher(home / SIGNED, role_keys(keys_folder), lifetimes=lifetimes)


def open_ceremonies(home: Path, keys_folder: Path) -> Ceremonies:
    """What makes roots."""
    return Ceremonies(signed_files(home), role_keys(keys_folder))
