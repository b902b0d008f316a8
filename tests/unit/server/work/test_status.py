"""`projectone-server status`: what an operator must see without opening the database."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from tests.fakes.trainer_home import TrainerHome

from projectone.server.cli import main
from projectone.server.runs import Runs


def test_status_says_why_samples_were_discarded(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    home = TrainerHome(tmp_path / "home", hub_url="http://127.0.0.1:1", hub_token="none")
    for name, value in home.variables.items():
        monkeypatch.setenv(name, value)
    first, *others = home.send_many(4, seed=3)
    home.catalog.mark([first], "discarded", reason="silence", run_id="r1")
    home.catalog.mark(others[:2], "discarded", reason="golden-overlap", run_id="r1")
    home.close()
    assert main(["status"]) == 0
    assert "discarded   2 golden-overlap, 1 silence\n" in capsys.readouterr().out
    assert main(["status", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["discarded"] == {"golden-overlap": 2, "silence": 1}


def test_status_names_a_log_only_where_there_is_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    home = TrainerHome(tmp_path / "home", hub_url="http://127.0.0.1:1", hub_token="none")
    for name, value in home.variables.items():
        monkeypatch.setenv(name, value)
    runs = Runs(home.engine)
    run = runs.request("on-demand")
    log_path = f"runs/{run.run_id}/train.jsonl"
    runs.start(run.run_id, graph_version=1, log_path=log_path, guard=lambda connection: None)
    home.close()

    def shown() -> str | None:
        assert main(["status", "--json"]) == 0
        (only,) = json.loads(capsys.readouterr().out)["runs"]
        answer: str | None = only["log_path"]
        return answer

    assert shown() is None
    (home.folder / log_path).parent.mkdir(parents=True)
    (home.folder / log_path).write_text("{}\n")
    assert shown() == log_path


def test_why_a_run_ended_moves_no_cursor(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    home = TrainerHome(tmp_path / "home", hub_url="http://127.0.0.1:1", hub_token="none")
    for name, value in home.variables.items():
        monkeypatch.setenv(name, value)
    runs = Runs(home.engine)
    run = runs.request("on-demand")
    runs.change(run.run_id, guard=lambda connection: None, state="failed", reason="full\x1b[2J\u202e")
    home.close()
    assert main(["status"]) == 0
    assert r"failed       full\x1b[2J\u202e" in capsys.readouterr().out
