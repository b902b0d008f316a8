"""A release on its way: widened in its time, stopped by what devices report, and the hand on the brake."""

from __future__ import annotations

import base64
import json
import secrets
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from tests.fakes.releases import a_manifest

from projectone.contracts.health import HealthCounts, HealthReport, HealthTicket, Phase
from projectone.contracts.releases import ReleaseManifest
from projectone.contracts.rollouts import Cohort, RolloutPlan, RolloutState, stages_from, turn_of
from projectone.errors import DataError, StorageError
from projectone.server.audit import AuditLog
from projectone.server.cli import main
from projectone.server.database import Engine, open_engine
from projectone.server.delivery.ledger import Ledger
from projectone.server.delivery.tickets import TicketKeys, Tickets
from projectone.server.migrations.upgrade import upgrade_database
from projectone.server.notifications.outbox import Message
from projectone.server.registry.aliases import AliasTable, HubAliases
from projectone.server.rollout_desk import finding_shown
from projectone.server.serve.initialise import initialise
from projectone.server.setting_values import rollout_stages
from projectone.server.settings import ServerSettings
from projectone.server.work.rollback import roll_back
from projectone.server.work.rollout_watch import RolloutWatch, new_plan

NOW = datetime(2026, 11, 21, 12, tzinfo=UTC)
HOUR = timedelta(hours=1)
STEPS = rollout_stages("0:4,1:24,5:24,25:48,100")


@dataclass
class Site:
    """A channel, its watch, and what devices were shown."""

    engine: Engine
    ledger: Ledger
    watch: RolloutWatch
    now: datetime = NOW
    shown: list[RolloutState] = field(default_factory=list)
    messages: list[Message] = field(default_factory=list)
    is_disk_full: bool = False
    channel: str = "stable"

    def release(self, version: str = "1.1.0", steps: Any = STEPS, weights: str = "1") -> ReleaseManifest:
        plan = RolloutPlan(salt=secrets.token_hex(16), stages=stages_from(self.now, steps)) if steps else None

        def draft(seq: int) -> ReleaseManifest:
            values = {"seq": seq, "version": version, "rollout": plan, "weights_sha256": weights * 64}
            values["channel"] = self.channel
            return a_manifest().model_copy(update=values)

        manifest = self.ledger.publish(f"run-{self.channel}-{version}", self.channel, draft).manifest
        self.watch.look()
        return manifest

    def report(self, n: int, cohort: Cohort = "treated", phase: Phase = "tried", seq: int = 1, **counts: Any) -> None:
        for _ in range(n):
            serial = secrets.token_hex(32)
            ticket = HealthTicket(serial=serial, signature=base64.b64encode(bytes(256)).decode())
            report = HealthReport(
                channel=self.channel,
                seq=seq,
                tier="float16",
                app_version="0.1.0",
                cohort=cohort,
                phase=phase,
                counts=HealthCounts(**counts),
                ticket=ticket,
            )
            self.watch.desk.health.keep(report, self.now)

    def later(self, hours: float) -> RolloutState:
        """Look after so many hours; gives what devices are told then."""
        self.now += timedelta(hours=hours)
        self.watch.look()
        return self.shown[-1]

    def acts(self) -> list[str]:
        return [entry.act for entry in reversed(AuditLog(self.engine).newest(50)) if entry.act.startswith("rollout")]


@pytest.fixture
def engine(tmp_path: Path) -> Iterator[Engine]:
    engine = open_engine(f"sqlite:///{tmp_path}/rows.sqlite")
    upgrade_database(engine)
    yield engine
    engine.dispose()


@pytest.fixture
def site(engine: Engine, tmp_path: Path) -> Site:
    return open_site(engine, tmp_path)


@pytest.fixture
def patient(engine: Engine, tmp_path: Path) -> Site:
    """Keeps a release at five percent until forty devices have said how it does."""
    return open_site(engine, tmp_path, least_reports=40)


def open_site(engine: Engine, folder: Path, channel: str = "stable", least_reports: int = 0) -> Site:
    ledger = Ledger(engine)

    def show(channel: str, content: bytes) -> None:
        if made.is_disk_full:
            raise StorageError("the disk is full")
        made.shown.append(RolloutState.from_bytes(content))

    watch = RolloutWatch(
        engine,
        ledger,
        channel=channel,
        show=show,
        notify=lambda message: made.messages.append(message),
        tickets=Tickets(engine, TicketKeys(folder / "tickets")),
        least_reports=least_reports,
        clock=lambda: made.now,
    )
    made = Site(engine, ledger, watch, channel=channel)
    return made


def test_a_release_widens_in_its_time_and_no_sooner(site: Site) -> None:
    site.release()
    assert site.later(0).buckets == 0
    assert site.later(3.9).buckets == 0
    assert site.later(0.1).buckets == 100
    assert site.later(23.9).buckets == 100
    assert site.later(0.2).buckets == 500
    # The worker slept for a week: one stage at each look, and each lasts its time.
    assert site.later(200).buckets == 2_500
    assert site.later(40).buckets == 2_500
    assert site.later(8).buckets == 10_000
    assert site.acts() == ["rollout-began", *["rollout-advanced"] * 4]
    assert len(site.shown) == 5  # nothing is signed where nothing changed


def test_three_crash_loops_stop_it_within_one_poll(site: Site) -> None:
    manifest = site.release()
    site.later(4)
    site.report(20)
    site.report(3, crash_loops=1)
    state = site.later(0)
    assert (state.is_halted, state.buckets, state.reason) == (True, 0, "crash-loops")
    assert not turn_of("anybody", manifest.seq, manifest.rollout, state, site.now, is_asking_early=True).may_install
    assert "is stopped: crash-loops" in site.messages[-1].subject
    assert site.acts()[-1] == "rollout-halted"
    assert site.later(100).is_halted


def test_a_bad_classifier_is_stopped_on_its_own_line_and_speech_goes_on(site: Site, tmp_path: Path) -> None:
    intents = open_site(site.engine, tmp_path, "stable.intents")
    speech, classifier = site.release(), intents.release()
    assert (speech.seq, classifier.seq) == (1, 1)  # each family counts for itself
    site.later(4)
    intents.later(4)
    site.report(20)
    intents.report(20)
    intents.report(3, crash_loops=1)
    assert (intents.later(0).is_halted, site.later(0).is_halted) == (True, False)
    assert [state.channel for state in intents.shown] == ["stable.intents"] * len(intents.shown)
    assert "rollout rollback --family intents" in intents.messages[-1].body
    assert site.messages == []
    assert site.later(24).buckets == 500


def test_a_model_that_hears_less_is_stopped_by_the_comparison(site: Site) -> None:
    site.release()
    site.later(4)
    used: dict[str, Any] = {"phase": "used", "speeds": (0, 9, 0, 0, 0, 0)}
    site.report(98, "control", **used)
    site.report(2, "control", **used, empty_transcripts=8)
    site.report(30, **used)
    site.report(3, **used, empty_transcripts=8)
    assert not site.later(0).is_halted
    site.report(17, **used, empty_transcripts=8)
    assert site.later(0).reason == "empty"
    found = site.watch.desk.read()
    assert found is not None
    shown = finding_shown(next(finding for finding in found.judgement.findings if finding.metric == "empty"))
    assert shown.startswith(
        "empty: 20 of 50 with it (27.6% to 53.8%), 2 of 100 without (0.6% to 7.0%); evidence of harm"
    )
    assert "Go back to the model before" in site.messages[-1].body


def test_no_more_than_five_percent_are_asked_before_enough_devices_have_said_how_it_does(patient: Site) -> None:
    patient.release()
    patient.later(4)
    assert patient.later(24).buckets == 500  # up to five percent, time alone opens a stage
    used: dict[str, Any] = {"phase": "used", "speeds": (0, 9, 0, 0, 0, 0)}
    patient.report(500, "control", **used)
    patient.report(30, **used)
    patient.report(100, phase="tried")  # installed, and nothing said of its use
    assert patient.later(25).buckets == 500
    found = patient.watch.desk.read()
    assert found is not None
    assert found.next_shown is not None
    assert found.next_shown.endswith("at the earliest and not before 10 more devices have said how it does")
    assert found.sees_shown.startswith("30 devices in use show ")
    patient.report(10, **used)
    assert patient.later(0).buckets == 2_500


def test_a_plan_that_opens_at_once_waits_for_no_reports_that_nobody_can_give(patient: Site) -> None:
    patient.release(steps=rollout_stages("0:4,25:24,100"))
    assert patient.later(4).buckets == 2_500


def test_a_person_opens_a_stage_that_waits_for_reports(patient: Site) -> None:
    patient.release()
    for hours in (4, 24, 100):
        assert patient.later(hours).buckets <= 500
    opened = patient.watch.desk.turn("advance", by="ada")
    assert opened.rollout.state.buckets == 2_500
    assert patient.later(100).buckets == 2_500


def test_who_takes_the_release_and_is_never_heard_of_again_has_failed(site: Site) -> None:
    site.release()
    site.later(4)
    site.report(60, "control", "used")
    site.report(20, "treated", "used")
    site.report(20, "treated", "began")
    assert not site.later(20).is_halted
    assert site.later(29).reason == "silent"


def test_a_paused_release_waits_and_a_stopped_one_goes_on_only_by_a_person(site: Site) -> None:
    site.release()
    site.later(4)
    rollout = site.watch.desk.read().rollout  # type: ignore[union-attr]
    paused = site.watch.desk.rollouts.pause(rollout, by="ada", now=site.now)
    assert site.later(100).buckets == 100
    running = site.watch.desk.rollouts.resume(paused, by="ada", reports_up_to=0, now=site.now)
    assert site.later(0).buckets == 100  # the stage begins anew
    site.report(5, crash_loops=1)
    assert site.later(0).is_halted
    seen = site.watch.desk.read()
    assert seen is not None
    site.watch.desk.rollouts.resume(seen.rollout, by="ada", reports_up_to=seen.reported.newest, now=site.now)
    assert site.later(0).buckets == 100  # what she saw and overruled counts no more
    site.report(3, crash_loops=1)
    assert site.later(0).is_halted  # what came since does
    assert len({message.key for message in site.messages}) == 2
    with pytest.raises(DataError, match="expected one that is running"):
        site.watch.desk.rollouts.advance(running, by="ada", now=site.now)
    by = {entry.act: entry.actor for entry in AuditLog(site.engine).newest(50)}
    assert (by["rollout-paused"], by["rollout-halted"]) == ("ada", "server")


def test_nobody_widens_beyond_what_was_signed(site: Site) -> None:
    site.release()
    site.later(1)
    rollout = site.watch.desk.read().rollout  # type: ignore[union-attr]
    with pytest.raises(DataError, match="opens the next stage at 2026-11-21 16:00"):
        site.watch.desk.rollouts.advance(rollout, by="ada", now=site.now)
    site.now += 3 * HOUR
    assert site.watch.desk.rollouts.advance(rollout, by="ada", now=site.now).state.buckets == 100


def test_what_could_not_be_shown_is_shown_at_the_next_look(site: Site) -> None:
    site.release()
    site.later(4)
    site.report(3, crash_loops=1)
    site.is_disk_full = True
    with pytest.raises(StorageError):
        site.watch.look()
    assert not site.shown[-1].is_halted
    site.is_disk_full = False
    assert site.later(0).is_halted
    assert site.acts().count("rollout-halted") == 1


def test_a_newer_release_takes_the_place_of_the_one_before(site: Site) -> None:
    site.release("1.1.0")
    site.later(4)
    site.release("1.2.0")
    state = site.later(0)
    assert (state.seq, state.buckets) == (2, 0)
    assert site.acts() == ["rollout-began", "rollout-advanced", "rollout-began"]


def test_a_release_without_stages_can_be_stopped_too(site: Site) -> None:
    manifest = site.release(steps=None)
    assert site.later(0).buckets == 10_000
    assert turn_of("any", 1, manifest.rollout, site.shown[-1], site.now).may_install
    site.watch.tell(site.watch.desk.rollouts.halt(site.watch.desk.read().rollout, "person", by="ada", now=site.now))  # type: ignore[union-attr]
    assert not turn_of("any", 1, manifest.rollout, site.shown[-1], site.now).may_install


def test_the_way_back_is_a_new_release_with_the_old_bytes_for_everybody(site: Site) -> None:
    old = site.release("1.0.0", weights="1")
    bad = site.release("1.1.0", weights="2")
    site.later(4)
    options = {"channel": "stable", "by": "ada", "now": site.now}
    back = roll_back(site.engine, site.ledger, **options).manifest  # type: ignore[arg-type]
    assert (back.seq, back.version, back.weights_sha256) == (3, "1.2.0", old.weights_sha256)
    assert (back.package_sha256, back.files) == (old.package_sha256, old.files)
    assert back.rollout is None
    assert site.later(0).buckets == 10_000
    again = roll_back(site.engine, site.ledger, **options).manifest  # type: ignore[arg-type]
    assert again.seq == 3
    (entry,) = AuditLog(site.engine).newest(5, act="rollout-rolled-back")
    assert (entry.subject, entry.actor, entry.facts) == (f"stable/{bad.seq}", "ada", {"to": 1, "seq": 3})


def test_no_way_back_leads_to_a_model_that_learned_from_what_was_withdrawn(site: Site) -> None:
    options = {"channel": "stable", "by": "ada", "now": site.now}
    site.release("1.0.0", weights="1")
    site.release("1.1.0", weights="2")
    with pytest.raises(DataError, match="no earlier model"):
        roll_back(site.engine, site.ledger, recalled=lambda: {"run-stable-1.0.0"}, **options)  # type: ignore[arg-type]


@pytest.mark.parametrize("text", ["", "5", "1:24", "5:1,1:1,100", "0:4,100:1,100", "a:b,100", "101", "1:24,,100"])
def test_stages_that_make_no_sense_are_refused(text: str) -> None:
    with pytest.raises(ValueError, match="expected"):
        rollout_stages(text)


def test_the_command_stops_it_for_devices_at_once_and_brings_the_old_one_back(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    home = tmp_path / "home"
    monkeypatch.setenv("PROJECTONE_SERVER_HOME", str(home))
    monkeypatch.setenv("PROJECTONE_SERVER_ROLLOUT", "1:24,100")
    monkeypatch.setenv("PROJECTONE_SERVER_HUB_ENDPOINT", "http://127.0.0.1:9")
    monkeypatch.setenv("PROJECTONE_SERVER_HUB_REPO", a_manifest().repo_id)
    settings = ServerSettings.from_env({"PROJECTONE_SERVER_HOME": str(home), "PROJECTONE_SERVER_ROLLOUT": "1:24,100"})
    initialise(settings)
    engine = open_engine(settings.database_url)
    ledger = Ledger(engine)
    for version, weights in (("1.0.0", "1"), ("1.1.0", "2")):
        plan = new_plan(settings, datetime.now(UTC)) if weights == "2" else None
        values = {"version": version, "weights_sha256": weights * 64, "commit": weights * 40, "rollout": plan}
        ledger.publish(version, "stable", partial(_numbered, values))
    engine.dispose()

    def told(*words: str) -> tuple[dict[str, Any], RolloutState]:
        assert main(["rollout", *words, "--json"]) == 0
        facts: dict[str, Any] = json.loads(capsys.readouterr().out)
        documents = sorted((home / "tuf" / "targets").rglob("*rollout.json"), key=lambda path: path.stat().st_mtime_ns)
        return facts, RolloutState.from_bytes(documents[-1].read_bytes())

    facts, state = told("watch", "--once")
    assert (facts["release"]["version"], facts["percent"], state.buckets) == ("1.1.0", 1.0, 100)
    facts, state = told("halt")
    assert (facts["status"], facts["reason"], state.is_halted) == ("halted", "person", True)
    facts, state = told("rollback")  # also where the Hub, whose names follow, is away
    assert (facts["release"], facts["percent"]) == ({"channel": "stable", "seq": 3, "version": "1.2.0"}, 100.0)
    named: list[Any] = []
    monkeypatch.setattr(HubAliases, "move", lambda self, change, why: named.append((change(AliasTable()), why)))
    assert main(["rollout", "rollback"]) == 0
    assert "nothing was done" in capsys.readouterr().err
    [(table, why)] = named
    assert (table.production.version, table.previous.version, why) == ("1.2.0", "1.1.0", "1.2.0 is released")
    assert (state.seq, state.is_halted, state.buckets) == (3, False, 10_000)
    assert main(["rollout", "pause"]) == 2
    assert "expected one that is running" in capsys.readouterr().err


def _numbered(values: dict[str, Any], seq: int) -> ReleaseManifest:
    return a_manifest().model_copy(update={**values, "seq": seq})
