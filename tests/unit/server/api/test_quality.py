"""Quality reports: one class, from a device that is known, and not known which; counted in sums alone."""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import numpy as np
import pytest
from sqlalchemy import text
from sqlalchemy.exc import OperationalError
from tests.fakes.caller import Caller
from tests.fakes.releases import a_manifest
from tests.unit.server.api.conftest import Backend, reason

from projectone.contracts import endpoints
from projectone.contracts.blind_signatures import blind, public_rsa_key, unblind
from projectone.contracts.health import TicketAnswer
from projectone.contracts.quality import (
    QualityReport,
    QualityTicketRequest,
    QualityWeek,
    quality_ticket_message,
)
from projectone.device.consent import M002_CONSENT, M005_PEOPLE, ConsentLedger
from projectone.device.heard import Heard, Signals
from projectone.device.quality import M012_QUALITY, Counts, Quality
from projectone.device.quality.quality import LATEST, Sender
from projectone.device.transport import Transport
from projectone.server.monitoring.quality import MIN_GROUP
from projectone.storage.database import Database

NOW = datetime(2026, 11, 17, 9, tzinfo=UTC)  # a Tuesday: reports tell of week 46
WEEK = "2026-W46"
_DATA_POINTS = "CREATE TABLE data_points (sample_id TEXT PRIMARY KEY) STRICT;"
SPOKEN = Heard("hello world", "1.2.0", (), Signals(-0.12, 0.8, 0.0, 0.0), 0.2)
SOUND = np.sin(np.arange(48_000) / 7).astype(np.float32)


class OneRelease:
    """A ledger in which one release stands."""

    manifest = a_manifest().model_copy(update={"version": "1.2.0"})
    tiers = {"float16": manifest}

    def releases(self, channel: str) -> list[OneRelease]:
        return [self] if channel in ("stable", "stable.intents") else []


@dataclass
class Clock:
    now: datetime = NOW


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def site(backend: Backend, clock: Clock, monkeypatch: pytest.MonkeyPatch) -> Backend:
    ledger: Any = OneRelease()
    services = replace(backend.services, ledger=ledger, clock=lambda: clock.now)
    backend.http.app.state.services = services  # type: ignore[attr-defined]
    backend.services = services
    monkeypatch.setattr("tests.fakes.caller.time", SimpleNamespace(time=lambda: clock.now.timestamp()))
    return backend


def a_report(**changes: Any) -> QualityReport:
    values = {
        "week": WEEK,
        "channel": "stable",
        "model_version": "1.2.0",
        "tier": "float16",
        "app_version": "0.1.0",
        "histogram": "duration",
        "answer": 3,
        "nonce": f"{random.Random(str(changes)).getrandbits(256):064x}",
    }
    return QualityReport.model_validate(values | changes)


def ask(site: Backend, caller: Caller, body: bytes) -> tuple[Any, int]:
    """Ask for a ticket over these bytes; gives the answer, and what takes the blinding off."""
    key = public_rsa_key(QualityWeek.from_bytes(site.http.get(endpoints.quality_week(WEEK)).content).ticket_key)
    blinded, unblinder = blind(key, quality_ticket_message(body))
    wanted = QualityTicketRequest(week=WEEK, blinded=blinded).to_bytes()
    return caller.signed("POST", endpoints.QUALITY_TICKETS, wanted), unblinder


def ticket(site: Backend, caller: Caller, body: bytes) -> str:
    answer, unblinder = ask(site, caller, body)
    assert answer.status_code == 200, answer.text
    key = public_rsa_key(QualityWeek.from_bytes(site.http.get(endpoints.quality_week(WEEK)).content).ticket_key)
    signed = TicketAnswer.from_bytes(answer.content).blind_signature
    return unblind(key, quality_ticket_message(body), signed, unblinder)


def send(site: Backend, body: bytes, signature: str) -> Any:
    headers = {endpoints.QUALITY_TICKET_HEADER: signature}
    return site.http.request("POST", endpoints.QUALITY_REPORTS, content=body, headers=headers)


def cells(site: Backend) -> list[tuple[Any, ...]]:
    with site.engine.connect() as connection:
        return [tuple(row) for row in connection.execute(text("SELECT * FROM quality_cells"))]


def test_a_report_is_one_more_in_a_sum_and_counts_once(site: Backend) -> None:
    body = a_report().to_bytes()
    signature = ticket(site, site.caller(), body)
    assert [send(site, body, signature).status_code for _ in range(2)] == [204, 204]
    assert cells(site) == [("stable", "1.2.0", WEEK, "float16", "0.1.0", "duration", 3, 1)]


def test_a_device_has_one_ticket_a_week(site: Backend) -> None:
    caller, body = site.caller(), a_report().to_bytes()
    first, _ = ask(site, caller, body)
    assert first.status_code == 200
    assert reason(ask(site, caller, a_report(answer=5).to_bytes())[0]) == (422, "ticket-given")


def test_a_ticket_is_good_for_the_bytes_it_was_made_for(site: Backend) -> None:
    body = a_report().to_bytes()
    signature = ticket(site, site.caller(), body)
    assert reason(send(site, body.replace(b'"answer":3', b'"answer":4'), signature)) == (401, "signature")
    assert reason(send(site, body, "")) == (401, "signature")
    assert reason(send(site, a_report(week="2026-W45").to_bytes(), signature)) == (422, "week-closed")
    assert cells(site) == []


def test_a_classifier_is_told_of_on_its_own_line(site: Backend) -> None:
    told = {"channel": "stable.intents", "edges_version": 2, "histogram": "outcome"}
    body = a_report(**told).to_bytes()
    assert send(site, body, ticket(site, site.caller(), body)).status_code == 204
    assert cells(site) == [("stable.intents", "1.2.0", WEEK, "float16", "0.1.0", "outcome", 3, 1)]
    crossed = body.replace(b"stable.intents", b"stable")
    assert send(site, crossed, "").status_code == 422
    assert len(cells(site)) == 1


@pytest.mark.parametrize("changes", [{"model_version": "9.9.9"}, {"tier": "tiny"}, {"channel": "beta"}])
def test_names_that_were_never_released_are_not_kept(site: Backend, changes: dict[str, str]) -> None:
    body = a_report(**changes).to_bytes()
    assert reason(send(site, body, ticket(site, site.caller(), body))) == (422, "release-unknown")


def test_only_the_week_that_is_just_over_has_a_key(site: Backend, clock: Clock) -> None:
    key = site.http.get(endpoints.quality_week(WEEK)).content
    assert site.http.get(endpoints.quality_week(WEEK)).content == key  # everybody gets the same
    for week in ("2026-W45", "2026-W47", "2026-W99"):
        assert site.http.get(endpoints.quality_week(week)).status_code == 422
    clock.now += timedelta(weeks=1)
    site.services.weekly_tickets.forget(clock.now)
    assert reason(site.http.get(endpoints.quality_week(WEEK))) == (422, "week-closed")
    assert not list((site.home / "keys" / "tickets").glob("*.pem"))


def test_rows_of_tickets_and_of_reports_share_no_value_but_the_week(site: Backend) -> None:
    body = a_report().to_bytes()
    send(site, body, ticket(site, site.caller(), body))
    with site.engine.connect() as connection:
        asked = connection.execute(text("SELECT * FROM quality_tickets")).one()
        counted = connection.execute(text("SELECT * FROM quality_counted")).one()
    assert set(asked) & (set(counted) | set(cells(site)[0])) == {WEEK}


def test_groups_that_are_too_small_are_put_together_or_dropped(site: Backend, clock: Clock) -> None:
    keep = site.services.quality.keep
    for n, changes in (
        (MIN_GROUP, {"app_version": "0.1.0"}),
        (3, {"app_version": "0.0.9"}),  # with the next one, large enough
        (MIN_GROUP - 3, {"app_version": "0.0.8"}),
        (MIN_GROUP - 1, {"model_version": "1.1.0"}),  # never
    ):
        for number in range(n):
            keep(a_report(answer=number % 8, **changes), f"{n}-{changes}-{number}")
    assert site.services.quality.groups("stable", clock.now) == []  # the week is open
    clock.now += timedelta(weeks=1)
    shown = [(item.model_version, item.app_version, item.n_reports) for item in read_groups(site, clock)]
    site.services.quality.settle(clock.now)
    settled = [(item.model_version, item.app_version, item.n_reports) for item in read_groups(site, clock)]
    assert shown == [("1.2.0", "0.1.0", MIN_GROUP)]
    assert settled == [("1.2.0", "0.1.0", MIN_GROUP), ("1.2.0", "other", MIN_GROUP)]
    kept = {(row[1], row[4]): 0 for row in cells(site)}
    assert set(kept) == {("1.2.0", "0.1.0"), ("1.2.0", "other")}  # nothing smaller is in the rows
    clock.now += timedelta(days=420)
    site.services.quality.settle(clock.now)
    assert cells(site) == []


def read_groups(site: Backend, clock: Clock) -> list[Any]:
    return site.services.quality.groups("stable", clock.now)


def test_without_tickets_one_device_would_speak_for_many(site: Backend, monkeypatch: pytest.MonkeyPatch) -> None:
    """The control: what the ticket keeps out."""
    bodies = [a_report(answer=number).to_bytes() for number in range(5)]
    signature = ticket(site, site.caller(), bodies[0])
    assert [send(site, body, signature).status_code for body in bodies] == [204, 401, 401, 401, 401]
    monkeypatch.setattr("projectone.server.api.quality.verify_unblinded", lambda *_: None)
    assert [send(site, body, signature).status_code for body in bodies] == [204] * 5
    assert sum(row[-1] for row in cells(site)) == 5


def test_without_a_least_group_three_devices_would_be_shown(
    site: Backend, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The control: what the least group keeps back."""
    for number in range(3):
        site.services.quality.keep(a_report(answer=number), str(number))
    clock.now += timedelta(weeks=1)
    assert read_groups(site, clock) == []
    monkeypatch.setattr("projectone.server.monitoring.quality.MIN_GROUP", 1)
    assert [group.n_reports for group in read_groups(site, clock)] == [3]


@pytest.mark.parametrize("table", ["quality_tickets", "quality_counted", "quality_cells"])
def test_rows_have_no_number_that_tells_their_order(site: Backend, table: str) -> None:
    with site.engine.connect() as connection, pytest.raises(OperationalError, match="no such column"):
        connection.execute(text(f"SELECT rowid FROM {table}"))


@pytest.fixture
def database(tmp_path: Path) -> Iterator[Database]:
    database = Database(tmp_path / "device.sqlite", (M002_CONSENT, _DATA_POINTS + M005_PEOPLE, M012_QUALITY))
    yield database
    database.close()


def a_device(site: Backend, clock: Clock, database: Database, wire: list[Any]) -> Quality:
    """The device's own code, over the test client in the place of the network."""
    caller = site.caller("device")

    def call(method: str, path: str, *, body: bytes = b"", is_signed: bool = True, **options: Any) -> Any:
        options.get("before_bytes_leave", lambda: None)()
        wire.append((path, body, is_signed, options.get("extra_headers")))
        if is_signed:
            answer = caller.signed(method, path, body)
        else:
            answer = site.http.request(method, path, content=body, headers=options.get("extra_headers") or {})
        assert answer.status_code < 300, answer.text
        return SimpleNamespace(body=answer.content)

    sender = Sender(
        channel="stable", tier="float16", app_version="0.1.0", contributor_id="person", introduce=lambda: None
    )
    transport = cast(Transport, SimpleNamespace(call=call))
    return Quality(
        Counts(database),
        ConsentLedger(database),
        transport,
        sender,
        word_distance=lambda: lambda said, heard: 0.3,
        clock=lambda: clock.now,
        source=random.Random(5),
    )


def test_the_bytes_on_the_wire_are_those_that_were_shown(site: Backend, clock: Clock, database: Database) -> None:
    wire: list[Any] = []
    quality = a_device(site, clock, database, wire)
    quality.switch(is_on=True, method="cli")
    clock.now = NOW - timedelta(weeks=1)
    for _ in range(4):
        quality.count_heard(SPOKEN, SOUND)
    clock.now = NOW
    shown = quality.payload()
    assert shown is not None and shown.report.week == WEEK
    assert not quality.report()  # its ticket is fetched, and its moment has not come
    clock.now += LATEST
    assert quality.report() and not quality.report()
    sent = [body for path, body, *_ in wire if path == endpoints.QUALITY_REPORTS]
    assert sent == [shown.body] == [item.body for item in quality.told()]
    assert [is_signed for path, _, is_signed, _ in wire if path != endpoints.QUALITY_TICKETS] == [False, False]
    assert [row[-1] for row in cells(site)] == [1]
    assert cells(site)[0][5:7] == (shown.report.histogram, shown.report.answer)
