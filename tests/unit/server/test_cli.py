"""The door of `projectone-server`: what it says where no command could even begin, or end."""

from __future__ import annotations

import importlib
import json
import os
from collections.abc import Callable
from pathlib import Path

import pytest

from projectone.server.cli import main


def raiser(error: BaseException) -> Callable[[str], None]:
    def raise_it(name: str) -> None:
        raise error

    return raise_it


def test_an_interruption_while_a_command_loads_is_no_traceback(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(importlib, "import_module", raiser(KeyboardInterrupt()))
    assert main(["status"]) == 130
    assert "interrupted" in capsys.readouterr().err


def test_a_disk_that_refuses_is_one_line_and_no_traceback(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(importlib, "import_module", raiser(OSError(28, "No space left on device")))
    assert main(["status"]) == 2
    assert capsys.readouterr().err == "projectone-server status: [Errno 28] No space left on device\n"


@pytest.mark.parametrize(
    ("arguments", "kind", "words"),
    [
        (["status"], "settings", "run `projectone-server init`"),
        (["evaluate", "--data", "x.jsonl"], "usage", "--model"),
        (["sing"], "usage", "no command 'sing'"),
        ([], "usage", "which command?"),
    ],
)
def test_with_json_an_error_is_an_object_too(
    arguments: list[str],
    kind: str,
    words: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setenv("PROJECTONE_SERVER_HOME", str(tmp_path / "nowhere"))
    assert main([*arguments, "--json"]) == 2
    captured = capsys.readouterr()
    error = json.loads(captured.out)["error"]
    assert error["kind"] == kind
    assert words in error["message"]
    assert captured.err.endswith(f": {error['message']}\n")
    assert main(arguments) == 2
    assert capsys.readouterr().out == ""


def test_an_interruption_and_a_full_disk_are_told_to_programs_too(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for error, code, kind in ((KeyboardInterrupt(), 130, "interrupted"), (OSError(28, "No space left"), 2, "system")):
        monkeypatch.setattr(importlib, "import_module", raiser(error))
        assert main(["status", "--json"]) == code
        assert json.loads(capsys.readouterr().out)["error"]["kind"] == kind


def test_an_error_whose_reader_went_away_ends_quietly(monkeypatch: pytest.MonkeyPatch) -> None:
    read, write = os.pipe()
    os.close(read)
    with os.fdopen(write, "w") as pipe:
        monkeypatch.setattr("sys.stdout", pipe)
        assert main(["sing", "--json"]) == 0


def test_help_whose_reader_went_away_ends_quietly(monkeypatch: pytest.MonkeyPatch) -> None:
    read, write = os.pipe()
    os.close(read)
    with os.fdopen(write, "w") as pipe:
        monkeypatch.setattr("sys.stdout", pipe)
        assert main(["--help"]) == 0


@pytest.mark.parametrize(
    ("action", "shown", "of_others"),
    [
        ("policies measure", "policies measure --data intents.jsonl", "policies add"),
        ("corpus labels", "corpus labels", "corpus scrub"),
        ("hub tokens create", "hub tokens create", "hub gc"),
    ],
)
def test_each_action_shows_its_own_examples(
    action: str, shown: str, of_others: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit):
        main([*action.split(), "--help"])
    _, examples = capsys.readouterr().out.split("\nexamples:\n")
    assert f"projectone-server {shown}" in examples
    assert f"projectone-server {of_others}" not in examples
