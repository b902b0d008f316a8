"""`projectone-server backup`: rows, clips, models and keys as they are now, while the server goes on serving."""

from __future__ import annotations

import argparse
import json
import secrets
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from projectone.assist.vectors.opening import VECTORS_FILE
from projectone.contracts.consent import BACKUPS_DAYS, KEY_BACKUPS_DAYS
from projectone.errors import SettingsError
from projectone.server.audit import AuditLog
from projectone.server.database import open_engine
from projectone.server.home import require_home
from projectone.server.keys import open_key_database
from projectone.server.migrations.upgrade import upgrade_database
from projectone.server.replicas.costs import COSTS
from projectone.server.settings import ServerSettings
from projectone.server.work.backup_files import KEYS, ROWS, BackupManifest, copy_file, files_below, write_manifest
from projectone.server.work.backup_rows import save_keys, save_rows
from projectone.storage.files import building_directory

SUMMARY = (
    "Copy the server while it serves: rows, clips, packages and models into one folder, all keys into another one. "
    "Keep them apart: together they open everything that people sent."
)
EXAMPLES = """\
  projectone-server backup /disks/one/2026-11-21 --keys /safe/2026-11-21
  projectone-server restore /disks/one/2026-11-21 --keys /safe/2026-11-21     on the machine that takes over"""

# What the next start makes anew, what belongs to a run that goes on without it, and what is kept elsewhere.
_LEFT_OUT = ("keys", "staging", "runs", "logs", COSTS, "checkpoints.sqlite", VECTORS_FILE, ROWS)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare where the two halves go."""
    parser.add_argument("folder", type=Path, metavar="DIR", help="folder to make for everything but the keys")
    parser.add_argument(
        "--keys", type=Path, required=True, metavar="DIR", help="folder to make for the keys; elsewhere"
    )
    parser.add_argument("--json", action="store_true", help="print one JSON object")


def execute(arguments: argparse.Namespace, settings: ServerSettings) -> int:
    """Make a backup and say what has to become of it."""
    require_home(settings)
    home, keys = make_backup(settings, arguments.folder, arguments.keys, now=datetime.now(UTC))
    facts: dict[str, Any] = {
        "backup_id": home.backup_id,
        "folder": str(arguments.folder),
        "keys_folder": str(arguments.keys),
        "n_files": len(home.files),
        "size_bytes": sum(file.size_bytes for file in home.files),
        "merkle_root": home.merkle_root,
        "n_keys_files": len(keys.files),
        "delete_within_days": BACKUPS_DAYS,
        "delete_keys_within_days": KEY_BACKUPS_DAYS,
    }
    told = (
        f"{facts['n_files']} files, {facts['size_bytes'] / 1e6:.1f} MB, in {arguments.folder}\n"
        f"{len(keys.files)} files of keys in {arguments.keys}: keep them apart, whoever has both has every voice\n"
        f"delete the keys within {KEY_BACKUPS_DAYS} days and the rest within {BACKUPS_DAYS}, as people were promised: "
        "the copied master key opens what is withdrawn from now on, until its copy is gone"
    )
    print(json.dumps(facts) if arguments.json else told)
    return 0


def make_backup(
    settings: ServerSettings, folder: Path, keys_folder: Path, *, now: datetime
) -> tuple[BackupManifest, BackupManifest]:
    """Copy everything; gives the manifests of both halves. They appear when they are whole.

    Clips are copied before the rows that name them and again after, so none that a row names is missing. Keys are
    copied last: what was withdrawn meanwhile has no key in the copy, and a restore takes its rows out.

    Raises:
        SettingsError: if the folders are not apart.
        StorageError: if one exists or the disk refused.
    """
    folder, keys_folder = folder.resolve(), keys_folder.resolve()
    for one, other in (
        (folder, keys_folder),
        (keys_folder, folder),
        (folder, settings.home),
        (keys_folder, settings.home),
    ):
        if one == other or other in one.parents:
            raise SettingsError(f"backup: expected a folder apart from {str(other)!r}, got {str(one)!r}")
    engine, keys_engine = open_engine(settings.database_url), open_key_database(settings.keys_database_url)
    try:
        upgrade_database(engine)
        backup_id = f"{now:%Y%m%dT%H%M%SZ}-{secrets.token_hex(4)}"
        with building_directory(keys_folder) as keys, building_directory(folder) as home:
            home.chmod(0o700)
            keys.chmod(0o700)
            _copy_new(settings.home, home, without=_LEFT_OUT)
            checkpoint = AuditLog(engine).checkpoint(now)
            save_rows(engine, home / ROWS)
            _copy_new(settings.home, home, without=_LEFT_OUT)
            # Twice, as a rotation may be under way: what the copied rows are wrapped with is in one of the two.
            _copy_new(settings.keys_folder, keys, without=(KEYS,))
            save_keys(keys_engine, keys / KEYS)
            _copy_new(settings.keys_folder, keys, without=(KEYS,))
            common: dict[str, Any] = {"backup_id": backup_id, "made_at": now, "checkpoint": checkpoint}
            made = write_manifest(home, half="home", **common), write_manifest(keys, half="keys", **common)
    finally:
        engine.dispose()
        keys_engine.dispose()
    return made


def _copy_new(source: Path, target: Path, *, without: tuple[str, ...]) -> None:
    """Copy what is not there yet; what goes meanwhile is not missed."""
    for name in files_below(source, without=without):
        if not (target / name).exists():
            is_blob = name.startswith("blobs/")  # what has rotted is no backup
            try:
                copy_file(source / name, target / name, expected_sha256=Path(name).name if is_blob else None)
            except FileNotFoundError:
                continue
