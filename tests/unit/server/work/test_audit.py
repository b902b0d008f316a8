"""The operator reads the audit log and checks it; the worker signs it."""

import json
from datetime import UTC, datetime
from pathlib import Path

import pytest
from sqlalchemy import delete, update

from projectone.errors import StorageError
from projectone.server.audit import AUDIT_LOG, record
from projectone.server.cli import main
from projectone.server.database import open_engine, writing
from projectone.server.serve.initialise import initialise
from projectone.server.settings import ServerSettings
from projectone.server.work.checkpoints import publish_checkpoint

NOW = datetime(2026, 11, 21, 12, tzinfo=UTC)


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> ServerSettings:
    monkeypatch.setenv("PROJECTONE_SERVER_HOME", str(tmp_path / "home"))
    settings = ServerSettings.from_env({"PROJECTONE_SERVER_HOME": str(tmp_path / "home")})
    initialise(settings)
    act(settings, 5)
    return settings


def act(settings: ServerSettings, n: int) -> None:
    engine = open_engine(settings.database_url)
    with writing(engine) as connection:
        record(connection, "sample-accepted", *(f"sample-{number}" for number in range(n)), by="ada", now=NOW)
    engine.dispose()


def asked(capsys: pytest.CaptureFixture[str], *words: str, code: int = 0) -> dict[str, object]:
    capsys.readouterr()
    assert main(["audit", *words, "--json"]) == code
    facts: dict[str, object] = json.loads(capsys.readouterr().out)
    return facts


def test_entries_are_shown_newest_first_by_act_and_subject(
    home: ServerSettings, capsys: pytest.CaptureFixture[str]
) -> None:
    shown = asked(capsys, "show", "--subject", "sample-3")["entries"]
    assert isinstance(shown, list) and [(entry["seq"], entry["actor"]) for entry in shown] == [(4, "ada")]
    assert asked(capsys, "show", "--act", "released")["entries"] == []
    assert main(["audit", "show"]) == 0
    assert capsys.readouterr().out.splitlines()[0].split()[3:5] == ["sample-accepted", "sample-4"]


def test_what_is_cut_off_is_found_with_a_checkpoint_from_elsewhere(
    home: ServerSettings, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert publish_checkpoint(home, NOW) is not None
    assert publish_checkpoint(home, NOW) is None, "nothing was done since"
    (own,) = home.checkpoints.glob("*.json")
    elsewhere = tmp_path / "kept.json"
    elsewhere.write_bytes(own.read_bytes())
    assert asked(capsys, "verify", "--checkpoint", str(elsewhere))["is_sound"] is True
    own.unlink()  # the operator tidies up ...
    engine = open_engine(home.database_url)
    with writing(engine) as connection:
        connection.execute(delete(AUDIT_LOG).where(AUDIT_LOG.c.seq > 3))
    engine.dispose()
    assert asked(capsys, "verify")["is_sound"] is True, "the control: nobody holds a checkpoint"
    bent = asked(capsys, "verify", "--checkpoint", str(elsewhere), code=1)
    assert "2 of them are gone" in str(bent["problems"])


def test_what_was_changed_is_not_signed(home: ServerSettings) -> None:
    publish_checkpoint(home, NOW)
    act(home, 1)
    engine = open_engine(home.database_url)
    with writing(engine) as connection:
        connection.execute(update(AUDIT_LOG).where(AUDIT_LOG.c.seq == 2).values(actor="nobody"))
    engine.dispose()
    with pytest.raises(StorageError, match="entry 2: is not what was written"):
        publish_checkpoint(home, NOW)
    assert len(list(home.checkpoints.glob("*.json"))) == 1


def test_a_checkpoint_that_the_server_did_not_sign_is_refused(
    home: ServerSettings, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    asked(capsys, "checkpoint")
    (own,) = home.checkpoints.glob("*.json")
    forged = json.loads(own.read_text())
    forged["signature"] = "A" * 86 + "=="
    (tmp_path / "forged.json").write_text(json.dumps(forged))
    assert main(["audit", "verify", "--checkpoint", str(tmp_path / "forged.json")]) == 2
    assert "forged.json" in capsys.readouterr().err
