"""The operator gives out tokens, lists and ends them."""

import json
from pathlib import Path

import pytest

from projectone.server.cli import main
from projectone.server.serve.initialise import initialise
from projectone.server.settings import ServerSettings


def test_a_token_is_shown_once_listed_and_revoked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("PROJECTONE_SERVER_HOME", str(tmp_path / "home"))
    initialise(ServerSettings.from_env({"PROJECTONE_SERVER_HOME": str(tmp_path / "home")}))
    capsys.readouterr()

    def asked(*words: str, code: int = 0) -> dict[str, object]:
        assert main(["tokens", *words, "--json"]) == code
        facts: dict[str, object] = json.loads(capsys.readouterr().out)
        return facts

    made = asked("create", "ada", "--role", "auditor", "--days", "7")
    assert str(made["token"]).startswith("po_") and made["is_valid"] is True
    listed = asked("list")
    assert str(made["token"]) not in json.dumps(listed) and made["token_id"] in json.dumps(listed)
    assert asked("revoke", "ada") == {"revoked": [made["token_id"]]}
    assert "error" in asked("revoke", "ada", code=2)
    for days in ("0", "-1", "nan", "9e99", "367"):
        assert "error" in asked("create", "ada", "--role", "auditor", "--days", days, code=2)
    assert "error" in asked("create", "Ada Lovelace", "--role", "auditor", code=2)
    assert main(["tokens", "list"]) == 0
    assert "revoked" in capsys.readouterr().out
