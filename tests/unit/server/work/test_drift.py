"""`projectone-server drift`, the worker's look, and the console's page, over the same rows."""

from __future__ import annotations

import json
import shutil
import xml.etree.ElementTree as ET
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from sqlalchemy import Engine
from tests.fakes.quality_weeks import USUAL, USUAL_INTENTS, USUAL_SAFETY, fill, moved
from tests.unit.server.console.test_console import HOST, Console

from projectone.server.cli import main
from projectone.server.console.app import create_console
from projectone.server.database import open_engine
from projectone.server.delivery.tickets import TicketKeys
from projectone.server.delivery.weekly_tickets import WeeklyTickets
from projectone.server.migrations.upgrade import upgrade_database
from projectone.server.monitoring.drift_desk import DriftDesk
from projectone.server.notifications.outbox import Message
from projectone.server.serve.initialise import initialise
from projectone.server.settings import ServerSettings
from projectone.server.work.drift_watch import INTERVAL, DriftWatch

NOW = datetime(2026, 11, 17, 9, tzinfo=UTC)
WEEKS = [USUAL] * 6 + [moved("signal_to_noise", "no_speech")] * 2


@pytest.fixture
def engine(tmp_path: Path) -> Iterator[Engine]:
    engine = open_engine(f"sqlite:///{tmp_path}/rows.sqlite")
    upgrade_database(engine)
    yield engine
    engine.dispose()


def test_the_worker_tells_once_what_moved_with_a_picture(tmp_path: Path, engine: Engine) -> None:
    fill(engine, WEEKS, NOW)
    messages: list[Message] = []
    clock = [NOW]
    watch = DriftWatch(
        DriftDesk(engine, channel="stable", clock=lambda: clock[0]),
        WeeklyTickets(engine, TicketKeys(tmp_path / "tickets")),
        channel="stable",
        pictures=tmp_path / "drift",
        notify=messages.append,
        clock=lambda: clock[0],
    )
    watch.look_now_and_then()
    watch.look_now_and_then()
    assert {message.key for message in messages} == {
        "drift-stable-1.2.0-signal_to_noise",
        "drift-stable-1.2.0-no_speech",
    }
    (message,) = [item for item in messages if "no_speech" in item.key]
    assert message.subject == "Model 1.2.0 hears differently: how likely nobody spoke"
    assert "moved since 2026-W44" in message.body and "under 0.001 probability" in message.body
    picture = ET.parse(tmp_path / "drift" / "stable-1.2.0-no_speech.svg").getroot()
    assert picture.tag.endswith("svg") and len([part for part in picture.iter() if part.tag.endswith("rect")]) == 19
    clock[0] += INTERVAL
    watch.look_now_and_then()
    assert len(messages) == 4  # the same keys: the outbox says each of them once


def test_classifiers_are_watched_beside_speech_models_of_the_same_version(tmp_path: Path, engine: Engine) -> None:
    fill(engine, [USUAL] * 8, NOW)
    fill(engine, [USUAL_INTENTS] * 6 + [moved("answered", usual=USUAL_INTENTS)] * 2, NOW, line="stable.intents")
    messages: list[Message] = []
    desk = DriftDesk(engine, channel="stable", clock=lambda: NOW)
    DriftWatch(
        desk,
        WeeklyTickets(engine, TicketKeys(tmp_path / "tickets")),
        channel="stable",
        pictures=tmp_path / "drift",
        notify=messages.append,
        clock=lambda: NOW,
    ).look()
    assert [(model.family, model.version) for model in desk.read()] == [("speech", "1.2.0"), ("intents", "1.2.0")]
    (message,) = messages
    assert message.key == "drift-stable.intents-1.2.0-answered"
    assert message.subject == "Classifier 1.2.0 understands differently: who answered, and why not others"
    assert "kept from before: " in message.body and "rollout rollback --family intents" in message.body
    words = "".join(ET.parse(tmp_path / "drift" / "stable.intents-1.2.0-answered.svg").getroot().itertext())
    assert "a model" in words and "elsewhere" in words


def test_a_safety_classifier_that_warns_differently_is_told_of_with_its_picture(tmp_path: Path, engine: Engine) -> None:
    fill(engine, [USUAL_SAFETY] * 6 + [moved("warned", usual=USUAL_SAFETY)] * 2, NOW, line="stable.safety")
    messages: list[Message] = []
    desk = DriftDesk(engine, channel="stable", clock=lambda: NOW)
    DriftWatch(
        desk,
        WeeklyTickets(engine, TicketKeys(tmp_path / "tickets")),
        channel="stable",
        pictures=tmp_path / "drift",
        notify=messages.append,
        clock=lambda: NOW,
    ).look()
    (message,) = messages
    assert message.subject == "Safety classifier 1.2.0 warns differently: how much of a week was warned of"
    assert "under 0.01 warnings per text" in message.body and "rollout rollback --family safety" in message.body
    assert (tmp_path / "drift" / "stable.safety-1.2.0-warned.svg").is_file()


def test_the_command_says_what_moved_and_ends_with_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    home = tmp_path / "home"
    monkeypatch.setenv("PROJECTONE_SERVER_HOME", str(home))
    settings = ServerSettings.from_env({"PROJECTONE_SERVER_HOME": str(home)})
    initialise(settings)
    assert main(["drift"]) == 0
    assert "nothing to show" in capsys.readouterr().out
    engine = open_engine(settings.database_url)
    fill(engine, WEEKS, datetime.now(UTC) - timedelta(weeks=1))
    fill(engine, [USUAL_INTENTS] * 8, datetime.now(UTC) - timedelta(weeks=1), line="stable.intents")
    engine.dispose()
    assert main(["drift", "--json", "--groups", "--pictures", str(tmp_path / "out")]) == 1
    found = json.loads(capsys.readouterr().out)
    model, classifier = found["models"]
    assert (model["family"], classifier["family"], classifier["drifts"]) == ("speech", "intents", [])
    assert {item["histogram"] for item in model["drifts"]} == {"signal_to_noise", "no_speech"}
    assert len(found["groups"]) == 16 and found["groups"][0]["reports"] == 700
    assert len(found["pictures"]) == len(list((tmp_path / "out").iterdir())) == 15
    assert main(["drift", "--family", "intents"]) == 0
    assert capsys.readouterr().out.startswith("classifier 1.2.0: 8 weeks, 5600 reports")
    assert main(["corpus", "retention", "--json"]) == 0
    sums = json.loads(capsys.readouterr().out)["sums"]
    assert [(kept["family"], kept["reports"], kept["weeks"], kept["keep_days"]) for kept in sums] == [
        ("speech", 5600, 8, 400),
        ("intents", 5600, 8, 400),
    ]
    assert main(["drift", "--model", "9.9.9"]) == 0
    assert main(["drift"]) == 1
    assert "MOVED: how likely nobody spoke moved since" in capsys.readouterr().out
    shutil.rmtree(home)


def test_the_console_shows_it_with_pictures(engine: Engine) -> None:
    fill(engine, WEEKS, NOW)
    console = Console(engine)
    desk = DriftDesk(engine, channel="stable", clock=lambda: NOW)
    console.application = create_console(replace(console.services, drift=desk), [HOST])
    console.http = console.browser()
    with console.http:
        assert console.http.get("/drift").headers["location"] == "/sign-in"
        console.signed_in()
        page = console.http.get("/drift").text
    assert page.count("<svg") == 2 and page.count("Moved.") == 2
    assert "how far speech stands out from noise" in page
