"""Rows of a backup: one SQLite file, whichever database the server keeps them in.

Rows of PostgreSQL are read in one transaction, as they were at one moment, and carried over table by table. So a server
can be restored into another version of PostgreSQL, or into the other kind of database, and what deleted rows held does
not come along, as it would with the database's own files.
"""

from __future__ import annotations

import contextlib
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

from projectone.server.database import Engine, MetaData, copy_database, forget_freed_pages, open_engine
from projectone.server.keys import KEY_TABLES, open_key_database
from projectone.server.migrations.tables import all_tables
from projectone.server.migrations.upgrade import upgrade_database
from projectone.server.row_copies import carry_rows
from projectone.server.work.backup_files import copy_file
from projectone.storage.files import TEMPORARY_PREFIX, make_folder

# Where a copy is opened to be read: beside what it becomes, closed to others. A restore that was cut off is begun
# again, and takes it away.
_READ_FROM = f"{TEMPORARY_PREFIX}restoring"


def save_rows(engine: Engine, file: Path) -> None:
    """Write the server's rows, whose tables are the newest ones, into a file that is not there yet.

    Raises:
        StorageError: if they could not be read or written.
    """
    _save(engine, file, _open_rows, all_tables())


def save_keys(engine: Engine, file: Path) -> None:
    """Write the keys of consents into a file that is not there yet; errors as `save_rows`."""
    _save(engine, file, open_key_database, KEY_TABLES)


def load_rows(saved: Path, sha256: str, engine: Engine, home: Path) -> None:
    """Put saved rows into a database in which there are none: all of them, or none.

    Args:
        saved: What `save_rows` wrote, here or in an older version.
        sha256: What it must be.
        engine: The database.
        home: A folder for what is read from it meanwhile.

    Raises:
        SettingsError: if there are rows.
        StorageError: if the database refused, or newer code wrote the rows.
        DigestMismatchError: if the file is another one.
    """
    upgrade_database(engine)
    _load(saved, sha256, engine, home, (_open_rows, all_tables()))


def load_keys(saved: Path, sha256: str, engine: Engine, folder: Path) -> None:
    """Put saved keys of consents into a database in which there are none; arguments and errors as `load_rows`."""
    _load(saved, sha256, engine, folder, (open_key_database, KEY_TABLES))


def _open_rows(url: str) -> Engine:
    engine = open_engine(url)
    upgrade_database(engine)
    return engine


def _save(engine: Engine, file: Path, opened: Callable[[str], Engine], tables: MetaData) -> None:
    if engine.dialect.name == "sqlite":
        copy_database(engine, file)
        return
    with _closing(opened(f"sqlite:///{file}")) as target:
        carry_rows(engine, target, tables)


def _load(
    saved: Path, sha256: str, engine: Engine, folder: Path, kind: tuple[Callable[[str], Engine], MetaData]
) -> None:
    opened, tables = kind
    place = folder / _READ_FROM
    shutil.rmtree(place, ignore_errors=True)
    make_folder(place, mode=0o700)
    try:
        copy_file(saved, place / saved.name, expected_sha256=sha256)
        with _closing(opened(f"sqlite:///{place / saved.name}")) as source:
            carry_rows(source, engine, tables)
    finally:
        shutil.rmtree(place)


@contextlib.contextmanager
def _closing(engine: Engine) -> Iterator[Engine]:
    """The file of a database is all there is of it afterwards: nothing waits in a log beside it."""
    try:
        yield engine
        forget_freed_pages(engine)
    finally:
        engine.dispose()
