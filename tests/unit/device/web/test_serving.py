"""`projectone ui` in a process of its own: it listens here alone, there is one of it, and Ctrl-C or SIGTERM ends it."""

from __future__ import annotations

import contextlib
import http.client
import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

_PROGRAM = "import sys; from projectone.device.cli import main; sys.exit(main())"
COMMAND = [sys.executable, "-c", _PROGRAM, "ui", "--no-browser", "--json", "--port", "0"]
LIMIT_S = 60


@contextlib.contextmanager
def running(home: Path) -> Iterator[tuple[subprocess.Popen[str], dict[str, Any]]]:
    """The app as a person starts it, and what it said at its start."""
    environment = {**os.environ, "PROJECTONE_HOME": str(home)}
    process = subprocess.Popen(COMMAND, env=environment, stdout=subprocess.PIPE, text=True)
    try:
        assert process.stdout is not None
        yield process, json.loads(process.stdout.readline())
    finally:
        process.kill()
        process.communicate()


def test_one_app_runs_until_ctrl_c_and_a_second_one_is_told_where(tmp_path: Path) -> None:
    with running(tmp_path) as (process, started):
        address = urlsplit(started["url"])
        assert address.hostname == "127.0.0.1"
        connection = http.client.HTTPConnection("127.0.0.1", address.port or 0, timeout=LIMIT_S)
        connection.request("GET", f"{address.path}?{address.query}")
        answer = connection.getresponse()
        assert answer.status == 200
        connection.close()
        page = tmp_path / "ui.html"
        assert page.stat().st_mode & 0o077 == 0
        next_address = json.loads((tmp_path / "ui.json").read_bytes())["url"]
        assert next_address != started["url"]  # the first one is spent
        assert next_address in page.read_text()
        environment = {**os.environ, "PROJECTONE_HOME": str(tmp_path)}
        second = subprocess.run(COMMAND, env=environment, capture_output=True, text=True, check=False, timeout=LIMIT_S)
        assert second.returncode == 1
        told = json.loads(second.stdout)
        assert (told["state"], told["url"]) == ("running-elsewhere", next_address)
        process.send_signal(signal.SIGINT)
        said, _ = process.communicate(timeout=LIMIT_S)
        assert (json.loads(said), process.returncode) == ({"state": "stopped"}, 0)
    assert not (tmp_path / "ui.json").exists()


def test_sigterm_ends_it_in_order_and_leaves_no_address_behind(tmp_path: Path) -> None:
    with running(tmp_path) as (process, started):
        connection = http.client.HTTPConnection("127.0.0.1", started["port"], timeout=LIMIT_S)
        connection.request("GET", "/")  # it answers: from here on signals are uvicorn's to take
        assert connection.getresponse().status == 401
        connection.close()
        process.send_signal(signal.SIGTERM)
        said, _ = process.communicate(timeout=LIMIT_S)
        assert (json.loads(said), process.returncode) == ({"state": "stopped"}, 0)
    assert not (tmp_path / "ui.json").exists()
    assert not (tmp_path / "ui.html").exists()
