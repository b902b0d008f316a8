"""What `benchmarks/load.py --flood` sends and tells."""

from __future__ import annotations

import importlib
import threading
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import pytest
from tests.conftest import REPOSITORY
from tests.fakes.benchmark_scripts import load_script


@pytest.fixture
def script(monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.syspath_prepend(str(REPOSITORY / "benchmarks"))
    return load_script("load", monkeypatch)


def test_the_report_parts_the_honest_waits_by_what_the_flood_got(script: Any) -> None:
    def answered(due_s: float, wait_s: float, status: str = "201") -> Any:
        return script.Answered(due_s, wait_s, status, status == "429")

    alone = [[answered(second, 0.01) for second in range(4)]]
    beside = [[answered(0, 0.08), answered(1, 0.02), answered(5, 0.02), answered(6, 0.02)]]
    # One that had too many lines is refused alone; from the fourth second on everything is.
    flood = [
        answered(0, 1),
        answered(1, 1, "429"),
        answered(2, 1),
        *(answered(3 + n / 10, 1, "429") for n in range(17)),
    ]
    report = script.flood_report(alone, beside, [flood])
    assert report["ratios"] == {"honest_p50": 2.0, "honest_p99": 8.0}
    counts = {name: part["n"] for name, part in report["honest"].items()}
    assert list(counts.values()) == [4, 4, 2, 2]
    assert report["honest"]["of these, while it was served"]["longest_ms"] == 80.0
    assert report["flood"] == {
        "asked": 20,
        "statuses": {"201": 2, "429": 18},
        "refused_share": 0.9,
        "refusals_with_retry_after": 18,
        "served_until_s": [4.0],
    }


class ThirdIsRefused(BaseHTTPRequestHandler):
    """Keeps the line open but for each third request, which it refuses on a line that it closes."""

    protocol_version = "HTTP/1.1"
    n_asked = 0
    n_lines = 0

    def setup(self) -> None:
        type(self).n_lines += 1
        super().setup()

    def do_PUT(self) -> None:
        self.rfile.read(int(self.headers["Content-Length"]))
        type(self).n_asked += 1
        is_refused = self.n_asked % 3 == 0
        self.send_response(429 if is_refused else 201)
        self.send_header("Content-Length", "0")
        if is_refused:
            self.send_header("Retry-After", "7")
            self.send_header("Connection", "close")
        self.end_headers()

    def log_message(self, format: str, *args: object) -> None:
        pass


def test_a_device_opens_another_line_after_one_was_closed_and_each_answer_is_told(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.syspath_prepend(str(REPOSITORY / "benchmarks"))
    flood, senders = (importlib.import_module(f"peers.{name}") for name in ("flood", "senders"))
    handler = type("Handler", (ThirdIsRefused,), {})
    with HTTPServer(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        address = f"127.0.0.1:{server.server_address[1]}"
        head = f"PUT / HTTP/1.1\r\nHost: {address}\r\nContent-Length: 5\r\n\r\n"
        device = flood.Device(senders.Prepared([head] * 6, b"hello"), 50.0, 60.0)
        (answers,) = flood.send_together(tmp_path / "round", address, [device])
        server.shutdown()
        thread.join()
    assert [one.status for one in answers] == ["201", "201", "429"] * 2
    assert [one.says_when for one in answers] == [False, False, True] * 2
    assert [round(one.due_s, 2) for one in answers] == [0.0, 0.02, 0.04, 0.06, 0.08, 0.1]
    assert all(one.wait_s > 0 for one in answers)
    assert handler.n_lines == 2
