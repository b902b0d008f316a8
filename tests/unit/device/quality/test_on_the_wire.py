"""The report as it leaves, caught on a socket: the bytes that were shown, no others, and no name beside them."""

from __future__ import annotations

import random
import threading
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from cryptography.hazmat.primitives.asymmetric import rsa

from projectone.contracts import endpoints
from projectone.contracts.blind_signatures import public_rsa_key, rsa_key_text, sign_blinded, verify_unblinded
from projectone.contracts.health import TicketAnswer
from projectone.contracts.quality import QualityTicketRequest, QualityWeek, quality_ticket_message
from projectone.device.consent import M002_CONSENT, M005_PEOPLE, ConsentLedger
from projectone.device.heard import Heard
from projectone.device.quality import M012_QUALITY, Counts, Quality
from projectone.device.quality.quality import LATEST, Sender
from projectone.device.transport import Transport
from projectone.storage.database import Database

NOW = datetime(2026, 11, 17, 9, tzinfo=UTC)
NAMES = ("device-7", "person-7")
_DATA_POINTS = "CREATE TABLE data_points (sample_id TEXT PRIMARY KEY) STRICT;"


class Ear(ThreadingHTTPServer):
    """Signs tickets, and keeps every request as it came."""

    def __init__(self, key: rsa.RSAPrivateKey) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.key = key
        self.requests: list[tuple[str, dict[str, str], bytes]] = []


class _Handler(BaseHTTPRequestHandler):
    server: Ear
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        self._note()
        self._answer(QualityWeek(week="2026-W46", ticket_key=rsa_key_text(self.server.key.public_key())).to_bytes())

    def do_POST(self) -> None:
        body = self._note()
        if self.path == endpoints.QUALITY_TICKETS:
            signed = sign_blinded(self.server.key, QualityTicketRequest.from_bytes(body).blinded)
            self._answer(TicketAnswer(blind_signature=signed).to_bytes())
        else:
            self._answer(b"", 204)

    def log_message(self, *_: Any) -> None:
        """Nothing is printed."""

    def _note(self) -> bytes:
        body = self.rfile.read(int(self.headers.get("Content-Length", "0")))
        self.server.requests.append((self.path, {name.lower(): text for name, text in self.headers.items()}, body))
        return body

    def _answer(self, body: bytes, status: int = 200) -> None:
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


@pytest.fixture
def ear() -> Iterator[Ear]:
    with Ear(rsa.generate_private_key(public_exponent=65537, key_size=2048)) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield server
        server.shutdown()
        thread.join()


def test_what_was_shown_is_what_a_listener_hears(ear: Ear, tmp_path: Path) -> None:
    now = [NOW - timedelta(weeks=1)]
    database = Database(tmp_path / "device.sqlite", (M002_CONSENT, _DATA_POINTS + M005_PEOPLE, M012_QUALITY))
    transport = Transport(f"http://127.0.0.1:{ear.server_port}", lambda **_: {"X-Device-Id": NAMES[0]})
    sender = Sender(channel="stable", tier="f16", app_version="0.1.0", contributor_id=NAMES[1], introduce=lambda: None)
    quality = Quality(
        Counts(database),
        ConsentLedger(database),
        transport,
        sender,
        word_distance=lambda: lambda said, heard: 0.0,
        clock=lambda: now[0],
        source=random.Random(2),
    )
    quality.switch(is_on=True, method="cli")
    quality.count_heard(Heard("hello", "1.2.0"), np.ones(16_000, np.float32))
    now[0] = NOW
    shown = quality.payload()
    assert shown is not None
    quality.report()
    now[0] += LATEST
    assert quality.report()
    transport.close()
    database.close()

    assert [path for path, *_ in ear.requests] == [
        endpoints.quality_week("2026-W46"),
        endpoints.QUALITY_TICKETS,
        endpoints.QUALITY_REPORTS,
    ]
    (_, _, asked), (_, headers, body) = ear.requests[1:]
    assert body == shown.body
    ticket = headers.pop("x-quality-ticket")
    verify_unblinded(public_rsa_key(rsa_key_text(ear.key.public_key())), quality_ticket_message(body), ticket)
    # Nothing else says anything, and nothing of the request for the ticket is in it.
    assert set(headers) == {
        "host",
        "accept",
        "accept-encoding",
        "connection",
        "user-agent",
        "content-type",
        "content-length",
    }
    assert not any(name in f"{headers} {body!r}" for name in NAMES)
    assert QualityTicketRequest.from_bytes(asked).blinded not in (ticket, body.decode())
