"""A restore that is under way: what it brings and where to, kept in the home until it has settled.

Between the rows and the end of a restore a person who withdrew may be back. While the mark is there no server opens the
home, and the same restore goes on where it was cut off.
"""

from __future__ import annotations

from typing import Literal

from projectone.contracts.base import Contract, Name
from projectone.errors import SettingsError, StorageError
from projectone.server.database import describe_database
from projectone.server.home import RESTORING
from projectone.server.settings import ServerSettings
from projectone.server.work.checkpoints import ErasedList
from projectone.storage.files import fsync_folder, make_folder, write_atomically


class RestoreMark(Contract):
    """Written before the first key or row. What lies at `rows_at` and `keys_at` since then came from this backup.

    `erased` is what was known as withdrawn when it began; a restore that goes on erases it too, without being told.
    """

    schema_version: Literal[1] = 1
    backup_id: Name
    brings_keys: bool
    rows_at: str
    keys_at: str
    erased: ErasedList


def read_mark(settings: ServerSettings, backup_id: str) -> RestoreMark | None:
    """The mark of this backup's restore, if one was cut off here.

    Raises:
        SettingsError: if another backup's was, or rows and keys were to go elsewhere.
        StorageError, ContractError: if the mark cannot be read.
    """
    path = settings.home / RESTORING
    try:
        mark = RestoreMark.from_bytes(path.read_bytes())
    except FileNotFoundError:
        return None
    except OSError as error:
        raise StorageError(f"{path}: could not be read: {error}") from error
    if mark.backup_id != backup_id:
        raise SettingsError(
            f"restore: expected backup {mark.backup_id}, whose restore was cut off at {str(settings.home)!r}, got "
            f"{backup_id}: go on with that one, or take the home and its databases away first"
        )
    for name, was, url in (
        ("DATABASE_URL", mark.rows_at, settings.database_url),
        ("KEYS_DATABASE_URL", mark.keys_at, settings.keys_database_url),
    ):
        if describe_database(url) != was:
            raise SettingsError(f"PROJECTONE_SERVER_{name}: expected {was}, where the restore began, got another place")
    return mark


def write_mark(settings: ServerSettings, backup_id: str, *, brings_keys: bool, erased: ErasedList) -> None:
    """Say what begins now; before anything of it is there."""
    mark = RestoreMark(
        backup_id=backup_id,
        brings_keys=brings_keys,
        rows_at=describe_database(settings.database_url),
        keys_at=describe_database(settings.keys_database_url),
        erased=erased,
    )
    make_folder(settings.home, mode=0o700)
    settings.home.chmod(0o700)
    write_atomically(settings.home / RESTORING, mark.to_bytes())
    fsync_folder(settings.home)
    fsync_folder(settings.home.parent)


def remove_mark(settings: ServerSettings) -> None:
    """The restore has settled: servers may open the home."""
    (settings.home / RESTORING).unlink()
    fsync_folder(settings.home)
