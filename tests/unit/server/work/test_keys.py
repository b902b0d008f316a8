"""The operator sees the keys that seal samples, and gives them a new master key."""

import json
import uuid
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from sqlalchemy import insert

from projectone.server import doctor
from projectone.server.cli import main
from projectone.server.corpus.tables import CONSENTS, CONTRIBUTORS, SAMPLES
from projectone.server.database import open_engine, writing
from projectone.server.home import open_keys
from projectone.server.keys import ConsentKeys
from projectone.server.serve.initialise import initialise
from projectone.server.settings import ServerSettings


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> ServerSettings:
    monkeypatch.setenv("PROJECTONE_SERVER_HOME", str(tmp_path / "home"))
    return remade(tmp_path)


def remade(tmp_path: Path, **variables: str) -> ServerSettings:
    settings = ServerSettings.from_env({"PROJECTONE_SERVER_HOME": str(tmp_path / "home"), **variables})
    initialise(settings)
    return settings


def asked(capsys: pytest.CaptureFixture[str], *words: str) -> dict[str, object]:
    capsys.readouterr()
    assert main(["keys", *words, "--json"]) == 0
    facts: dict[str, object] = json.loads(capsys.readouterr().out)
    return facts


def test_a_rotation_leaves_every_key_usable_and_one_master_key(
    home: ServerSettings, capsys: pytest.CaptureFixture[str]
) -> None:
    consents = [uuid.uuid4() for _ in range(3)]
    keys = open_keys(home, can_open=True)
    private = {}
    for consent in consents:
        keys.for_sealing(consent)
        private[consent] = keys.for_opening(consent)
    before = asked(capsys, "status")
    assert (before["n_alive"], before["is_rotated"]) == (3, False)
    after = asked(capsys, "rotate")
    assert (after["n_alive"], after["n_to_rewrap"], after["is_rotated"]) == (3, 0, True)
    assert after["master_key"] != before["master_key"]
    assert len(list(home.keys_folder.glob("master-*.key"))) == 1
    fresh = open_keys(home, can_open=True)
    assert {consent: fresh.for_opening(consent) for consent in consents} == private


@pytest.mark.parametrize("days", ["-3", "nan", "9e99"])
def test_an_age_that_makes_no_sense_rotates_nothing(
    home: ServerSettings, days: str, capsys: pytest.CaptureFixture[str]
) -> None:
    before = asked(capsys, "status")
    assert main(["keys", "rotate", f"--older-than-days={days}"]) == 2
    assert "--older-than-days: expected 0 to 36500" in capsys.readouterr().err
    assert asked(capsys, "status")["master_key"] == before["master_key"]


def test_a_daily_job_rotates_only_what_is_old(home: ServerSettings, capsys: pytest.CaptureFixture[str]) -> None:
    before = asked(capsys, "status")
    assert asked(capsys, "rotate", "--older-than-days", "7")["master_key"] == before["master_key"]
    assert main(["keys", "status"]) == 0
    assert "0 with a key" in capsys.readouterr().out


def test_the_doctor_says_how_well_the_master_key_is_kept(tmp_path: Path) -> None:
    plain = doctor.check_keys(remade(tmp_path))
    assert (plain.level, "unlocked" in plain.detail) == ("warning", True)
    assert plain.detail.endswith("run `projectone-server keys rotate`")
    locked = ServerSettings.from_env(
        {
            "PROJECTONE_SERVER_HOME": str(tmp_path / "home"),
            "PROJECTONE_SERVER_KEY_PASSPHRASE": "correct horse battery staple",
        }
    )
    assert doctor.check_keys(locked).level == "warning"  # the passphrase is set, the file still lies open
    keys = open_keys(locked, can_open=True)
    keys.rotate_if_older(0)
    assert doctor.check_keys(locked).level == "ok"
    (locked.keys_folder / "consents.sqlite").chmod(0o644)
    assert doctor.check_keys(locked).level == "error"


def test_the_doctor_says_that_an_old_master_key_keeps_what_was_erased(
    home: ServerSettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ConsentKeys, "master_age", lambda self: timedelta(days=8))
    finding = doctor.check_keys(home)
    assert (finding.level, "keys rotate --older-than-days 7" in finding.detail) == ("warning", True)


def test_the_doctor_says_that_samples_lie_open(home: ServerSettings) -> None:
    engine = open_engine(home.database_url)
    with writing(engine) as connection:
        moment = datetime(2026, 11, 1, tzinfo=UTC)
        connection.execute(insert(CONTRIBUTORS).values(contributor_id="ada", first_seen_at=moment))
        consent = {"receipt_id": uuid.uuid4(), "contributor_id": "ada", "scope": "corrections", "text_version": 1}
        connection.execute(insert(CONSENTS).values(**consent, method="cli", granted_at=moment))
        sample = {"sample_id": uuid.uuid4(), "contributor_id": "ada", "consent_receipt_id": consent["receipt_id"]}
        digests = {"upload_sha256": "0" * 64, "correction_sha256": "1" * 64, "clip_sha256": "2" * 64}
        about = {"device_id": "d", "kind": "correction", "language": "en", "duration_s": 1.0, "state": "waiting"}
        moments = {"recorded_at": moment, "received_at": moment}
        connection.execute(insert(SAMPLES).values(text="seven", **sample, **digests, **about, **moments))
    engine.dispose()
    finding = doctor.check_keys(home)
    assert (finding.level, "lie open" in finding.detail) == ("warning", True)


def test_the_doctor_finds_a_master_key_that_is_gone(home: ServerSettings) -> None:
    for path in home.keys_folder.glob("master-*.key"):
        path.unlink()
    finding = doctor._guarded(doctor.check_keys, home)
    assert (finding.level, "restore" in finding.detail) == ("error", True)


def test_without_a_home_there_are_no_keys_to_check(tmp_path: Path) -> None:
    assert doctor.check_keys(ServerSettings.from_env({"PROJECTONE_SERVER_HOME": str(tmp_path)})).level == "warning"
