"""The page of the release on its way: what it shows, and who may press which button."""

from __future__ import annotations

import base64
import re
import secrets
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import timedelta
from pathlib import Path
from typing import Any, cast

import pytest
from tests.fakes.releases import a_manifest
from tests.unit.server.console.test_console import HOST, NOW, Console

from projectone.contracts.health import HealthCounts, HealthReport, HealthTicket
from projectone.contracts.releases import ReleaseManifest
from projectone.contracts.rollouts import Cohort, RolloutPlan, stages_from
from projectone.server.audit import AuditLog
from projectone.server.console.app import create_console
from projectone.server.database import Engine, open_engine
from projectone.server.delivery.ledger import Ledger
from projectone.server.devices.operators import Role
from projectone.server.migrations.upgrade import upgrade_database
from projectone.server.rollout_desk import RolloutDesk
from projectone.server.setting_values import rollout_stages


@dataclass
class OneRelease:
    """A ledger in which one release stands, or none."""

    manifest: ReleaseManifest | None

    def newest(self, channel: str) -> OneRelease | None:
        return None if self.manifest is None else self


class Page(Console):
    """A console with a release in its second stage."""

    def __init__(self, engine: Engine) -> None:
        super().__init__(engine)
        self.engine = engine
        began = NOW - timedelta(hours=5)
        plan = RolloutPlan(salt="5" * 32, stages=stages_from(began, rollout_stages("0:4,1:24,5:24,100")))
        self.ledger = OneRelease(a_manifest().model_copy(update={"seq": 7, "version": "1.1.0", "rollout": plan}))
        self.rollout = RolloutDesk(engine, cast(Ledger, self.ledger), channel="stable", clock=lambda: self.now)
        found = self.rollout.read()
        assert found is not None
        self.rollout.rollouts.advance(found.rollout, now=NOW)
        self.application = create_console(replace(self.services, rollout=self.rollout), [HOST])
        self.http = self.browser()

    def report(self, n: int, cohort: Cohort, **counts: Any) -> None:
        for _ in range(n):
            ticket = HealthTicket(serial=secrets.token_hex(32), signature=base64.b64encode(bytes(256)).decode())
            report = HealthReport(
                channel="stable",
                seq=7,
                tier="float16",
                app_version="0.1.0",
                cohort=cohort,
                phase="used",
                counts=HealthCounts(speeds=(0, 9, 0, 0, 0, 0), **counts),
                ticket=ticket,
            )
            self.rollout.health.keep(report, self.now)

    def press(self, turn: str, seq: int = 7) -> Any:
        return self.post("/rollout", form_token=self.form_token, turn=turn, seq=str(seq))

    @property
    def status(self) -> str:
        found = self.rollout.read()
        assert found is not None
        return found.rollout.status

    @property
    def buttons(self) -> list[str]:
        return re.findall(r'name="turn" value="(\w+)"', self.http.get("/rollout").text)


@pytest.fixture
def page(tmp_path: Path) -> Iterator[Page]:
    engine = open_engine(f"sqlite:///{tmp_path}/rows.sqlite")
    upgrade_database(engine)
    made = Page(engine)
    with made.http:
        yield made
    engine.dispose()


def test_it_shows_both_sides_with_what_they_may_be_and_what_so_few_cannot_show(page: Page) -> None:
    page.report(18, "treated")
    page.report(2, "treated", empty_transcripts=9)
    page.report(50, "control")
    page.signed_in()
    shown = page.http.get("/rollout").text
    assert "Release 1.1.0: 1 %" in shown
    assert "2 of 20 (2.8% to 30.1%)" in shown
    assert "0 of 50 (0.0% to 7.1%)" in shown
    assert "20 devices show little" in shown
    assert "5 %, 2026-" in shown
    assert "Devices are told within half a minute" in shown


def test_a_classifier_on_its_way_has_a_page_of_its_own_and_is_held_back_there(page: Page) -> None:
    manifest = page.ledger.manifest
    assert manifest is not None
    ledger = OneRelease(manifest.model_copy(update={"channel": "stable.intents", "version": "2.0.0"}))
    intents = RolloutDesk(page.engine, cast(Ledger, ledger), channel="stable.intents", clock=lambda: page.now)
    services = replace(page.services, rollout=page.rollout, other_rollouts={"intents": intents})
    page.application = create_console(services, [HOST])
    page.http = page.browser()
    page.signed_in()
    assert 'href="/rollout?family=intents"' in page.http.get("/rollout").text
    shown = page.http.get("/rollout?family=intents").text
    assert "Release 2.0.0 (intents): " in shown
    done = page.post("/rollout", form_token=page.form_token, turn="halt", seq="7", family="intents")
    assert (done.status_code, done.headers["location"]) == (303, "/rollout?family=intents")
    found = intents.read()
    assert found is not None
    assert (found.rollout.status, page.status) == ("halted", "running")
    assert "Nothing is released (cats)" in page.http.get("/rollout?family=cats").text


def test_it_shows_who_kept_the_model_before_and_stops_nothing_for_it(page: Page) -> None:
    page.report(3, "treated", verdict="worse")
    page.report(9, "treated", verdict="not-worse")
    page.report(5, "treated", verdict="untold")
    page.signed_in()
    assert "3 of 12 (8.9% to 53.2%) kept the model before" in page.http.get("/rollout").text
    assert page.status == "running"


@pytest.mark.parametrize(
    ("role", "expected"), [("reviewer", ["pause", "halt"]), ("admin", ["pause", "advance", "halt"])]
)
def test_the_buttons_are_those_of_the_role(page: Page, role: Role, expected: list[str]) -> None:
    page.signed_in(role)
    assert page.buttons == expected


def test_a_reviewer_stops_it_and_it_is_on_record_under_their_name(page: Page) -> None:
    page.signed_in()
    assert page.press("halt").status_code == 303
    assert page.status == "halted"
    (entry,) = AuditLog(page.engine).newest(1)
    assert (entry.act, entry.subject, entry.actor, entry.facts) == (
        "rollout-halted",
        "stable/7",
        "reviewer-1",
        {"reason": "person"},
    )
    assert "Stopped: person." in page.http.get("/rollout").text


def test_a_reviewer_widens_nothing_whatever_the_form_says(page: Page) -> None:
    page.signed_in()
    page.press("pause")
    for turn in ("resume", "advance"):
        assert page.press(turn).status_code == 403
    assert page.status == "paused"


def test_to_widen_it_an_administrator_shows_again_who_they_are(page: Page) -> None:
    bearer = page.signed_in("admin")
    page.press("pause")
    page.now += timedelta(minutes=6)
    assert page.press("resume").status_code == 403
    assert page.status == "paused"
    assert page.post("/prove", form_token=page.form_token, token=bearer).status_code == 303
    assert page.press("resume").status_code == 303
    assert page.status == "running"


def test_a_button_of_an_earlier_release_stops_no_later_one(page: Page) -> None:
    page.signed_in()
    assert page.press("halt", seq=6).status_code == 409
    assert page.press("explode").status_code == 422
    assert page.status == "running"


def test_before_the_first_release_there_is_nothing_to_press(page: Page) -> None:
    page.ledger.manifest = None
    page.signed_in("admin")
    assert "There is no release yet" in page.http.get("/rollout").text
    assert page.press("halt").status_code == 422
