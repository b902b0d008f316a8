"""A device that saw a checkpoint of the server's audit log finds that the log was written anew."""

from __future__ import annotations

import argparse
import hashlib
import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from tests.fakes.release_server import FakeServer
from tests.unit.device.conftest import Rooms
from tests.unit.device.web.pages import Pages

from projectone.contracts import endpoints
from projectone.contracts.signatures import CHECKPOINT
from projectone.contracts.uploads import Problem
from projectone.device.cli.commands import COMMANDS
from projectone.device.client import DeviceClient
from projectone.device.releases.history import HistoryAccount, ServerHistory
from projectone.device.transport import Transport
from projectone.device.trust import Trust
from projectone.device.web.model import _document

NOW = datetime(2026, 11, 22, 12, tzinfo=UTC)


class Device:
    """One device that looks every hour, and the server that it looks at."""

    def __init__(self, rooms: Rooms, server: FakeServer) -> None:
        trust = Trust((server.public_key,), channel="stable", runtime="0.1.0", tier="full")
        self.server, self.now = server, NOW
        self.file = rooms.home / "audit" / "history.json"
        self.history = ServerHistory(
            self.file.parent, rooms.transport, lambda signed: trust.read(CHECKPOINT, signed), clock=lambda: self.now
        )

    def look(self) -> HistoryAccount:
        """After something was signed, an hour later."""
        self.now += timedelta(hours=1)
        self.history.look()
        return self.history.account()

    def grow(self, n: int) -> None:
        """More entries, signed."""
        log = self.server.log
        log.entries += [hashlib.sha256(f"{len(log.entries)} {number}".encode()).digest() for number in range(n)]
        log.sign(self.now)


@pytest.fixture
def device(rooms: Rooms, server: FakeServer) -> Device:
    return Device(rooms, server)


def edited(entries: list[bytes]) -> list[bytes]:
    return [hashlib.sha256(b"another").digest(), *entries[1:]]


def test_a_log_that_only_grows_is_shown_to_do_so(device: Device) -> None:
    assert device.look() == HistoryAccount()
    for n in (1, 1, 2, 5, 7, 0, 16):
        device.grow(n)
        account = device.look()
        assert (account.kind, account.n_entries) == ("grown", len(device.server.log.entries))
        assert account.shown_at == device.now
    assert "begins with everything that was seen before" in account.words


@pytest.mark.parametrize(
    "rewrite",
    [edited, lambda entries: entries[1:], lambda entries: entries[::-1], lambda entries: entries[:-3]],
    ids=["edited", "removed", "reordered", "cut"],
)
@pytest.mark.parametrize("n_more", [0, 1, 3, 40])
def test_a_log_that_was_written_anew_is_found_and_stays_found(
    device: Device, rewrite: Callable[[list[bytes]], list[bytes]], n_more: int
) -> None:
    device.grow(13)
    shown_at = device.look().shown_at
    before = device.server.log.newest
    assert before is not None
    device.server.log.entries = rewrite(device.server.log.entries)
    device.grow(n_more)
    is_longer = len(device.server.log.entries) > 13
    account = device.look()
    device.grow(1)
    later = device.look()
    kept = json.loads(device.file.read_bytes())
    if is_longer:  # of a longer log the signed words contradict nothing: what is missing is the proof
        assert (account.kind, account.shown_at, later.kind, later.shown_at) == ("unshown", shown_at) * 2
        assert kept["newest"]["checkpoint"]["merkle_root"] == before.merkle_root
        assert kept["unproven"]["checkpoint"]["n_entries"] == len(device.server.log.entries)
    else:
        assert (account.kind, account.rewritten_at) == ("rewritten", device.now - timedelta(hours=1))
        assert later.rewritten_at == account.rewritten_at and account.words.startswith("REWRITTEN")
        assert kept["rewrites"][0]["before"]["checkpoint"]["merkle_root"] == before.merkle_root
    assert str(device.file) in account.words


def test_a_proof_that_is_missing_is_no_rewriting_and_one_that_comes_later_heals_it(device: Device) -> None:
    device.grow(5)
    device.look()
    whole = device.server.log.entries
    device.server.log.entries = edited(whole)
    device.grow(3)
    signed = device.server.log.newest
    assert device.look().kind == "unshown"
    device.server.log.entries = [*whole, *device.server.log.entries[5:]]
    device.server.log.sign(device.now)
    assert signed != device.server.log.newest
    assert device.look().kind == "grown"


def test_a_rewriting_that_is_dated_back_is_not_said_to_have_grown(device: Device) -> None:
    device.grow(13)
    device.look()
    log = device.server.log
    log.entries = edited(log.entries)[:-1]
    log.sign(NOW - timedelta(days=1))
    assert device.look().kind == "unshown"


def test_a_file_that_cannot_be_read_ends_nothing(device: Device) -> None:
    device.file.mkdir(parents=True)
    device.grow(1)
    assert device.look() == HistoryAccount()


def test_control_a_device_that_kept_nothing_finds_nothing(device: Device) -> None:
    device.grow(13)
    device.look()
    device.file.unlink()
    device.server.log.entries = edited(device.server.log.entries)
    device.grow(1)
    assert device.look().kind == "grown"


def test_an_earlier_checkpoint_from_somebody_in_between_is_no_rewriting(device: Device) -> None:
    device.grow(5)
    stale = device.server.log.newest
    device.now += timedelta(hours=1)
    device.grow(5)
    assert device.look().n_entries == 10
    newest, device.server.log.newest = device.server.log.newest, stale
    account = device.look()
    assert (account.kind, account.n_entries, account.problem) == ("unshown", 10, "it shows what it signed earlier")
    device.server.log.newest = newest
    assert device.look().kind == "grown"


def test_what_nobody_we_trust_signed_says_nothing_and_what_is_not_shown_is_said(device: Device) -> None:
    device.grow(5)
    shown_at = device.look().shown_at
    device.server.log.key = Ed25519PrivateKey.generate()
    device.server.log.entries = edited(device.server.log.entries)
    device.grow(1)
    account = device.look()
    assert (account.kind, account.n_entries, account.shown_at) == ("unshown", 5, shown_at)
    device.server.log.newest = None
    assert "not shown since" in device.look().words
    device.server.faults.answer = lambda method, path: (503, "busy")
    assert device.look().kind == "unshown", "an hour that nobody answers changes nothing"


def test_a_server_that_shows_its_log_no_more_is_said_to_show_it_no_more(device: Device) -> None:
    device.server.log.newest = None
    assert device.look() == HistoryAccount(), "nothing was signed yet"
    device.grow(5)
    shown_at = device.look().shown_at
    device.server.log.newest = None
    account = device.look()
    assert (account.kind, account.shown_at, account.n_entries) == ("unshown", shown_at, 5)


@contextmanager
def portal(status: int, body: bytes) -> Iterator[Transport]:
    """Somebody before the server who answers everything alike."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(status)
            self.send_header("Location", "http://login.example/")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as running:
        threading.Thread(target=running.serve_forever, daemon=True).start()
        transport = Transport(f"http://127.0.0.1:{running.server_port}", lambda **request: {}, sleep=lambda s: None)
        yield transport
        transport.close()
        running.shutdown()


PAGE = b"<html>Log in to use this network.</html>"
REFUSED = Problem(title="no", status=404, reason="audit-unknown", detail="nothing is shown").to_bytes()


@pytest.mark.parametrize("is_first", [True, False], ids=["nothing-seen", "seen"])
@pytest.mark.parametrize(
    ("status", "body"),
    [
        *((200, body) for body in (PAGE, b"", b"x" * 2**21)),
        *((status, PAGE) for status in (302, 307, 403, 404, 502)),
        *((status, body) for status in (407, 511) for body in (b"", PAGE, REFUSED)),
    ],
)
def test_a_network_that_wants_a_login_first_changes_nothing(
    device: Device, status: int, body: bytes, is_first: bool
) -> None:
    if not is_first:
        device.grow(5)
        device.look()
    had = device.file.read_bytes() if device.file.exists() else None
    before, whole = device.history.account(), device.history._transport
    with portal(status, body) as device.history._transport:
        assert device.look() == before
    assert (device.file.read_bytes() if device.file.exists() else None) == had
    device.history._transport = whole
    device.grow(1)
    assert device.look().kind == "grown", "the next time it is asked again"


@pytest.mark.parametrize(("status", "body"), [(404, REFUSED), (410, REFUSED), (200, b"{}")])
def test_control_what_the_server_itself_says_instead_is_told(device: Device, status: int, body: bytes) -> None:
    device.grow(5)
    device.look()
    with portal(status, body) as device.history._transport:
        assert device.look().kind == "unshown"


def test_a_server_that_was_put_back_from_a_backup_is_named_among_what_it_can_be(device: Device) -> None:
    device.grow(13)
    device.look()
    device.server.log.entries = device.server.log.entries[:9]
    device.grow(1)
    account = device.look()
    assert account.kind == "rewritten"
    assert "put back from an older backup" in account.advice and "Keep that file" in account.advice


def test_it_is_asked_once_an_hour_and_without_a_name(device: Device) -> None:
    device.grow(3)
    device.look()
    device.history.look()
    assert device.server.asked("GET", endpoints.AUDIT_CONSISTENCY) == 1
    assert endpoints.DEVICE_ID_HEADER.lower() not in {name.lower() for name in device.server.last_headers}


def test_a_device_looks_when_it_sends_and_says_it_in_its_status(
    client: DeviceClient, server: FakeServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    log = server.log
    log.entries = [hashlib.sha256(bytes([number])).digest() for number in range(4)]
    log.sign(NOW)
    client.sync()
    assert server.requests == [], "who sends nothing is not heard of"
    client.grant("corrections", "cli")
    client.sync()
    assert client.status().history.n_entries == 4
    log.entries = edited(log.entries)
    log.sign(NOW)
    later = datetime.now(UTC) + timedelta(hours=2)
    monkeypatch.setattr(client._rooms.history, "_clock", lambda: later)
    client.withdraw("corrections")
    client.sync()
    result = COMMANDS["status"].execute(client, argparse.Namespace())
    assert result.facts["audit_log"]["state"] == "rewritten"
    assert "audit log   REWRITTEN" in result.text
    assert _document(client)["audit_log"] == result.facts["audit_log"]


def test_the_page_says_in_plain_words_what_was_shown_and_what_to_do(
    client: DeviceClient, server: FakeServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    pages, log, hours = Pages(client), server.log, iter(range(2, 20, 2))

    def read() -> str:
        later = datetime.now(UTC) + timedelta(hours=next(hours))
        monkeypatch.setattr(client._rooms.history, "_clock", lambda: later)
        client._rooms.history.look()
        return pages.words("/model")

    assert "This device has seen nothing of it yet." in read()
    log.entries = [hashlib.sha256(bytes([number])).digest() for number in range(4)]
    log.sign(NOW)
    grown = read()
    assert "it only grew . When it was last shown, it began with everything" in grown and "4 entries, signed" in grown
    assert "What you can do" not in grown
    newest, log.newest = log.newest, None
    unshown = read()
    assert "The server did not show that it only grew." in unshown and "Last shown" in unshown
    assert "What you can do. A server that was moved" in unshown and "written anew" not in unshown
    log.newest = newest
    log.entries = edited(log.entries)
    log.sign(NOW)
    rewritten = read()
    assert "The server's audit log was written anew." in rewritten and "Keep that file" in rewritten
    assert "put back from an older backup lost history, too" in rewritten
    assert str(client._rooms.history._file) in rewritten
