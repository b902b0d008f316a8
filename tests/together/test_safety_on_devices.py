"""A safety classifier that a setting names, from comments to a device: taught, judged and refused by the commands."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from tests.fakes.taught_intents import examples, write_lines
from tests.fakes.tiny_bert import write_tiny_bert

from projectone.assist.classifiers import CLASSIFIER
from projectone.device import safety_wiring
from projectone.device.settings import DeviceSettings
from projectone.errors import ArtifactError
from projectone.server.cli import main


@pytest.fixture
def encoder(tmp_path: Path) -> Path:
    return write_tiny_bert(tmp_path / "encoder")


def taught(tmp_path: Path, encoder: Path, label: str) -> Path:
    """A guard that warns of one label, by the command."""
    data, out = write_lines(tmp_path / "comments.jsonl", examples(60, seed=1)), tmp_path / f"warns-of-{label}"
    words = ["--data", str(data), "--encoder", str(encoder), "--alarm", label, "--bits", "8", "--epochs", "40"]
    assert main(["assist", "train", *words, "--out", str(out)]) == 0
    return out


def test_one_is_taught_judged_and_read_by_a_device_and_a_bad_one_is_refused(
    tmp_path: Path, encoder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    guard = taught(tmp_path, encoder, "alarm")
    held = examples(40, seed=3)
    data = write_lines(tmp_path / "held.jsonl", held)

    def validate(folder: Path) -> tuple[int, dict[str, Any]]:
        capsys.readouterr()
        words = ["--family", "safety", "--model", str(folder), "--data", str(data), "--numerics", "int8", "--json"]
        return main(["validate", *words]), json.loads(capsys.readouterr().out)

    assert validate(guard)[0] == 0
    deaf = tmp_path / "deaf"
    deaf.mkdir()
    for path in guard.iterdir():
        (deaf / path.name).write_bytes(path.read_bytes())
    described = json.loads((deaf / CLASSIFIER).read_text())
    described["alarm"]["threshold"] = 1.0  # so that it warns of nothing
    (deaf / CLASSIFIER).write_text(json.dumps(described))
    capsys.readouterr()
    words = ["--family", "safety", "--model", str(deaf), "--data", str(data)]
    assert main(["validate", *words]) == 2 and CLASSIFIER in capsys.readouterr().err  # its parts do not belong together

    def on_device(folder: Path) -> Any:
        environ = {"PROJECTONE_HOME": str(tmp_path / "device"), "PROJECTONE_SAFETY_MODEL": str(folder)}
        return safety_wiring.flags(DeviceSettings.from_env(environ))

    flags = on_device(guard)
    raised = {is_bad: [flags(text) for text, label in held if (label == "alarm") == is_bad] for is_bad in (True, False)}
    assert sum(raised[True]) > 0.5 * len(raised[True]) and sum(raised[False]) <= 0.1 * len(raised[False])
    with pytest.raises(ArtifactError):
        on_device(deaf)("anything")


def test_a_guard_that_warns_of_the_wrong_things_does_not_pass(
    tmp_path: Path, encoder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    guard = taught(tmp_path, encoder, "alarm")
    turned: list[tuple[str, str | None]] = [
        (text, "music" if label == "alarm" else "alarm") for text, label in examples(40, seed=3)
    ]
    data = write_lines(tmp_path / "turned.jsonl", turned)
    capsys.readouterr()
    words = ["--family", "safety", "--model", str(guard), "--data", str(data), "--json"]
    assert main(["validate", *words]) == 1
    assert json.loads(capsys.readouterr().out)["findings"][0]["outcome"] == "failed"
