"""`projectone-server assist`, from JSON lines to a folder and back."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from tests.fakes.tiny_bert import write_tiny_bert
from tests.unit.server.training.test_classifiers import EXAMPLES, NONE

from projectone.server.cli import main

ROWS = [{"text": text, "label": label} for text, label in EXAMPLES + NONE]


@pytest.fixture
def data(tmp_path: Path) -> Path:
    path = tmp_path / "intents.jsonl"
    path.write_text("\n".join(json.dumps(row) for row in ROWS) + "\n")
    return path


@pytest.fixture
def encoder(tmp_path: Path) -> Path:
    return write_tiny_bert(tmp_path / "encoder")


def test_a_classifier_is_taught_written_in_eight_bits_and_judged(
    data: Path, encoder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "out"
    words = ["assist", "train", "--data", str(data), "--out", str(out), "--encoder", str(encoder), "--epochs", "1"]
    assert main([*words, "--bits", "8", "--json"]) == 0
    made = json.loads(capsys.readouterr().out)
    assert made["n_labels"] == 3
    assert made["size_bytes"] == sum(path.stat().st_size for path in out.iterdir())
    assert json.loads((out / "classifier.json").read_text())["bits"] == 8
    assert main(["assist", "judge", "--model", str(out), "--data", str(data), "--json"]) == 0
    judged = json.loads(capsys.readouterr().out)
    assert (judged["n_in_scope"], judged["n_out_of_scope"]) == (15, 2)
    assert main(["assist", "judge", "--model", str(out), "--data", str(data)]) == 0
    assert f"{100 * judged['accuracy']:.1f} % over 15 texts" in capsys.readouterr().out
    assert main(words) == 2  # the folder is there


def test_lines_that_are_to_be_measured_on_are_not_learned_from(
    data: Path, encoder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    rows = [json.loads(line) for line in data.read_text().splitlines()]
    rows += [{"text": "wake wake", "label": rows[0]["label"], "split": "dev"}] * 3
    rows += [{"text": "it it", "label": None, "split": "dev"}] * 4
    data.write_text("".join(json.dumps(row) + "\n" for row in rows))
    words = ["assist", "train", "--data", str(data), "--out", str(tmp_path / "out"), "--encoder", str(encoder)]
    assert main([*words, "--epochs", "0", "--json"]) == 0
    made = json.loads(capsys.readouterr().out)
    assert (made["n_examples"], made["n_in_scope"], made["n_out_of_scope"]) == (17, 3, 6)


def test_an_alarm_is_taught_and_judged_in_noise(
    data: Path, encoder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "out"
    words = ["assist", "train", "--data", str(data), "--out", str(out), "--encoder", str(encoder), "--epochs", "0"]
    assert main([*words, "--alarm", "alarm", "--false-alarms", "1"]) == 2
    assert "--false-alarms" in capsys.readouterr().err
    assert main([*words, "--alarm", "alarm", "--false-alarms", "0.25", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["alarm"]["label"] == "alarm"
    judging = ["assist", "judge", "--model", str(out), "--data", str(data)]
    assert main([*judging, "--noise", "0.5", "--json"]) == 0
    judged = json.loads(capsys.readouterr().out)
    assert (judged["noise"], judged["alarm"]["n_with"], judged["alarm"]["n_without"]) == (0.5, 5, 12)
    low, high = judged["alarm"]["recall_between"]
    assert low <= judged["alarm"]["recall"] <= high
    assert main(judging) == 0
    assert "of 5 texts labelled 'alarm' raised it" in capsys.readouterr().out
    assert main([*judging, "--noise", "2"]) == 2


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ('{"text": "rain"}', "line 18: expected text and label"),
        ('{"text": " ", "label": "weather"}', "line 18: text"),
        ('{"text": "rain", "label": 3}', "line 18: label"),
        ('{"text": "rain", "label": "news"}', "label 'news'"),
    ],
)
def test_a_line_that_cannot_be_learned_from_is_named(
    line: str, said: str, data: Path, encoder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with data.open("a") as stream:
        stream.write(line + "\n")
    words = ["--data", str(data), "--out", str(tmp_path / "out"), "--encoder", str(encoder), "--epochs", "0"]
    assert main(["assist", "train", *words]) == 2
    assert said in capsys.readouterr().err
