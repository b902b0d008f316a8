"""The door of `projectone-server`: what it says where no command could even begin, or end."""

from __future__ import annotations

import importlib
import os
from collections.abc import Callable

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


def test_help_whose_reader_went_away_ends_quietly(monkeypatch: pytest.MonkeyPatch) -> None:
    read, write = os.pipe()
    os.close(read)
    with os.fdopen(write, "w") as pipe:
        monkeypatch.setattr("sys.stdout", pipe)
        assert main(["--help"]) == 0
