"""The door of `projectone-server`: what it says where no command could even begin."""

from __future__ import annotations

import importlib

import pytest

from projectone.server.cli import main


def test_an_interruption_while_a_command_loads_is_no_traceback(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def interrupt(name: str) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(importlib, "import_module", interrupt)
    assert main(["status"]) == 130
    assert "interrupted" in capsys.readouterr().err
