"""What a device counts and says of a release, when it says so, and what it never says."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import rsa
from tests.fakes.releases import a_manifest

from projectone.contracts import endpoints
from projectone.contracts.blind_signatures import public_rsa_key, rsa_key_text, sign_blinded, verify_unblinded
from projectone.contracts.devices import Enrolment
from projectone.contracts.health import (
    HealthCounts,
    HealthReport,
    OwnVerdict,
    TicketAnswer,
    TicketRequest,
    ticket_message,
)
from projectone.contracts.releases import ReleaseManifest
from projectone.contracts.rollouts import RolloutPlan, RolloutState, bucket_of, stages_from
from projectone.device.health import M007_HEALTH, M011_VERDICTS, WINDOWS_BY_FAMILY, Cohorts, Reporter, Windows
from projectone.device.health.windows import JITTER_S, OBSERVED_S
from projectone.device.installed import CRASH_LOOP, InstallState, SetAside, Slot
from projectone.errors import RefusedError, TransportError
from projectone.storage.database import Database

NOW = datetime(2026, 11, 21, 12, tzinfo=UTC)
NEW = Slot(folder="7", seq=7, version="1.1.0", manifest_sha256="0" * 64)


@dataclass
class Site:
    """A device's counts, and a server that signs tickets and keeps what it is told."""

    key: rsa.RSAPrivateKey
    windows: Windows
    now: datetime = NOW
    installed: InstallState = field(default_factory=InstallState)
    requests: list[tuple[str, bool]] = field(default_factory=list)
    reports: list[HealthReport] = field(default_factory=list)
    tickets: list[bytes] = field(default_factory=list)
    fails: list[Exception] = field(default_factory=list)
    is_known: bool = True
    verdict: OwnVerdict | None = None

    @property
    def manifest(self) -> ReleaseManifest:
        plan = RolloutPlan(
            salt="5" * 32,
            stages=stages_from(NOW, ((100, timedelta(days=1)), (10_000, timedelta()))),
            ticket_key=rsa_key_text(self.key.public_key()),
        )
        return a_manifest().model_copy(update={"seq": 7, "version": "1.1.0", "rollout": plan})

    def call(self, method: str, path: str, *, body: bytes = b"", is_signed: bool = True, **_: Any) -> Any:
        """The server's side."""
        if self.fails:
            raise self.fails.pop(0)
        self.requests.append((path, is_signed))
        if path == endpoints.DEVICES:
            self.is_known = True
        elif path == endpoints.HEALTH_TICKETS:
            if not self.is_known:
                raise RefusedError("who is that", status=401, reason="device-unknown")
            self.tickets.append(body)
            blinded = TicketRequest.from_bytes(body).blinded
            return Answer(TicketAnswer(blind_signature=sign_blinded(self.key, blinded)).to_bytes())
        else:
            report = HealthReport.from_bytes(body)
            message = ticket_message(report.channel, report.seq, report.ticket.serial)
            verify_unblinded(public_rsa_key(rsa_key_text(self.key.public_key())), message, report.ticket.signature)
            self.reports.append(report)
        return Answer(b"")

    def later(self, seconds: float = 0) -> int:
        self.now += timedelta(seconds=seconds)
        reporter = Reporter(
            self.windows,
            self,  # type: ignore[arg-type] # the one method that is used
            state=lambda: self.installed,
            introduce=lambda: Enrolment(
                device_id="d", contributor_id="p", public_key="A" * 43 + "=", enrolment_code="c"
            ),
            app_version="0.1.0",
            clock=lambda: self.now,
            verdict_of=lambda seq: self.verdict,
        )
        return reporter.report()

    @property
    def told(self) -> list[tuple[str, str]]:
        return [(report.cohort, report.phase) for report in self.reports]


@dataclass
class Answer:
    body: bytes


@pytest.fixture(scope="module")
def key() -> rsa.RSAPrivateKey:
    return rsa.generate_private_key(public_exponent=65537, key_size=2048)


@pytest.fixture
def database(tmp_path: Path) -> Iterator[Database]:
    database = Database(tmp_path / "device.sqlite", (M007_HEALTH, M011_VERDICTS, WINDOWS_BY_FAMILY))
    yield database
    database.close()


@pytest.fixture
def site(key: rsa.RSAPrivateKey, database: Database) -> Site:
    made = Site(key, Windows(database, seed=0))
    made.windows.switch(is_on=True)
    return made


def test_nothing_is_counted_or_sent_unless_the_user_said_so(site: Site) -> None:
    site.windows.switch(is_on=False)
    site.windows.begin(site.manifest, "treated", NOW.timestamp())
    site.windows.count_heard(2.0, 1.0, False)
    assert site.later(OBSERVED_S * 9) == 0
    assert (site.requests, site.windows.open()) == ([], [])


def test_switching_off_forgets_what_was_counted(site: Site) -> None:
    site.windows.begin(site.manifest, "control", NOW.timestamp())
    site.windows.switch(is_on=False)
    site.windows.switch(is_on=True)
    assert site.windows.open() == []


def test_a_treated_device_says_that_it_begins_how_the_trial_went_and_how_it_does(site: Site) -> None:
    site.windows.begin(site.manifest, "treated", NOW.timestamp())
    assert site.later() == 1
    assert site.later() == 0  # the trial is not over
    site.windows.count_heard(2.0, 1.0, False)  # by the model before: not counted
    site.installed = InstallState(current=NEW)
    assert site.later() == 1
    for computing_s in (0.5, 0.5, 3.0):
        site.windows.count_heard(2.0, computing_s, computing_s > 1)
    site.windows.count_correction()
    assert site.later(OBSERVED_S - 1) == 0
    assert site.later(JITTER_S + 2) == 1
    assert site.told == [("treated", "began"), ("treated", "tried"), ("treated", "used")]
    counts = site.reports[-1].counts
    assert (counts.installs, counts.speeds, counts.empty_transcripts, counts.corrections) == (
        1,
        (0, 0, 2, 0, 1, 0),
        1,
        1,
    )
    assert site.later(9e9) == 0  # all is said
    assert len({report.ticket.serial for report in site.reports}) == 1


@pytest.mark.parametrize(
    ("reason", "expected"), [(CRASH_LOOP, "crash_loops"), ("ValueError: bad weights", "load_failures")]
)
def test_a_model_that_failed_its_trial_is_told_of(site: Site, reason: str, expected: str) -> None:
    site.windows.begin(site.manifest, "treated", NOW.timestamp())
    site.later()
    site.installed = InstallState(set_aside=(SetAside(seq=7, version="1.1.0", reason=reason),))
    site.later()
    counts = site.reports[-1].counts
    assert {name: getattr(counts, name) for name in ("installs", "load_failures", "crash_loops")} == {
        "installs": 0,
        "load_failures": 0,
        "crash_loops": 0,
        expected: 1,
    }
    assert reason not in site.reports[-1].to_bytes().decode()


@pytest.mark.parametrize(
    ("verdict", "state", "installs"),
    [
        ("worse", InstallState(set_aside=(SetAside(seq=7, version="1.1.0", reason="worse here"),)), 0),
        ("not-worse", InstallState(current=NEW), 1),
        ("untold", InstallState(current=NEW), 1),
    ],
)
def test_of_a_trial_on_own_recordings_the_verdict_alone_is_told(
    site: Site, verdict: OwnVerdict, state: InstallState, installs: int
) -> None:
    site.verdict = verdict
    site.windows.begin(site.manifest, "treated", NOW.timestamp())
    site.later()
    site.installed = state
    site.later()
    assert site.reports[-1].counts == HealthCounts(installs=installs, verdict=verdict)


def test_a_control_counts_the_model_before_and_says_so_when_its_own_turn_comes(site: Site) -> None:
    site.windows.begin(site.manifest, "control", NOW.timestamp())
    site.windows.count_heard(2.0, 1.0, True)
    site.later()
    site.now += timedelta(hours=1)
    site.windows.begin(site.manifest, "treated", site.now.timestamp())
    site.later()
    assert site.told == [("control", "began"), ("control", "used"), ("treated", "began")]
    assert site.reports[1].counts.empty_transcripts == 1
    assert len({report.ticket.serial for report in site.reports}) == 2
    assert [json.loads(body)["side"] for body in site.tickets] == ["without", "with"]


def test_a_report_travels_without_a_signature_and_a_ticket_without_a_word(site: Site) -> None:
    site.windows.begin(site.manifest, "treated", NOW.timestamp())
    site.later()
    assert site.requests == [(endpoints.HEALTH_TICKETS, True), (endpoints.HEALTH_REPORTS, False)]
    serial = site.reports[0].ticket.serial
    assert serial not in site.tickets[0].decode()
    assert site.reports[0].ticket.signature not in site.tickets[0].decode()


def test_what_could_not_be_said_is_said_the_next_time_with_the_same_request(site: Site) -> None:
    site.windows.begin(site.manifest, "treated", NOW.timestamp())
    site.fails = [TransportError("no network")]
    assert site.later() == 0
    waiting = site.windows.open()[0].blinded
    assert waiting is not None
    assert site.later() == 1
    assert json.loads(site.tickets[0])["blinded"] == waiting[0]


def test_a_device_that_is_not_known_yet_introduces_itself(site: Site) -> None:
    site.is_known = False
    site.windows.begin(site.manifest, "treated", NOW.timestamp())
    assert site.later() == 1
    assert endpoints.DEVICES in dict(site.requests)


def test_nobody_is_told_of_a_release_that_nobody_asks_about_any_more(site: Site) -> None:
    site.windows.begin(site.manifest, "treated", NOW.timestamp())
    site.fails = [RefusedError("another one is out", status=404, reason="release-unknown")]
    assert site.later() == 0
    assert site.windows.open() == []


def test_whose_turn_it_is_is_kept_for_status_and_the_name_it_hangs_on_never_changes(database: Database) -> None:
    cohorts = Cohorts(database)
    plan = RolloutPlan(salt="5" * 32, stages=stages_from(NOW, ((10_000, timedelta()),)))
    manifest = a_manifest().model_copy(update={"seq": 7, "version": "1.1.0", "rollout": plan})

    def state(buckets: int, *, is_halted: bool = False) -> bytes:
        return RolloutState(channel="stable", seq=7, buckets=buckets, is_halted=is_halted).to_bytes()

    name = cohorts._bucket_name()
    mine = bucket_of("5" * 32, name)
    assert not cohorts.turn(manifest, state(mine), NOW).may_install
    seen = cohorts.seen()
    assert seen is not None
    assert (seen.version, seen.percent, seen.is_halted) == ("1.1.0", mine / 100, False)
    assert not cohorts.turn(manifest, b"{}", NOW).may_install  # of a server that says it in another way
    assert cohorts.turn(manifest, state(mine + 1), NOW).may_install
    assert cohorts.seen() is None
    assert not cohorts.turn(manifest, state(10_000, is_halted=True), NOW, is_asking_early=True).may_install
    assert Cohorts(database)._bucket_name() == name
