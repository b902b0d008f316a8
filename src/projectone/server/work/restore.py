"""`projectone-server restore`: a backup becomes a server's home again, without what people withdrew since."""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path

from projectone.assist.vectors.opening import VECTORS_FILE
from projectone.contracts.checkpoints import AuditCheckpoint
from projectone.errors import SettingsError, StorageError
from projectone.server.audit import AuditLog, record
from projectone.server.corpus.derived import Derived
from projectone.server.corpus.history import Histories
from projectone.server.corpus.retention import keep_withdrawals, sweep
from projectone.server.database import MetaData, open_engine, writing
from projectone.server.delivery.ledger import Ledger
from projectone.server.delivery.signing import load_signer
from projectone.server.home import RELEASE_KEY, open_catalog, open_keys
from projectone.server.keys import KEY_TABLES, open_key_database
from projectone.server.memories.restored import forget_destroyed, vectors_are_elsewhere
from projectone.server.memories.withdrawn import forget_withdrawn
from projectone.server.migrations.tables import all_tables
from projectone.server.migrations.upgrade import upgrade_database
from projectone.server.row_copies import has_rows, require_no_rows
from projectone.server.runs import Runs
from projectone.server.settings import ServerSettings
from projectone.server.work.backup_files import KEYS, ROWS, BackupManifest, copy_file, read_backup
from projectone.server.work.backup_rows import load_keys, load_rows
from projectone.server.work.checkpoints import ERASED_LIST, ErasedList, kept_checkpoints
from projectone.server.work.restore_mark import RestoreMark, read_mark, remove_mark, write_mark
from projectone.storage.blobs import FileBlobs
from projectone.storage.files import fsync_folder, make_folder, sync_tree

SUMMARY = (
    "Make a server's home from a backup. Every digest is compared first; what was withdrawn after the backup goes "
    "again, as far as the keys that are here, or the folder of checkpoints, know of it."
)
EXAMPLES = """\
  PROJECTONE_SERVER_HOME=/srv/projectone projectone-server restore /disks/one/2026-11-21 --keys /safe/2026-11-21
  projectone-server restore /disks/one/2026-11-21                the keys of this home survived: they stay
  projectone-server restore /disks/one/2026-11-21 --erased /elsewhere/erased.list     what was withdrawn since"""

_SET_ASIDE = "before-restore"


@dataclass(frozen=True, kw_only=True)
class Restored:
    """What was found while restoring."""

    backup_id: str
    made_at: str
    n_files: int
    n_samples: int
    n_withdrawn_again: int
    is_known_what_was_withdrawn: bool
    n_missing_clips: int
    n_unreadable_texts: int
    n_lost_entries: int


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the two halves."""
    parser.add_argument("folder", type=Path, metavar="DIR", help="the half without keys")
    parser.add_argument(
        "--keys", type=Path, metavar="DIR", help="the half with the keys; none: those of this home stay"
    )
    parser.add_argument(
        "--erased",
        type=Path,
        metavar="FILE",
        help=f"{ERASED_LIST} as it is now (default: in the folder of checkpoints)",
    )
    parser.add_argument("--json", action="store_true", help="print one JSON object")


def execute(arguments: argparse.Namespace, settings: ServerSettings) -> int:
    """Restore, and say what is missing since."""
    done = restore(settings, arguments.folder, arguments.keys, erased=arguments.erased, now=datetime.now(UTC))
    told = (
        f"restored {done.n_files} files of {done.made_at[:16].replace('T', ' ')}: {done.n_samples} samples, every "
        f"digest as it was\n{done.n_withdrawn_again} withdrawals and deletions since were carried out again"
    )
    if not done.is_known_what_was_withdrawn:
        told += (
            f"\nwhat was withdrawn since is not known: the keys are the backup's, and {ERASED_LIST} is not in "
            f"{str(settings.checkpoints)!r}; if it is kept anywhere, restore again elsewhere with --erased"
        )
    if done.n_missing_clips or done.n_unreadable_texts:
        told += f"\n{done.n_missing_clips} clips and {done.n_unreadable_texts} texts are missing: see `corpus scrub`"
    if done.n_lost_entries:
        told += f"\n{done.n_lost_entries} entries of the audit log are lost; later checkpoints lie in {_SET_ASIDE}/"
    print(json.dumps(asdict(done)) if arguments.json else f"{told}\nNext: projectone-server doctor, then serve")
    return 0


def restore(
    settings: ServerSettings, folder: Path, keys_folder: Path | None, *, erased: Path | None = None, now: datetime
) -> Restored:
    """Make the home; gives what was found.

    Args:
        settings: Say where the home is to be: nowhere yet, or a home whose rows are gone.
        folder: The half of a backup without keys.
        keys_folder: The half with the keys; None if those of the home survived.
        erased: What was withdrawn, newer than the backup; None for the one in the folder of checkpoints.
        now: With its zone.

    Raises:
        SettingsError: if there are rows or keys that would be written over, the halves do not belong together, or
            another restore was cut off here.
        StorageError: if the backup or the restored home is not whole.
    """
    manifest = read_backup(folder, "home")
    keys = None if keys_folder is None else read_backup(keys_folder, "keys")
    mark = read_mark(settings, manifest.backup_id)
    if mark is None:
        _require_room(settings)
    # What is there of a restore that was cut off came from this backup: it stays, or is written once more.
    _require_keys_once(settings, keys_folder, mark)
    if keys is not None and keys.backup_id != manifest.backup_id:
        raise SettingsError(f"--keys: expected the keys of backup {manifest.backup_id}, got {keys.backup_id}")
    read = _read_erased(erased or settings.checkpoints / ERASED_LIST, is_required=erased is not None)
    known = read or ErasedList(consents=(), samples=())
    try:
        if mark is None:
            write_mark(settings, manifest.backup_id, brings_keys=keys is not None, erased=known)
        else:
            known = known.with_all_of(mark.erased)
        if keys is not None and keys_folder is not None:
            _bring_keys(settings, keys, keys_folder)
        _bring_rows(settings, manifest, folder)
    except OSError as error:
        raise StorageError(f"{settings.home}: could not be restored: {error}") from error
    is_known = keys is None or read is not None or known.is_anything
    done = _settle(settings, manifest, known, now, is_known=is_known)
    remove_mark(settings)
    return done


def _require_room(settings: ServerSettings) -> None:
    rows = settings.home / ROWS
    _require_place("DATABASE_URL", settings.database_url, rows, all_tables())
    if rows.exists():
        raise SettingsError(f"{str(rows)!r} exists: move the old home away first, so that nothing of it is lost")


def _require_keys_once(settings: ServerSettings, keys_folder: Path | None, mark: RestoreMark | None) -> None:
    """Keys of the home or of the backup, never one over the other: those of the home know what was withdrawn."""
    has_keys = (settings.keys_folder / RELEASE_KEY).is_file()
    if keys_folder is None and not has_keys:
        raise SettingsError("--keys: there are none at this home; give the half of the backup that holds them")
    if mark is not None and mark.brings_keys:
        return
    if keys_folder is not None:
        _require_place("KEYS_DATABASE_URL", settings.keys_database_url, settings.keys_folder / KEYS, KEY_TABLES)
    if keys_folder is not None and has_keys:
        raise SettingsError(f"{str(settings.keys_folder)!r} holds keys: leave --keys out, or move them away first")


def _require_place(name: str, url: str, file: Path, tables: MetaData) -> None:
    """The file that belongs there, or a PostgreSQL without rows."""
    if url == f"sqlite:///{file}":
        return
    engine = open_engine(url)
    try:
        if engine.dialect.name == "sqlite":
            raise SettingsError(f"restore: expected the rows at their own place, {str(file)!r}; unset {name}")
        require_no_rows(engine, tables)
    finally:
        engine.dispose()


def _bring_keys(settings: ServerSettings, manifest: BackupManifest, source: Path) -> None:
    """The release key comes last: a home that has it has all keys, and they are not written over."""
    if not (settings.keys_folder / RELEASE_KEY).is_file():
        _copy_keys(settings, manifest, source)
    keys = open_keys(settings, can_open=True)
    try:
        keys.prove()  # before the rows are there: the passphrase may be missing
    finally:
        keys.close()


def _copy_keys(settings: ServerSettings, manifest: BackupManifest, source: Path) -> None:
    if settings.keys_database_url == f"sqlite:///{settings.keys_folder / KEYS}":
        _copy(manifest, source, settings.keys_folder, last=RELEASE_KEY)
        return
    engine = open_key_database(settings.keys_database_url)
    try:
        make_folder(settings.keys_folder, mode=0o700)
        if not has_rows(engine, KEY_TABLES):  # all of them came by one transaction, or none
            load_keys(source / KEYS, manifest.sha256_of(KEYS), engine, settings.keys_folder)
    finally:
        engine.dispose()
    _copy(manifest, source, settings.keys_folder, last=RELEASE_KEY, without=KEYS)


def _bring_rows(settings: ServerSettings, manifest: BackupManifest, source: Path) -> None:
    if settings.database_url == f"sqlite:///{settings.home / ROWS}":
        for suffix in ("-wal", "-shm", "-journal"):  # of rows that are written once more
            (settings.home / f"{ROWS}{suffix}").unlink(missing_ok=True)
        _copy(manifest, source, settings.home, last=ROWS)
        return
    _copy(manifest, source, settings.home, without=ROWS)
    engine = open_engine(settings.database_url)
    try:
        if not has_rows(engine, all_tables()):  # all of them came by one transaction, or none
            load_rows(source / ROWS, manifest.sha256_of(ROWS), engine, settings.home)
    finally:
        engine.dispose()


def _copy(
    manifest: BackupManifest, source: Path, target: Path, *, last: str | None = None, without: str | None = None
) -> None:
    make_folder(target, mode=0o700)
    target.chmod(0o700)
    # Backups of before hold vectors, copied while they were written: they are made anew.
    files = [file for file in manifest.files if file.path not in (without, VECTORS_FILE)]
    for file in sorted(files, key=lambda file: file.path == last):
        if file.path == last:
            sync_tree(target)
        copy_file(source / file.path, target / file.path, expected_sha256=file.sha256)
    sync_tree(target)
    fsync_folder(target.parent)


def _read_erased(path: Path, *, is_required: bool) -> ErasedList | None:
    try:
        return ErasedList.from_bytes(path.read_bytes())
    except FileNotFoundError:
        if is_required:
            raise SettingsError(f"--erased: there is no {str(path)!r}") from None
        return None


def _settle(
    settings: ServerSettings, manifest: BackupManifest, erased: ErasedList, now: datetime, *, is_known: bool
) -> Restored:
    """Carry out again what was withdrawn since, and compare rows, clips, keys and log with one another."""
    engine = open_engine(settings.database_url)
    try:
        upgrade_database(engine)
        log = AuditLog(engine)
        if not (found := log.verify([manifest.checkpoint])).is_sound:
            raise StorageError(f"audit log: {found.problems[0]}")
        catalog, blobs = open_catalog(settings, engine), FileBlobs(settings.home / "blobs")
        n_before = len(catalog.deleted())
        catalog.vault.shred((*erased.consents, *erased.keys))
        for sample_id, contributor_id in erased.samples:
            catalog.vault.note_deleted(sample_id, contributor_id)
        n_again = keep_withdrawals(catalog, now) + len(catalog.deleted()) - n_before
        forget_withdrawn(engine, catalog.vault.shred, catalog.ended, now)
        n_again += forget_destroyed(engine, catalog.vault.shredded, now)
        vectors_are_elsewhere(engine)
        sweep(catalog, blobs)
        Derived(settings.home, catalog, Runs(engine), Ledger(engine).released_weights).erase()
        n_missing = sum(not blobs.has(sha256) for sha256 in Histories(engine, catalog.vault).clips())
        n_unreadable = len(catalog.unopenable())
        later = _later(settings, manifest.checkpoint)
        n_lost = max((n for n, _ in later), default=manifest.checkpoint.n_entries) - manifest.checkpoint.n_entries
        with writing(engine) as connection:
            record(
                connection, "restored", manifest.backup_id, now=now, n_withdrawn_again=n_again, n_lost_entries=n_lost
            )
        _set_aside(path for _, path in later)
        return Restored(
            backup_id=manifest.backup_id,
            made_at=manifest.made_at.isoformat(),
            n_files=len(manifest.files),
            n_samples=sum(n for state, n in catalog.counts().items() if state != "erased"),
            n_withdrawn_again=n_again,
            is_known_what_was_withdrawn=is_known,
            n_missing_clips=n_missing,
            n_unreadable_texts=n_unreadable,
            n_lost_entries=n_lost,
        )
    finally:
        engine.dispose()


def _later(settings: ServerSettings, restored: AuditCheckpoint) -> list[tuple[int, Path]]:
    """Checkpoints of entries that are lost: how many each knew of, the most last."""
    trusted = load_signer(settings.keys_folder / RELEASE_KEY).trusted
    known = kept_checkpoints(settings.checkpoints, trusted)
    return sorted((item.n_entries, path) for path, item in known.items() if item.n_entries > restored.n_entries)


def _set_aside(paths: Iterable[Path]) -> None:
    """They stay, in a folder of their own. The newest goes last: a restore that goes on still counts what is lost."""
    for path in paths:
        make_folder(path.parent / _SET_ASIDE)
        path.rename(path.parent / _SET_ASIDE / path.name)
