"""Updates: what is taken, what is refused, and that the old model stays whatever happens."""

from __future__ import annotations

import os
import shutil
import zipfile
from collections import namedtuple
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from tests.fakes.device_rooms import VOICE, heard_by, text_model, update
from tests.fakes.release_server import FakeServer, zip_of

from projectone.contracts.base import sha256_hex
from projectone.contracts.releases import ReleaseFile
from projectone.device.installed import Installed, Outcome
from projectone.device.updater.room import OverBudgetError
from projectone.errors import (
    ArtifactError,
    ContractError,
    DigestMismatchError,
    ExpiredReleaseError,
    LeaseError,
    ProjectOneError,
    RefusedError,
    RollbackError,
    SettingsError,
    SignatureError,
    StorageError,
    TransportError,
)


def with_first_release(home: Path, server: FakeServer) -> None:
    server.release(text_model("old"), seq=5, version="1.0.0")
    assert update(home, server).status == "updated"


def on_disk(home: Path) -> set[str]:
    return {path.name for path in (home / "models" / "releases").iterdir()}


def test_a_release_is_installed_and_the_model_before_is_kept(tmp_path: Path, server: FakeServer) -> None:
    with_first_release(tmp_path, server)
    server.release(text_model("new"), seq=6, version="1.1.0")
    report = update(tmp_path, server)
    assert (report.status, report.from_version, report.to_version) == ("updated", "1.0.0", "1.1.0")
    assert heard_by(tmp_path) == "new"
    assert on_disk(tmp_path) == {"5", "6"}
    assert list((tmp_path / "staging").iterdir()) == []


def test_only_two_models_are_kept(tmp_path: Path, server: FakeServer) -> None:
    for seq in (1, 2, 3, 4):
        server.release(text_model(f"model {seq}"), seq=seq, version=f"1.{seq}.0")
        update(tmp_path, server)
    assert on_disk(tmp_path) == {"3", "4"}


def test_the_same_release_again_costs_one_question(tmp_path: Path, server: FakeServer) -> None:
    with_first_release(tmp_path, server)
    before = len(server.requests)
    assert update(tmp_path, server).status == "current"
    assert len(server.requests) == before + 1


def test_a_server_without_a_release_is_no_error(tmp_path: Path, server: FakeServer) -> None:
    assert [update(tmp_path, server).status for _ in range(2)] == ["no-release"] * 2
    assert server.asked("GET", "/tuf/metadata/timestamp.json") == 1
    server.release(text_model("first"))
    assert update(tmp_path, server).status == "updated"


def forge(server: FakeServer, what: str) -> None:
    """Put something on the server that a device must not take."""
    files = text_model("evil")
    now = datetime.now(UTC)
    signed: dict[str, dict[str, Any]] = {
        "older": {"seq": 4},
        "number out of proportion": {"seq": 200_006},
        "needs a newer app": {"min_runtime": "9.0.0"},
        "nonsense runtime": {"min_runtime": "soon"},
        "file digest": {
            "files": tuple(ReleaseFile(path=name, sha256="0" * 64, size_bytes=len(files[name])) for name in files)
        },
        "file size": {"files": tuple(ReleaseFile(path=n, sha256=sha256_hex(files[n]), size_bytes=9) for n in files)},
        "file named twice": {"files": (ReleaseFile(path=VOICE, sha256=sha256_hex(b"evil"), size_bytes=4),) * 2},
    }
    packages = {
        "path traversal": zip_of({**files, "../../outside": b"x"}),
        "absolute path": zip_of({**files, "/tmp/outside": b"x"}),
        "one file more": zip_of({**files, "extra.bin": b"x"}),
        "one file less": zip_of({VOICE: b"evil"}),
        "compressed": zip_of(files, compression=zipfile.ZIP_DEFLATED),
        "no zip": b"this is not a zip archive at all",
        "manifest inside": zip_of({**files, "manifest.json": b"{}"}),
    }
    if what in signed:
        hint = server.release(files, **({"seq": 6} | signed[what])).info
        server.latest = hint.model_copy(update={"seq": 9})
    elif what in packages:
        server.release(files, seq=6, package=packages[what])
    elif what == "expired":
        server.shelf.expiries["targets"] = now - timedelta(seconds=1)
        server.release(files, seq=6)
        server.shelf.expiries.clear()
    elif what == "foreign key":
        server.shelf.keys["targets"] = ["thief"]
        server.release(files, seq=6)
        server.shelf.keys["targets"] = ["targets"]
    elif what == "changed manifest":
        release = server.release(files, seq=6)
        changed = release.manifest.to_bytes().replace(b'"seq":6', b'"seq":7')
        path = next(
            path for path in server.signed if path.endswith(f"{sha256_hex(release.manifest.to_bytes())}.release.json")
        )
        server.signed[path] = changed
    elif what == "not a manifest":  # listed by our own key, and still no manifest
        server.release(files, seq=6)
        custom = {"channel": "stable", "tier": "float16", "seq": 6, "min_runtime": "0.1.0"}
        server.shelf.list("stable/float16/release.json", b"[]", custom)
        server.show()
    elif what in ("another release than the list says", "other channel", "other tier"):
        manifest = server.release(files, seq=6).manifest
        said = {"other channel": {"channel": "beta"}, "other tier": {"tier": "int4"}}.get(what, {"seq": 7})
        server.shelf.release(manifest, **said)
        server.show()
    else:
        release = server.release(files, seq=6)
        digest, content = release.manifest.package_sha256, release.package
        server.packages[digest] = {
            "changed byte": bytes([content[0] ^ 1]) + content[1:],
            "changed last byte": content[:-1] + bytes([content[-1] ^ 1]),
            "truncated": content[:-1],
            "empty": b"",
        }[what]


ATTACKS: dict[str, type[ProjectOneError]] = {
    "older": RollbackError,
    "number out of proportion": RollbackError,
    "expired": ExpiredReleaseError,
    "needs a newer app": ArtifactError,
    "nonsense runtime": ArtifactError,
    "foreign key": SignatureError,
    "changed manifest": ArtifactError,
    "not a manifest": ContractError,
    "another release than the list says": ArtifactError,
    "other channel": ArtifactError,
    "other tier": ArtifactError,
    "changed byte": DigestMismatchError,
    "changed last byte": DigestMismatchError,
    "truncated": TransportError,
    "empty": TransportError,
    "file digest": DigestMismatchError,
    "file size": ArtifactError,
    "file named twice": ArtifactError,
    "path traversal": ArtifactError,
    "absolute path": ArtifactError,
    "one file more": ArtifactError,
    "one file less": ArtifactError,
    "compressed": ArtifactError,
    "no zip": ArtifactError,
    "manifest inside": ArtifactError,
}


@pytest.mark.parametrize("what", ATTACKS)
def test_what_must_not_be_installed_is_refused_and_the_old_model_stays(
    what: str, tmp_path: Path, server: FakeServer
) -> None:
    home = tmp_path / "a" / "b" / "home"
    with_first_release(home, server)
    forge(server, what)
    with pytest.raises(ATTACKS[what]):
        update(home, server)
    assert heard_by(home) == "old"
    assert on_disk(home) == {"5"}
    assert not list(tmp_path.rglob("*outside*"))
    server.release(text_model("new"), seq=8, version="1.1.0")
    assert update(home, server).status == "updated"
    assert heard_by(home) == "new"


def test_bytes_after_the_signed_length_are_not_read(tmp_path: Path, server: FakeServer) -> None:
    server.faults.trailing_bytes = b"x" * 8_000_000
    release = server.release(text_model("new"))
    report = update(tmp_path, server)
    assert (report.status, report.received_bytes) == ("updated", len(release.package))


def test_a_release_that_expired_stops_updates_but_not_transcription(tmp_path: Path, server: FakeServer) -> None:
    with_first_release(tmp_path, server)
    server.shelf.expiries["timestamp"] = datetime.now(UTC) - timedelta(days=1)
    server.release(text_model("new"), seq=6)
    with pytest.raises(ExpiredReleaseError, match="did not sign it again, or the clock of this device is ahead"):
        update(tmp_path, server)
    assert heard_by(tmp_path) == "old"


def test_a_server_of_before_there_were_signed_lists_is_named_as_such(tmp_path: Path, server: FakeServer) -> None:
    with_first_release(tmp_path, server)
    server.release(text_model("new"), seq=6)
    server.signed.clear()
    with pytest.raises(RefusedError, match="is the server older than this app"):
        update(tmp_path, server)
    assert heard_by(tmp_path) == "old"


def test_a_download_goes_on_where_the_wire_dropped(tmp_path: Path, server: FakeServer) -> None:
    release = server.release(text_model("new", padding=4000))
    server.faults.drop_after_bytes = [200_000, 300_000, 100_000]
    report = update(tmp_path, server)
    assert report.status == "updated"
    assert server.ranges[0] is None
    assert len(server.ranges) == 4
    assert all(asked is not None for asked in server.ranges[1:])
    # What the server sent into a closed connection may be lost; nothing that arrived is fetched twice.
    assert report.received_bytes == len(release.package)


def test_another_process_goes_on_where_the_first_one_stopped(tmp_path: Path, server: FakeServer) -> None:
    release = server.release(text_model("new", padding=4000))
    server.faults.drop_after_bytes = [500_000] + [0] * 5
    with pytest.raises(TransportError):
        update(tmp_path, server)
    kept = (tmp_path / "staging" / f"{release.manifest.package_sha256}.part").stat().st_size
    report = update(tmp_path, server)
    assert 0 < kept <= 500_000
    assert report.received_bytes == len(release.package) - kept
    assert heard_by(tmp_path) == "new"


@pytest.mark.parametrize(
    "fault", ["ignores ranges", "lies about ranges", "has another version", "part is damaged", "no etag"]
)
def test_a_part_that_cannot_be_gone_on_from_is_fetched_afresh(fault: str, tmp_path: Path, server: FakeServer) -> None:
    release = server.release(text_model("new", padding=400))
    staging = tmp_path / "staging"
    staging.mkdir()
    part = staging / f"{release.manifest.package_sha256}.part"
    etag = staging / f"{release.manifest.package_sha256}.etag"
    part.write_bytes(release.package[:1000])
    etag.write_text(f'"{release.manifest.package_sha256}"')
    if fault == "ignores ranges":
        server.faults.is_ignoring_ranges = True
    elif fault == "lies about ranges":
        server.faults.is_lying_about_ranges = True
    elif fault == "has another version":
        etag.write_text('"0123"')
    elif fault == "part is damaged":
        part.write_bytes(b"x" * 1000)
    else:
        etag.unlink()
    assert update(tmp_path, server).status == "updated"
    assert heard_by(tmp_path) == "new"


def test_what_another_release_left_behind_is_removed(tmp_path: Path, server: FakeServer) -> None:
    (tmp_path / "staging").mkdir()
    (tmp_path / "staging" / f"{'a' * 64}.part").write_bytes(b"x" * 100)
    server.release(text_model("new"))
    update(tmp_path, server)
    assert list((tmp_path / "staging").iterdir()) == []


def test_a_package_that_the_server_does_not_have_is_said(tmp_path: Path, server: FakeServer) -> None:
    server.release(text_model("new"))
    server.packages.clear()
    with pytest.raises(RefusedError, match="package-unknown"):
        update(tmp_path, server)


def test_too_little_space_is_said_before_a_byte_is_fetched(
    tmp_path: Path, server: FakeServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    usage = namedtuple("usage", "total used free")
    server.release(text_model("new"))
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage(10**9, 10**9 - 1000, 1000))
    with pytest.raises(StorageError, match="disk space"):
        update(tmp_path, server)
    assert server.ranges == []


def test_a_model_that_fails_its_trial_is_dropped_and_not_tried_again(tmp_path: Path, server: FakeServer) -> None:
    with_first_release(tmp_path, server)
    server.release(text_model("broken"), seq=6, version="1.1.0")
    report = update(tmp_path, server)
    assert report.status == "rejected"
    assert "cannot be loaded" in (report.reason or "")
    assert heard_by(tmp_path) == "old"
    fetched = len(server.ranges)
    assert update(tmp_path, server).status == "set-aside"
    assert len(server.ranges) == fetched
    assert update(tmp_path, server, is_again=True).status == "rejected"
    server.release(text_model("new"), seq=7, version="1.2.0")
    assert update(tmp_path, server).status == "updated"


def test_a_second_updater_is_refused_politely(tmp_path: Path, server: FakeServer) -> None:
    server.release(text_model("new"))
    with Installed(tmp_path / "models").changing(), pytest.raises(LeaseError, match="try again when it is done"):
        update(tmp_path, server)
    assert update(tmp_path, server).status == "updated"


def test_going_back_is_kept_until_a_newer_release_comes(tmp_path: Path, server: FakeServer) -> None:
    with_first_release(tmp_path, server)
    server.release(text_model("new"), seq=6, version="1.1.0")
    update(tmp_path, server)
    assert Installed(tmp_path / "models").roll_back().version == "1.0.0"
    assert heard_by(tmp_path) == "old"
    assert update(tmp_path, server).status == "set-aside"
    assert heard_by(tmp_path) == "old"
    report = update(tmp_path, server, is_again=True)
    assert (report.status, report.to_version) == ("updated", "1.1.0")
    assert heard_by(tmp_path) == "new"


def test_going_back_does_not_open_the_way_to_older_releases(tmp_path: Path, server: FakeServer) -> None:
    with_first_release(tmp_path, server)
    server.release(text_model("new"), seq=6, version="1.1.0")
    update(tmp_path, server)
    Installed(tmp_path / "models").roll_back()
    server.release(text_model("evil"), seq=5, version="1.0.0")
    with pytest.raises(RollbackError):
        update(tmp_path, server, is_again=True)


def test_damaged_files_fall_back_and_the_same_release_heals_them(tmp_path: Path, server: FakeServer) -> None:
    with_first_release(tmp_path, server)
    server.release(text_model("new"), seq=6, version="1.1.0")
    update(tmp_path, server)
    (tmp_path / "models" / "releases" / "6" / VOICE).write_bytes(b"rot")
    assert heard_by(tmp_path) == "old"
    assert update(tmp_path, server).status == "updated"
    assert heard_by(tmp_path) == "new"


def test_a_damaged_only_model_is_said_and_healed(tmp_path: Path, server: FakeServer) -> None:
    with_first_release(tmp_path, server)
    (tmp_path / "models" / "releases" / "5" / "weights.bin").unlink()
    with pytest.raises(ArtifactError, match="damaged"):
        heard_by(tmp_path)
    assert update(tmp_path, server).status == "updated"
    assert heard_by(tmp_path) == "old"


def test_an_update_heals_the_model_in_use_without_losing_the_one_before(tmp_path: Path, server: FakeServer) -> None:
    with_first_release(tmp_path, server)
    server.release(text_model("new"), seq=6, version="1.1.0")
    update(tmp_path, server)
    (tmp_path / "models" / "releases" / "6" / VOICE).write_bytes(b"rot")
    assert update(tmp_path, server).status == "updated"
    assert heard_by(tmp_path) == "new"
    assert on_disk(tmp_path) == {"5", "6.1"}


def test_an_interrupted_trial_is_brought_to_its_end(tmp_path: Path, server: FakeServer) -> None:
    with_first_release(tmp_path, server)
    server.release(text_model("new"), seq=6, version="1.1.0")

    def die(may_go_on: object) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        update(tmp_path, server, try_new_model=die)
    assert heard_by(tmp_path) == "old"
    fetched = len(server.ranges)
    assert update(tmp_path, server).status == "updated"
    assert heard_by(tmp_path) == "new"
    assert len(server.ranges) == fetched
    assert Installed(tmp_path / "models").state().floor == 6


@pytest.mark.parametrize("root", [b"", b"{}", b"nonsense"])
def test_without_a_release_root_nothing_is_believed(tmp_path: Path, server: FakeServer, root: bytes) -> None:
    server.release(text_model("new"))
    server.shelf.roots = [root]
    with pytest.raises(SettingsError, match="PROJECTONE_RELEASE_ROOT"):
        update(tmp_path, server)


def test_what_the_server_retired_is_not_kept_to_go_back_to(tmp_path: Path, server: FakeServer) -> None:
    with_first_release(tmp_path, server)
    server.release(text_model("new"), seq=6, version="1.1.0", min_seq=6)
    assert update(tmp_path, server).status == "updated"
    assert on_disk(tmp_path) == {"6"}
    with pytest.raises(ArtifactError, match="no earlier model"):
        Installed(tmp_path / "models").roll_back()


def test_a_model_that_was_set_aside_is_taken_when_the_one_in_use_is_retired(tmp_path: Path, server: FakeServer) -> None:
    with_first_release(tmp_path, server)
    server.release(text_model("new"), seq=6, version="1.1.0")
    update(tmp_path, server)
    Installed(tmp_path / "models").roll_back()
    assert update(tmp_path, server).status == "set-aside"
    server.release(text_model("new"), seq=6, version="1.1.0", min_seq=6)
    assert update(tmp_path, server).status == "updated"
    assert heard_by(tmp_path) == "new"
    assert len(on_disk(tmp_path)) == 1


def test_a_model_to_go_back_to_makes_room_before_an_update_is_refused(tmp_path: Path, server: FakeServer) -> None:
    for seq in (1, 2):
        server.release(text_model(f"model {seq}", padding=2000), seq=seq, version=f"1.{seq}.0")
        update(tmp_path, server)
    used = Installed(tmp_path / "models").used_bytes()
    release = server.release(text_model("model 3", padding=2000), seq=3, version="1.3.0")
    needed = len(release.package) + sum(file.size_bytes for file in release.manifest.files)
    with pytest.raises(OverBudgetError, match=r"needs 2 MB beside the 2 MB .* allows 2 MB: set it to 3 or more"):
        update(tmp_path, server, budget_bytes=used // 2 + needed - 1)
    assert on_disk(tmp_path) == {"1", "2"}  # nothing was given up for nothing
    assert len(server.ranges) == 2
    assert update(tmp_path, server, budget_bytes=used // 2 + needed).status == "updated"
    assert on_disk(tmp_path) == {"2", "3"}


def test_a_budget_counts_what_has_two_names_once(tmp_path: Path, server: FakeServer) -> None:
    server.release(text_model("model", padding=100), seq=1)
    update(tmp_path, server)
    installed = Installed(tmp_path / "models")
    before, folder = installed.used_bytes(), tmp_path / "models/releases/1"
    os.link(folder / VOICE, folder / "again")
    assert installed.used_bytes() == before


@pytest.mark.parametrize("is_disk_full", [True, False])
def test_a_full_disk_during_a_trial_speaks_against_nobody(
    is_disk_full: bool, tmp_path: Path, server: FakeServer
) -> None:
    with_first_release(tmp_path, server)
    server.release(text_model("new"), seq=6, version="1.1.0")
    installed = Installed(tmp_path / "models")

    def check(folder: Path) -> object:
        raise StorageError("the disk is full") if is_disk_full else MemoryError

    def full(may_go_on: object) -> Outcome[object] | None:
        return installed.settle_trial(check)

    if is_disk_full:
        with pytest.raises(StorageError):
            update(tmp_path, server, try_new_model=full)
    else:
        assert update(tmp_path, server, try_new_model=full).status == "staged"
    assert installed.state().tries == 0
    assert heard_by(tmp_path) == "old"
    assert update(tmp_path, server).status == "updated"
