"""`projectone-server status`: what an operator must see without opening the database."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from tests.fakes.trainer_home import TrainerHome

from projectone.server.cli import main


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
