"""`projectone-server quarantine`: an operator looks, decides, and the decision is on the record."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from tests.fakes import tiny_trainer
from tests.unit.server.work.test_worker import Office, make_office  # noqa: F401 - a fixture

from projectone.server.cli import main


class Operator:
    """Somebody at the server's terminal."""

    def __init__(self, office: Office, capsys: pytest.CaptureFixture[str]) -> None:
        self.office = office
        self._capsys = capsys

    def say(self, *arguments: str, code: int = 0) -> str:
        self._capsys.readouterr()
        assert main(["quarantine", *arguments]) == code
        captured = self._capsys.readouterr()
        return captured.out if code == 0 else captured.err

    def ask(self, *arguments: str, code: int = 0) -> Any:
        self._capsys.readouterr()
        assert main(["quarantine", *arguments, "--json"]) == code
        return json.loads(self._capsys.readouterr().out)


@pytest.fixture
def operator(
    make_office: Callable[..., Office],  # noqa: F811
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> Operator:
    office = make_office()
    for name, value in office.home.variables.items():
        monkeypatch.setenv(name, value)
    return Operator(office, capsys)


def spoil(operator: Operator, *, people: int = 1, seed: int = 4) -> str:
    """A run whose model is worse than the base; gives its id."""
    office = operator.office
    office.home.send_many(3, seed=seed, contributors=people)
    office.candidate_wer = 0.9
    office.workshop.runs.request("on-demand")
    (run,) = office.worker.work_once()
    assert run.state == "quarantined"
    return run.run_id


def test_nothing_in_quarantine_is_said_so(operator: Operator) -> None:
    assert operator.say("list") == "nothing is in quarantine\n"
    assert operator.ask("list") == {"runs": []}


def test_a_list_of_fewer_than_one_is_refused_and_does_not_look_empty(operator: Operator) -> None:
    spoil(operator)
    assert "--limit: expected 1 to 1000000, got 0" in operator.say("list", "--limit", "0", code=2)
    assert len(operator.ask("list", "--limit", "1")["runs"]) == 1


def test_what_was_set_aside_is_listed_with_its_reason_and_what_it_was_judged_against(operator: Operator) -> None:
    first, second = spoil(operator), spoil(operator, seed=5)
    newest, oldest = operator.ask("list")["runs"]
    assert (newest["run_id"], oldest["run_id"]) == (second, first)
    assert (newest["n_samples"], newest["judged_against"], newest["reason"]) == (3, "base", "reject: gain -0.40")
    assert datetime.fromisoformat(newest["ended_at"]) <= datetime.now(UTC)
    assert [run["run_id"] for run in operator.ask("list", "--limit", "1")["runs"]] == [second]
    assert "3 samples  against base      reject: gain -0.40" in operator.say("list")


def test_a_run_is_shown_with_everything_that_helps_to_judge_it(operator: Operator) -> None:
    run_id = spoil(operator)
    shown = operator.ask("show", run_id[:8])
    assert shown["verdict"]["decision"] == "reject"
    assert {Path(path).name for path in shown["files"]} >= {"model.safetensors", "train.jsonl", "why.json"}
    assert len(shown["samples"]) == 3
    assert all(Path(sample["clip"]).is_file() and sample["text"] for sample in shown["samples"])
    text = operator.say("show", run_id)
    assert all(sample["sample_id"] in text and sample["text"] in text for sample in shown["samples"])


def test_a_reason_moves_no_cursor(operator: Operator) -> None:
    run_id = spoil(operator)
    operator.office.workshop.runs.change(run_id, guard=lambda connection: None, reason="worse\x1b[2J\u202e")
    for shown in (operator.say("list"), operator.say("show", run_id)):
        assert r"worse\x1b[2J\u202e" in shown


def test_returned_samples_are_learned_from_by_the_next_run(operator: Operator) -> None:
    run_id = spoil(operator)
    done = operator.ask("return", run_id[:8], "--reason", "listened to all of them", "--by", "ada")
    assert (done["n_samples"], done["returned_by"], done["reason"]) == (3, "ada", "listened to all of them")
    office = operator.office
    office.home.send_many(1, seed=9)
    office.changes["score"] = tiny_trainer.score_by(lambda sha256: 0.5 if sha256 == office.workshop.base() else 0.2)
    office.workshop.runs.request("on-demand")
    (run,) = office.worker.work_once()
    assert (run.state, run.n_new) == ("succeeded", 4)
    shown = operator.ask("show", run_id)
    assert (shown["n_samples"], shown["n_returned"]) == (0, 3)
    assert [(item["returned_by"], item["reason"]) for item in shown["returns"]] == [("ada", "listened to all of them")]
    assert "3 samples on" in operator.say("show", run_id)
    assert "(3 returned)" in operator.say("list")


def test_single_samples_go_back_while_the_others_stay(operator: Operator) -> None:
    run_id = spoil(operator)
    good, *_ = operator.ask("show", run_id)["samples"]
    assert operator.ask("return", run_id, "--sample", good["sample_id"])["n_samples"] == 1
    counts = operator.office.home.catalog.counts()
    assert (counts["waiting"], counts["quarantined"]) == (1, 2)
    assert [str(row.sample_id) for row in operator.office.home.catalog.waiting()] == [good["sample_id"]]


def test_what_was_withdrawn_meanwhile_does_not_come_back(operator: Operator) -> None:
    run_id = spoil(operator, people=3)
    leaves = operator.office.home.grant("person0")
    gone = operator.ask("show", run_id)["samples"]
    operator.office.home.catalog.withdraw(leaves.receipt_id, "person0", datetime.now(UTC))
    gone_ids = {sample["sample_id"] for sample in gone if sample["contributor_id"] == "person0"}
    assert len(gone_ids) == 1
    refused = operator.ask("return", run_id, "--sample", *gone_ids, code=2)
    assert refused["error"]["reason"] == "nothing-to-return"
    assert operator.ask("return", run_id)["n_samples"] == 2
    assert operator.office.home.catalog.counts()["erased"] == 1
    assert gone_ids.isdisjoint(str(row.sample_id) for row in operator.office.home.catalog.usable())


def test_a_return_that_returns_nothing_is_refused_and_leaves_no_record(operator: Operator) -> None:
    run_id = spoil(operator)
    operator.ask("return", run_id)
    assert "does not hold any sample" in operator.say("return", run_id, code=2)
    assert len(operator.ask("show", run_id)["returns"]) == 1


def test_samples_of_a_run_that_is_still_at_work_are_left_to_it(operator: Operator) -> None:
    office = operator.office
    run = office.workshop.runs.request("on-demand")
    sample_ids = office.home.send_many(1, seed=3)
    office.home.catalog.mark(sample_ids, "quarantined", run_id=run.run_id)
    assert operator.ask("return", run.run_id, code=2)["error"]["reason"] == "run-at-work"
    assert office.home.catalog.counts()["quarantined"] == 1


def test_a_name_that_fits_no_run_or_several_is_refused(operator: Operator) -> None:
    run_id = spoil(operator)
    assert "found none" in operator.say("show", f"{run_id}0", code=2)
    assert "found none" in operator.say("return", "", code=2)


def test_help_shows_examples_and_every_action_takes_json(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["quarantine", "--help"])
    assert "projectone-server quarantine return" in capsys.readouterr().out
    for action in ("list", "show", "return"):
        with pytest.raises(SystemExit):
            main(["quarantine", action, "--help"])
        assert "--json" in capsys.readouterr().out
