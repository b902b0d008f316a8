"""An operator approves, measures, checks and takes back what devices may answer."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from projectone.assist import usual_encoder
from projectone.assist.embeddings import HashingEmbedder
from projectone.server.audit import AuditLog
from projectone.server.cli import main
from projectone.server.database import open_engine
from projectone.server.serve.initialise import initialise
from projectone.server.settings import ServerSettings
from projectone.server.work.policies import read_set


def draft(text: str = "I can block it now.", **more: object) -> str:
    policy = {
        "policy_id": "card",
        "text": "Block a lost card at once.",
        "examples": ["i lost my card", "my card was stolen"],
        "intents": ["report_lost_card"],
        "responses": [{"response_id": "card-1", "text": text}],
    }
    return json.dumps({"policies": [policy], **more})


def test_a_set_is_approved_measured_checked_and_on_the_record(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(usual_encoder, "weights_folder", lambda: None)
    monkeypatch.setattr(usual_encoder, "_encoder", lambda: HashingEmbedder(usual_encoder.WIDTH))
    monkeypatch.setenv("PROJECTONE_SERVER_HOME", str(tmp_path / "home"))
    settings = ServerSettings.from_env({"PROJECTONE_SERVER_HOME": str(tmp_path / "home")})
    initialise(settings)
    capsys.readouterr()
    file, data = tmp_path / "draft.json", tmp_path / "data.jsonl"

    def run(*words: str, code: int = 0) -> dict[str, object]:
        assert main(["policies", *words, "--json"]) == code
        facts: dict[str, object] = json.loads(capsys.readouterr().out)
        return facts

    assert "policies add FILE" in str(run("list", code=2)["error"])
    file.write_text(draft())
    assert run("add", str(file))["version"] == 1
    assert "measure" in str(run("check", "i lost my card", code=2)["error"])
    rows = [("i have lost my card", "card"), ("my card is lost", "report_lost_card"), ("sing me a song", None)]
    data.write_text("\n".join(json.dumps({"text": text, "label": label}) for text, label in rows))
    assert run("measure", "--data", str(data))["without_policy"] == {}
    with data.open("a") as more:  # as in any file for the classifier
        more.write('\n{"text": "wake me at six", "label": "alarm"}')
    assert main(["policies", "measure", "--data", str(data)]) == 0
    assert "because no policy is for them: alarm (1)" in capsys.readouterr().out
    found = run("check", "i lost my card", "play some music")["texts"]
    assert isinstance(found, list) and [each["applies"] for each in found] == [True, False]
    before = (tmp_path / "home" / "policies" / "set.json").read_bytes()
    assert run("add", str(file))["is_changed"] is False  # the same again is no new set, and keeps what was measured
    assert run("measure", "--data", str(data))["version"] == 3
    assert main(["policies", "add", str(file)]) == 0 and "nothing changed" in capsys.readouterr().out
    assert (tmp_path / "home" / "policies" / "set.json").read_bytes() == before
    approved = read_set(settings)
    assert approved is not None and (approved.version, approved.policies[0].version) == (3, 1)
    assert len(approved.thresholds) == 1
    file.write_text(draft("I have blocked it."))
    assert run("add", str(file))["is_changed"] is True
    approved = read_set(settings)
    assert approved is not None and (approved.policies[0].version, approved.thresholds) == (2, ())
    assert main(["policies", "list"]) == 0 and "not measured" in capsys.readouterr().out
    assert run("remove", "card")["policies"] == []
    assert "no such policy" in str(run("remove", "card", code=2)["error"])
    engine = open_engine(settings.database_url)
    entries = AuditLog(engine).newest(9, act="policies-approved")
    engine.dispose()
    assert [entry.subject for entry in entries] == [f"policies-{n}" for n in (5, 4, 3, 2, 1)]
    for wrong in (
        "[]",
        "{",
        '{"policies": [], "policies": []}',
        '{"policies": 1}',
        draft(strange=1),
        draft("\u202e"),
        draft(otherwise={}),
    ):
        file.write_text(wrong)
        assert "error" in run("add", str(file), code=2)
    signed = json.loads((tmp_path / "home" / "policies" / "set.json").read_bytes())
    (tmp_path / "home" / "policies" / "set.json").write_text(json.dumps({**signed, "signature": "AAAA"}))
    assert "error" in run("list", code=2)
