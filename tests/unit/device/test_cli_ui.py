"""`projectone ui` for whoever's browser does not show it by itself."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from projectone.device.cli import main
from projectone.device.web import serving
from projectone.device.web.serving import Opened, RunningElsewhereError

URL = "http://127.0.0.1:7465/enter?token=abc"


@pytest.fixture(autouse=True)
def asked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What the browser was asked to show; there is none that can be started."""
    monkeypatch.setenv("PROJECTONE_HOME", str(tmp_path / "device"))

    def serve(client: object, home: Path, *, port: int | None, on_open: Callable[[Opened], None]) -> None:
        on_open(Opened(URL, 7465, home / "ui.html"))

    shown: list[str] = []
    monkeypatch.setattr(serving, "serve", serve)
    monkeypatch.setattr("webbrowser.open", lambda address: shown.append(address))
    return shown


def test_the_address_is_printed_with_what_to_do_where_a_browser_may_not_read_the_page(
    asked: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["ui"]) == 0
    out, err = capsys.readouterr()
    assert out.startswith(f"open {URL}\n") and "Snap and Flatpak" in out
    assert "open that address in one yourself" in err
    assert asked[0].startswith("file:///") and "token" not in asked[0]


def test_nothing_is_opened_and_nothing_said_of_it_if_nobody_wants_a_browser(
    asked: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["ui", "--no-browser", "--json"]) == 0
    out, err = capsys.readouterr()
    assert json.loads(out.splitlines()[0])["url"] == URL
    assert (err, asked) == ("", [])


def test_a_second_one_says_where_the_first_is_if_no_browser_can_be_started(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    def elsewhere(*arguments: Any, **options: Any) -> None:
        raise RunningElsewhereError(URL, tmp_path / "ui.html")

    monkeypatch.setattr(serving, "serve", elsewhere)
    assert main(["ui"]) != 0
    shown = capsys.readouterr()
    assert URL in shown.out + shown.err and "open that address" in shown.err
