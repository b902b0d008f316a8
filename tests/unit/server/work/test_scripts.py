"""`projectone-server scripts`: needs of production, and the sheet that devices fetch."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.fakes.trainer_home import TrainerHome
from tests.unit.server.work.test_worker import Office

from projectone.contracts.scores import EvaluationReport
from projectone.contracts.scripts import SignedScripts
from projectone.contracts.signatures import verify_scripts
from projectone.errors import EvaluationError
from projectone.server.cli import main
from projectone.server.delivery.signing import load_signer


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[TrainerHome]:
    made = TrainerHome(tmp_path / "home", hub_url="http://127.0.0.1:1", hub_token="none")
    for name, value in made.variables.items():
        monkeypatch.setenv(name, value)
    yield made
    made.close()


def test_what_production_mishears_is_shown_and_signed_for_devices(
    home: TrainerHome, capsys: pytest.CaptureFixture[str]
) -> None:
    home.send_many(12, seed=1, contributors=6)
    assert main(["scripts", "--json", "--count", "5"]) == 0
    facts = json.loads(capsys.readouterr().out)
    assert len(facts["scripts"]) == 5
    assert all(need["n_speakers"] >= facts["min_speakers"] for need in facts["needs"])
    signer = load_signer(home.settings.keys_folder / "release.key")
    content = (home.settings.home / "scripts" / "sheet.json").read_bytes()
    sheet = verify_scripts(signer.trusted, SignedScripts.from_bytes(content))
    assert [script.script_id for script in sheet.scripts[:5]] == [script["script_id"] for script in facts["scripts"]]
    assert main(["scripts"]) == 0
    assert facts["scripts"][0]["text"] in capsys.readouterr().out


@pytest.mark.parametrize("words", [["--count", "0"], ["--count", "9" * 20], ["--model", "starter"], ["--top", "0"]])
def test_what_makes_no_sense_is_refused(
    words: list[str], home: TrainerHome, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["scripts", *words]) == 2
    assert words[0] in capsys.readouterr().err


@pytest.fixture
def office(tmp_path: Path) -> Iterator[Office]:
    made = Office(tmp_path)
    yield made
    made.workshop.close()
    made.home.close()


def test_after_a_release_the_worker_chooses_anew(office: Office, monkeypatch: pytest.MonkeyPatch) -> None:
    report = office.workshop.score(office.workshop.base())  # the tiny trainer's models are bytes: nobody can listen
    asked: list[str] = []

    def score(weights_sha256: str) -> EvaluationReport:
        asked.append(weights_sha256)
        return report

    monkeypatch.setattr(office.workshop, "score", score)
    office.home.send_many(1, seed=3)
    office.workshop.runs.request("on-demand")
    assert [run.state for run in office.worker.work_once()] == ["succeeded"]
    assert asked == [office.workshop.production().weights_sha256]
    assert (office.workshop.home / "scripts" / "sheet.json").is_file()


def test_a_release_stands_though_no_sentences_could_be_chosen(office: Office, monkeypatch: pytest.MonkeyPatch) -> None:
    def score(weights_sha256: str) -> EvaluationReport:
        raise EvaluationError("nobody could listen")

    monkeypatch.setattr(office.workshop, "score", score)
    office.home.send_many(1, seed=3)
    office.workshop.runs.request("on-demand")
    assert [run.state for run in office.worker.work_once()] == ["succeeded"]
    assert "no new sentences to read: " in office.screen.getvalue()
    assert not (office.workshop.home / "scripts" / "sheet.json").exists()
