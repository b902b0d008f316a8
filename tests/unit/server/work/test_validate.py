"""`projectone-server validate`: what passes, what fails, and what the exit code says."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from dataclasses import replace
from pathlib import Path

import pytest
from tests.fakes.chat_server import serving
from tests.fakes.taught_intents import SABOTAGES, TEACHING, examples, save_honest, write_lines
from tests.fakes.tiny_bert import tiny_bert

from projectone.assist.classifiers import save_classifier
from projectone.server.cli import main
from projectone.server.training.classifiers import teach_classifier

TIMERS = Path(__file__).parents[4] / "docs" / "timers"
EASY = ["--require", "noised-accuracy=0.5", "--require", "noised_out_of_scope=0.3"]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = tmp_path_factory.mktemp("validate")
    save_honest(made / "intents")
    write_lines(made / "held.jsonl", examples(40, seed=3, n_outside=40))
    return made


def validate(folder: Path, *words: str) -> int:
    return main(["validate", "--data", str(folder / "held.jsonl"), *words])


def test_an_honest_classifier_passes_and_the_report_has_intervals(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert validate(folder, "--model", str(folder / "intents"), *EASY, "--json") == 0
    report = json.loads(capsys.readouterr().out)
    assert (report["passed"], report["reason"], report["family"]) == (True, None, "intents")
    shares = [row for row in report["findings"] if row["value"] is not None]
    assert len(shares) == 5
    assert all(row["low"] <= row["value"] <= row["high"] for row in shares)
    assert validate(folder, "--model", str(folder / "intents"), *EASY) == 0
    assert "passed" in capsys.readouterr().out.splitlines()[-1]


@pytest.mark.parametrize(
    ("damage", "suite"),
    [
        ("its labels are permuted", "in-scope"),
        ("its threshold is open", "out-of-scope"),
        ("a label is lost", "labels"),
        ("its probabilities are made up", "calibration"),
    ],
)
def test_a_sabotaged_classifier_is_refused_for_its_fault(
    damage: str, suite: str, folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    SABOTAGES[damage][1](folder / "intents", tmp_path / "damaged")
    assert validate(folder, "--model", str(tmp_path / "damaged"), *EASY, "--json") == 1
    report = json.loads(capsys.readouterr().out)
    failed = [row for row in report["findings"] if row["outcome"] == "failed"]
    assert failed[0]["suite"] == suite
    assert report["reason"] == failed[0]["reason"]


def test_one_suite_may_be_asked_for_and_more_required(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = ["--model", str(folder / "intents"), "--suite", "in-scope", "--json"]
    assert validate(folder, *words) == 0
    assert [row["suite"] for row in json.loads(capsys.readouterr().out)["findings"]] == ["in-scope"]
    assert validate(folder, *words, "--require", "accuracy=0") == 0
    assert validate(folder, *words, "--suite", "speed") == 2
    assert validate(folder, *words, "--require", "speed=1") == 2
    assert validate(folder, *words, "--require", "accuracy=much") == 2


def test_what_judges_nothing_passes_nothing(folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    few = write_lines(tmp_path / "few.jsonl", examples(2, seed=3))
    words = ["validate", "--model", str(folder / "intents"), "--data", str(few)]
    assert main(words) == 1
    assert "nothing could be judged" in capsys.readouterr().out
    few.write_text("")
    assert main(words) == 1
    assert main([*words, "--suite", "in-scope"]) == 1
    capsys.readouterr()
    assert main(["validate", "--model", str(folder / "intents")]) == 2  # no golden texts either
    assert "PROJECTONE_SERVER_INTENTS_GOLDEN" in capsys.readouterr().err


def test_an_alarm_and_the_templates_are_judged_by_the_same_command(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    taught = teach_classifier(
        tiny_bert(),
        examples(40, seed=1),
        development=examples(20, seed=2),
        config=replace(TEACHING, alarm_label="alarm"),
    )
    save_classifier(tmp_path / "safety", taught.encoder, taught.head, bits=8)
    held = write_lines(tmp_path / "held.jsonl", examples(40, seed=3))
    words = ["--family", "safety", "--model", str(tmp_path / "safety"), "--data", str(held), "--json"]
    assert main(["validate", *words]) == 0
    assert [row["suite"] for row in json.loads(capsys.readouterr().out)["findings"]][:2] == [
        "toxicity",
        "toxicity-false-alarms",
    ]
    assert (
        main(
            [
                "validate",
                "--family",
                "answers",
                "--safety",
                str(tmp_path / "safety"),
                "--json",
                "--require",
                "harmful=1",
            ]
        )
        == 0
    )
    found = {row["suite"]: row["outcome"] for row in json.loads(capsys.readouterr().out)["findings"]}
    assert found["groundedness"] == found["refusals"] == found["repeatability"] == "met"
    assert found["harmless"] != "not-judged"
    assert main(["validate", "--family", "answers", "--url", "http://127.0.0.1:1/v1", "--local", "x"]) == 2


@pytest.mark.slow
def test_a_language_model_that_makes_things_up_fails_and_one_that_is_away_is_an_error(
    capsys: pytest.CaptureFixture[str],
) -> None:
    with serving() as server:  # whatever is asked, it is eight degrees
        words = ["validate", "--family", "answers", "--url", server.base_url, "--server-model", "small", "--json"]
        assert main(words) == 1
        report = json.loads(capsys.readouterr().out)
        assert report["subject"].startswith("hosted small@")
        failed = [row["suite"] for row in report["findings"] if row["outcome"] == "failed"]
        assert failed == ["groundedness", "hallucination", "refusals"]
    assert main(words) == 2  # nobody is there: no verdict
    assert json.loads(capsys.readouterr().out)["error"]["kind"]


def test_the_nightly_units_run_commands_that_exist(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("PROJECTONE_SERVER_INTENTS_GOLDEN", str(folder / "held.jsonl"))
    lines = [
        line.partition("projectone-server ")[2].split()
        for line in (TIMERS / "projectone-validate.service").read_text().splitlines()
        if line.startswith("ExecStart=")
    ]
    assert [words[:3] for words in lines] == [["validate", "--family", "intents"], ["validate", "--family", "answers"]]
    assert main([*lines[0], "--model", str(folder / "intents"), *EASY]) == 0  # the server's own where none is named
    assert main(lines[1]) == 0
    assert main(lines[0]) == 2  # here nothing is in use
    assert "home" in capsys.readouterr().err


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="systemd-analyze is not installed")
def test_the_nightly_units_are_units(tmp_path: Path) -> None:
    for path in TIMERS.glob("projectone-validate.*"):
        shutil.copy(path, tmp_path)
    environment = {"PATH": os.environ["PATH"], "XDG_RUNTIME_DIR": str(tmp_path), "HOME": str(tmp_path)}
    units = [str(path) for path in sorted(tmp_path.glob("projectone-validate.*"))]
    command = ["systemd-analyze", "verify", "--user", *units]
    said = subprocess.run(command, capture_output=True, text=True, check=False, env=environment).stderr
    if "initialize manager" in said:
        pytest.skip(f"systemd-analyze does not work here: {said}")
    assert said == ""
