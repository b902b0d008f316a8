"""A backup that is older than people were promised is told of, by what it says and not by where it lies."""

from __future__ import annotations

import json
import os
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from projectone.contracts.consent import BACKUPS_DAYS, KEY_BACKUPS_DAYS
from projectone.contracts.erasures import ERASURE_LIMITS
from projectone.server import doctor
from projectone.server.corpus.backup_ages import MANIFEST, kept_backups, overdue, told
from projectone.server.serve.initialise import initialise
from projectone.server.settings import ServerSettings
from projectone.server.work import backup_files
from projectone.server.work.backup import make_backup

NOW = datetime(2026, 11, 21, 12, tzinfo=UTC)


def test_both_halves_of_a_real_backup_are_found_and_each_has_its_time(tmp_path: Path) -> None:
    settings = ServerSettings.from_env({"PROJECTONE_SERVER_HOME": str(tmp_path / "home")})
    initialise(settings)
    folders = tmp_path / "disk" / "nightly", tmp_path / "safe"
    folders[0].mkdir(parents=True)
    folders[1].mkdir()
    make_backup(settings, folders[0] / "one", folders[1] / "one", now=NOW)
    found = kept_backups((tmp_path / "disk", tmp_path / "safe"))
    assert {(item.folder, item.half, item.made_at) for item in found} == {
        (folders[0] / "one", "home", NOW),
        (folders[1] / "one", "keys", NOW),
    }
    late_after = {
        days: sorted(item.half for item in overdue(found, NOW + timedelta(days=days, seconds=1)))
        for days in (KEY_BACKUPS_DAYS - 1, KEY_BACKUPS_DAYS, BACKUPS_DAYS)
    }
    assert late_after == {KEY_BACKUPS_DAYS - 1: [], KEY_BACKUPS_DAYS: ["keys"], BACKUPS_DAYS: ["home", "keys"]}
    assert "is 31 days old, promised were 7: delete it" in told(found, NOW + timedelta(days=31))
    assert MANIFEST == backup_files.MANIFEST


def test_a_manifest_that_says_nothing_and_a_bare_copy_of_keys_are_taken_by_their_date(tmp_path: Path) -> None:
    broken, bare = tmp_path / "broken" / MANIFEST, tmp_path / "cron" / "consents.sqlite.2026-10-01"
    for path, content in ((broken, b"{}"), (bare, b"SQLite format 3")):
        path.parent.mkdir()
        path.write_bytes(content)
        os.utime(path, (NOW.timestamp(), NOW.timestamp()))
    found = kept_backups([tmp_path])
    assert [(item.folder.name, item.half, item.made_at) for item in found] == [
        ("broken", "home", NOW),
        ("cron", "keys", NOW),
    ]


def test_the_doctor_warns_of_what_is_too_old(tmp_path: Path) -> None:
    def finding(*folders: Path) -> doctor.Finding:
        told_of = {"PROJECTONE_SERVER_BACKUP_FOLDERS": os.pathsep.join(map(str, folders))} if folders else {}
        return doctor.check_backups(ServerSettings.from_env({"PROJECTONE_SERVER_HOME": str(tmp_path), **told_of}))

    assert "nobody looks" in finding().detail
    assert finding(tmp_path / "nowhere").level == "warning"
    folder = tmp_path / "backups"
    (folder / "old").mkdir(parents=True)
    manifest = {"half": "home", "made_at": datetime.now(UTC).isoformat()}
    (folder / "old" / MANIFEST).write_text(json.dumps(manifest))
    assert finding(folder).level == "ok"
    manifest["made_at"] = "2020-01-01T00:00:00+00:00"
    (folder / "old" / MANIFEST).write_text(json.dumps(manifest))
    late = finding(folder)
    assert (late.level, f"promised were {BACKUPS_DAYS}" in late.detail) == ("warning", True)


@pytest.mark.parametrize("words", [f"{KEY_BACKUPS_DAYS} days at most", "it reaches no other copy"])
def test_a_receipt_says_what_is_checked_and_what_is_not(words: str) -> None:
    assert any(words in limit for limit in ERASURE_LIMITS)
