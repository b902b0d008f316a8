"""Health reports: counts of a release, from a device that is known, and not known which."""

from __future__ import annotations

import secrets
from dataclasses import dataclass, replace
from datetime import timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast, get_args

import pytest
from pydantic import BaseModel
from sqlalchemy import text
from sqlalchemy.exc import OperationalError
from tests.fakes.caller import Caller
from tests.fakes.releases import a_manifest
from tests.unit.server.api.conftest import Backend, reason

from projectone.contracts import endpoints
from projectone.contracts.blind_signatures import blind, public_rsa_key, unblind
from projectone.contracts.health import (
    HealthCounts,
    HealthReport,
    HealthTicket,
    Phase,
    TicketAnswer,
    TicketRequest,
    ticket_message,
)
from projectone.contracts.releases import ReleaseManifest
from projectone.contracts.rollouts import Cohort, RolloutPlan, stages_from
from projectone.device.health import M007_HEALTH, M011_VERDICTS, WINDOWS_BY_FAMILY, Reporter, Windows
from projectone.device.installed import InstallState, Slot
from projectone.device.transport import Transport
from projectone.server.delivery.tickets import TicketKeys
from projectone.storage.database import Database

STEPS = ((0, timedelta(hours=4)), (100, timedelta(days=1)), (10_000, timedelta()))


@dataclass(frozen=True)
class OneRelease:
    """A ledger in which one release stands."""

    manifest: ReleaseManifest

    @property
    def tiers(self) -> dict[str, ReleaseManifest]:
        return {self.manifest.tier: self.manifest}

    def newest(self, channel: str) -> OneRelease:
        return self


@pytest.fixture
def plan(backend: Backend) -> RolloutPlan:
    """The plan of the release that is out."""
    key = TicketKeys(backend.home / "keys" / "tickets").new()
    plan = RolloutPlan(salt="5" * 32, stages=stages_from(backend.services.clock(), STEPS), ticket_key=key)
    ledger: Any = OneRelease(a_manifest().model_copy(update={"version": "1.2.0", "rollout": plan}))
    backend.http.app.state.services = replace(backend.services, ledger=ledger)  # type: ignore[attr-defined]
    return plan


def ask(caller: Caller, plan: RolloutPlan, side: str = "with") -> tuple[Any, str, int]:
    """Ask for a ticket; gives the answer, the serial and what takes the blinding off."""
    serial = secrets.token_hex(32)
    blinded, unblinder = blind(public_rsa_key(plan.ticket_key), ticket_message("stable", 1, serial))
    wanted = TicketRequest.model_validate({"channel": "stable", "seq": 1, "side": side, "blinded": blinded})
    return caller.signed("POST", endpoints.HEALTH_TICKETS, wanted.to_bytes()), serial, unblinder


def ticket(caller: Caller, plan: RolloutPlan, side: str = "with") -> HealthTicket:
    answer, serial, unblinder = ask(caller, plan, side)
    assert answer.status_code == 200, answer.text
    blind_signature = TicketAnswer.from_bytes(answer.content).blind_signature
    message = ticket_message("stable", 1, serial)
    return HealthTicket(
        serial=serial, signature=unblind(public_rsa_key(plan.ticket_key), message, blind_signature, unblinder)
    )


def a_report(held: HealthTicket, phase: Phase, cohort: Cohort = "treated", **counts: Any) -> HealthReport:
    return HealthReport(
        channel="stable",
        seq=1,
        tier="float16",
        app_version="0.1.0",
        cohort=cohort,
        phase=phase,
        counts=HealthCounts(**counts),
        ticket=held,
    )


def send(backend: Backend, report: HealthReport) -> Any:
    return backend.http.request("POST", endpoints.HEALTH_REPORTS, content=report.to_bytes())


def test_a_report_is_counted_once_for_each_phase(backend: Backend, plan: RolloutPlan) -> None:
    held = ticket(backend.caller(), plan)
    for report in (
        a_report(held, "began"),
        a_report(held, "tried", load_failures=1),
        a_report(held, "tried"),  # what was said stands
        a_report(held, "began"),
    ):
        assert send(backend, report).status_code == 204
    known = backend.services.health.of("stable", 1, now=backend.services.clock())
    assert known.devices == {"treated": 1}
    (arms,) = known.strata["load-failed"]
    assert (arms.treated.failures, arms.treated.total) == (1, 1)


def test_a_device_has_one_ticket_for_each_side_of_a_release(backend: Backend, plan: RolloutPlan) -> None:
    caller = backend.caller()
    ticket(caller, plan, "without")
    ticket(caller, plan, "with")
    assert reason(ask(caller, plan)[0]) == (422, "ticket-given")
    ticket(backend.caller("bob"), plan)


def test_the_same_request_again_gets_the_same_answer(backend: Backend, plan: RolloutPlan) -> None:
    caller = backend.caller()
    blinded, _ = blind(public_rsa_key(plan.ticket_key), b"anything")
    body = TicketRequest(channel="stable", seq=1, side="with", blinded=blinded).to_bytes()
    answers = [caller.signed("POST", endpoints.HEALTH_TICKETS, body) for _ in range(2)]
    assert [answer.status_code for answer in answers] == [200, 200]
    assert answers[0].content == answers[1].content


def test_without_a_ticket_nothing_is_counted(backend: Backend, plan: RolloutPlan) -> None:
    held = ticket(backend.caller(), plan)
    made_up = HealthTicket(serial="ab" * 32, signature=held.signature)
    assert reason(send(backend, a_report(made_up, "began"))) == (401, "signature")
    assert backend.services.health.of("stable", 1, now=backend.services.clock()).devices == {}


def test_a_ticket_says_nothing_of_other_releases_and_no_names_of_ones_own(backend: Backend, plan: RolloutPlan) -> None:
    held = ticket(backend.caller(), plan)
    other = a_report(held, "began").model_copy(update={"seq": 2})
    assert reason(send(backend, other)) == (404, "release-unknown")
    named = a_report(held, "began").model_copy(update={"tier": "my-name-is-ada"})
    assert reason(send(backend, named)) == (422, "tier-unknown")


def test_the_rows_of_reports_and_of_devices_share_nothing(backend: Backend, plan: RolloutPlan) -> None:
    """Whoever has the whole database, keys too, cannot say which device sent a report."""
    for name in ("ada", "bob", "eve"):
        held = ticket(backend.caller(name), plan)
        send(backend, a_report(held, "began"))
    with backend.engine.connect() as connection:
        given = connection.execute(text("SELECT * FROM health_tickets")).all()
        kept = connection.execute(text("SELECT * FROM health_reports")).all()
    assert len(given) == len(kept) == 3
    shared = {str(value) for row in given for value in row} & {str(value) for row in kept for value in row}
    assert shared <= {"stable", "1"}  # channel and number
    assert all(row.began_at_s % 3600 == 0 for row in kept)


def test_the_order_of_the_rows_does_not_say_whose_report_is_whose(backend: Backend, plan: RolloutPlan) -> None:
    """Reports are numbered as they come. Tickets lie by digest, and the database keeps no number for them."""
    for name in ("ada", "bob", "eve"):
        send(backend, a_report(ticket(backend.caller(name), plan), "began"))
    with backend.engine.connect() as connection:
        given = connection.execute(text("SELECT device_sha256 FROM health_tickets")).scalars().all()
        with pytest.raises(OperationalError, match="rowid"):
            connection.execute(text("SELECT rowid FROM health_tickets"))
    assert given == sorted(given)


def test_a_report_has_no_field_for_words(plan: RolloutPlan) -> None:
    """Every text of a report is from a list, or has the form of a version, a digest or a signature."""
    free = {"channel", "tier"}  # checked against the release by the route, above

    def texts(model: type[BaseModel]) -> set[str]:
        found = set()
        for name, field in model.model_fields.items():
            if isinstance(field.annotation, type) and issubclass(field.annotation, BaseModel):
                found |= texts(field.annotation)
            elif field.annotation is str or str in get_args(field.annotation):
                has_form = any(getattr(item, "pattern", None) for item in field.metadata)
                found |= set() if has_form and name not in free else {name}
        return found

    assert texts(HealthReport) == free


def test_nothing_is_asked_about_a_release_without_a_plan(backend: Backend) -> None:
    caller = backend.caller()
    blinded = blind(public_rsa_key(TicketKeys(backend.home / "keys").new()), b"x")[0]
    body = TicketRequest(channel="stable", seq=1, side="with", blinded=blinded).to_bytes()
    assert reason(caller.signed("POST", endpoints.HEALTH_TICKETS, body)) == (404, "release-unknown")


class OverTestClient:
    """The device's wire, to the API in this process."""

    def __init__(self, backend: Backend, caller: Caller) -> None:
        self._backend = backend
        self._caller = caller

    def call(self, method: str, path: str, *, body: bytes, media_type: str, is_signed: bool = True) -> Any:
        answer = (
            self._caller.signed(method, path, body)
            if is_signed
            else self._backend.http.request(method, path, content=body, headers={"Content-Type": media_type})
        )
        assert answer.status_code < 300, answer.text
        return SimpleNamespace(body=answer.content)


def test_what_a_device_says_by_itself_is_counted(backend: Backend, plan: RolloutPlan, tmp_path: Path) -> None:
    database = Database(tmp_path / "device.sqlite", (M007_HEALTH, M011_VERDICTS, WINDOWS_BY_FAMILY))
    windows, now = Windows(database), backend.services.clock()
    windows.switch(is_on=True)
    windows.begin(a_manifest().model_copy(update={"rollout": plan}), "treated", now.timestamp())
    installed = Slot(folder="1", seq=1, version="1.2.0", manifest_sha256="0" * 64)
    reporter = Reporter(
        windows,
        cast(Transport, OverTestClient(backend, backend.caller())),
        state=lambda: InstallState(current=installed),
        introduce=lambda: pytest.fail("it is known already"),
        app_version="0.1.0",
        clock=lambda: now + timedelta(hours=14),
    )
    for heard in ("one", "", "two"):
        windows.count_heard(2.0, 0.5, not heard)
    assert reporter.report() == 3
    known = backend.services.health.of("stable", 1, now=now)
    assert known.devices == {"treated": 1}
    assert {metric: known.strata[metric][0].treated.total for metric in ("load-failed", "silent")} == {
        "load-failed": 1,
        "silent": 1,
    }
    database.close()
