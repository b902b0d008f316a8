import json
import os
import shutil
from collections import namedtuple
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from projectone.server import doctor
from projectone.server.cli import main
from projectone.server.settings import ServerSettings
from projectone.server.voices import installed


def test_the_doctor_names_the_blas_and_its_speed(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["doctor", "--json"]) == 0
    findings = {finding["name"]: finding for finding in json.loads(capsys.readouterr().out)["findings"]}
    assert "GFLOP/s" in findings["blas"]["detail"]
    assert findings["checkpoint reader"]["level"] == "ok"


def test_before_and_after_init_the_doctor_changes_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("projectone.speech.blas.measure_gflops", lambda: 100.0)
    monkeypatch.setenv("PROJECTONE_SERVER_HOME", str(tmp_path / "not" / "yet"))

    def levels() -> dict[str, str]:
        capsys.readouterr()
        assert main(["doctor", "--json"]) == 0
        return {finding["name"]: finding["level"] for finding in json.loads(capsys.readouterr().out)["findings"]}

    assert (levels()["database"], levels()["keys"]) == ("warning", "warning")
    assert list(tmp_path.iterdir()) == []
    assert main(["init"]) == 0
    before = {path: path.stat().st_mode for path in tmp_path.rglob("*")}
    assert levels()["database"] == "ok"
    assert {path: path.stat().st_mode for path in tmp_path.rglob("*")} == before


def test_a_slow_blas_is_a_warning_with_its_cure(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("projectone.speech.blas.measure_gflops", lambda: 7.0)
    finding = doctor.check_blas(ServerSettings.from_env(os.environ))
    assert finding.level == "warning"
    assert "scipy-openblas32" in finding.detail


def test_a_disk_that_is_nearly_full_is_an_error_with_its_cure(monkeypatch: pytest.MonkeyPatch) -> None:
    def findings(free: int, **settings: str) -> doctor.Finding:
        monkeypatch.setattr(shutil, "disk_usage", lambda path: usage(10**11, 10**11 - free, free))
        return doctor.check_free_space(ServerSettings.from_env({**os.environ, **settings}))

    usage = namedtuple("usage", "total used free")
    assert findings(11 * 10**9).level == "ok"
    full = findings(4 * 10**9)
    assert full.level == "error"
    assert "6.0 GB, or lower PROJECTONE_SERVER_MIN_FREE_SHARE" in full.detail
    assert findings(4 * 10**9, PROJECTONE_SERVER_MIN_FREE_SHARE="0.03").level == "warning"


def test_a_check_that_fails_is_an_error_and_the_others_go_on(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def broken(path: object, content: bytes) -> None:
        raise OSError("no space left")

    monkeypatch.setattr("projectone.storage.files.write_atomically", broken)
    assert main(["doctor"]) == 1
    printed = capsys.readouterr().out
    assert "no space left" in printed
    assert "checkpoint reader" in printed
    assert main(["doctor", "--json"]) == 1
    error = json.loads(capsys.readouterr().out)["error"]
    assert error == {"kind": "not-done", "message": "disk flush: no space left"}


def test_metadata_that_devices_will_soon_not_believe_is_told_in_time(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = ServerSettings.from_env({"PROJECTONE_SERVER_HOME": str(tmp_path / "home")})
    assert doctor.check_releases(settings).level == "warning"
    monkeypatch.setenv("PROJECTONE_SERVER_HOME", str(tmp_path / "home"))
    assert main(["init"]) == 0
    assert "take them away" in doctor.check_releases(settings).detail
    shutil.rmtree(tmp_path / "home" / "keys" / "releases" / "root-offline")
    assert doctor.check_releases(settings).level == "ok"
    told = []
    for days in (2, 310, 366):
        monkeypatch.setattr(doctor, "_now", lambda days=days: datetime.now(UTC) + timedelta(days=days))
        if days == 310:  # a worker signs again what lives short; the root waits for people
            monkeypatch.setattr("projectone.server.delivery.signed_files.SignedFiles.timestamp", lambda self: None)
        found = doctor.check_releases(settings)
        told.append((found.level, "replace-root" in found.detail, "keys renew" in found.detail))
    assert told == [("error", False, True), ("warning", True, False), ("error", True, False)]


def test_the_doctor_says_how_to_get_the_networks_of_voices(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def found(**variables: str) -> doctor.Finding:
        environ = {"PROJECTONE_SERVER_HOME": str(tmp_path)}
        environ |= {f"PROJECTONE_SERVER_{name}": value for name, value in variables.items()}
        return doctor.check_voices(ServerSettings.from_env(environ))

    monkeypatch.setattr(installed, "open_networks", lambda: None)
    assert (found().level, "by nobody; with networks: pip install --no-deps" in found().detail) == ("ok", True)
    assert "by pitch and colour alone" in found(HOLD_SPEAKERS="on").detail
    assert found(CAP_VOICES="on").level == "error"
    monkeypatch.setattr(installed, "open_networks", lambda: "networks")
    assert found().detail.endswith("clips with a second voice wait for a person")
    assert found(HOLD_SPEAKERS="off").detail.endswith("do not wait for a person")
    assert found(CAP_VOICES="on").level == "ok"
