"""What is new in a release, its size and its day are told before it is fetched, and only from what was signed."""

from __future__ import annotations

import base64
import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import rsa
from tests.fakes.device_rooms import TextEngine, text_model
from tests.fakes.release_server import FakeServer, Release

from projectone.contracts.blind_signatures import rsa_key_text
from projectone.contracts.endpoints import LATEST_MODEL_INFO, RELEASES
from projectone.contracts.releases import ReleaseNotes, line_of
from projectone.contracts.rollouts import RolloutPlan, RolloutStage, RolloutState
from projectone.device import conditions
from projectone.device.adoption.offered import size_words
from projectone.device.cli import main
from projectone.device.conditions import Conditions

NOTES = ReleaseNotes(after="1.0.0", n_samples=40, n_new_samples=12, n_words=200, n_wrong=10, n_wrong_before=30)
TOLD = "Of 200 words that are kept for testing it gets 5.0 % wrong; model 1.0.0 got 15.0 % wrong."
_RSA = rsa.generate_private_key(public_exponent=65537, key_size=2048)
FREE = Conditions(is_quiet=True, is_away=True, is_on_mains=True)


@pytest.fixture(autouse=True)
def _device(tmp_path: Path, server: FakeServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("projectone.device.wiring._load_engine", lambda folder, settings: TextEngine(folder))
    monkeypatch.setattr(conditions, "look", lambda: FREE)
    monkeypatch.setenv("PROJECTONE_HOME", str(tmp_path / "device"))
    monkeypatch.setenv("PROJECTONE_SERVER", server.url)
    monkeypatch.setenv("PROJECTONE_RELEASE_ROOT", base64.b64encode(server.root).decode())
    server.release(text_model("one"), seq=1, version="1.0.0")


def run(capsys: pytest.CaptureFixture[str], *arguments: object) -> tuple[int, dict[str, Any]]:
    capsys.readouterr()
    code = main([*map(str, arguments), "--json"])
    return code, json.loads(capsys.readouterr().out)


def shown(capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    capsys.readouterr()
    main([*arguments])
    return capsys.readouterr().out


def newer(server: FakeServer, **options: Any) -> Release:
    return server.release(
        text_model("one two", padding=4_000), **({"seq": 2, "version": "1.1.0", "notes": NOTES} | options)
    )


def fetched(server: FakeServer) -> int:
    return server.asked("GET", RELEASES)


def test_before_an_update_it_is_said_what_is_new_and_how_much_comes(
    server: FakeServer, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    run(capsys, "update")
    package = newer(server).package
    had, kept = fetched(server), sorted((tmp_path / "device" / "models").rglob("*"))
    text = shown(capsys, "update", "--check")
    code, facts = run(capsys, "update", "--check")
    assert fetched(server) == had and sorted((tmp_path / "device" / "models").rglob("*")) == kept
    assert "model      Model 1.1.0 is offered.\nin use     1.0.0\nsize       1.0 MB to fetch: the whole model." in text
    assert "when       `projectone update` brings it now. By itself it comes within six hours" in text
    assert f"What is new in it:\n  {TOLD}\n  It learned from 40 recordings" in text
    assert (code, facts["status"], facts["is_offered"], facts["to_version"]) == (0, "offered", True, "1.1.0")
    assert (facts["notes"], facts["news"][0]) == (NOTES.model_dump(), TOLD)
    assert facts["cost"]["missing_bytes"] == facts["package_bytes"] == len(package)
    assert run(capsys, "update")[1]["to_version"] == "1.1.0"


def test_what_was_looked_at_is_known_to_the_next_command_until_it_is_taken(
    server: FakeServer, capsys: pytest.CaptureFixture[str]
) -> None:
    run(capsys, "update")
    newer(server)
    assert run(capsys, "update", "--status")[1]["phase"] == "current"
    run(capsys, "update", "--check")
    asked = len(server.requests)
    facts = run(capsys, "update", "--status")[1]
    assert facts["words"] == "Model 1.1.0 is offered. Model 1.0.0 works on until you take it."
    assert (facts["phase"], len(server.requests)) == ("offered", asked)
    run(capsys, "update")
    assert run(capsys, "update", "--status")[1]["phase"] == "current"


def test_an_offer_of_yesterday_is_not_told_as_one(
    server: FakeServer, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    run(capsys, "update")
    newer(server)
    run(capsys, "update", "--check")
    monkeypatch.setattr("projectone.device.adoption.offered._KEPT_FOR", timedelta(0))
    assert run(capsys, "update", "--status")[1]["phase"] == "current"


def test_the_first_model_is_told_of_as_well(server: FakeServer, capsys: pytest.CaptureFixture[str]) -> None:
    code, facts = run(capsys, "update", "--check")
    assert (code, facts["status"], facts["from_version"], fetched(server)) == (0, "offered", None, 0)
    words = run(capsys, "update", "--status")[1]["words"]
    assert words == "There is no model on this device yet. Model 1.0.0 is offered."


def test_the_newest_is_said_to_be_that(capsys: pytest.CaptureFixture[str]) -> None:
    run(capsys, "update")
    code, facts = run(capsys, "update", "--check")
    assert (code, facts["status"], facts["is_offered"]) == (0, "current", False)
    assert shown(capsys, "update", "--check") == "model      Model 1.0.0 is the newest there is.\n"


def test_a_server_without_a_release_is_said_to_have_none(
    server: FakeServer, capsys: pytest.CaptureFixture[str]
) -> None:
    code, facts = run(capsys, "update", "--check", "--family", "intents")
    assert (code, facts["status"]) == (1, "no-release")
    assert facts["error"]["message"] == "classifier The server has released no classifier yet."


def stages(server: FakeServer, *, hours: float, buckets: int = 1, seq: int = 2, is_halted: bool = False) -> None:
    """A release for the first few now, and for everybody so many hours from now."""
    now = datetime.now(UTC)
    first = RolloutStage(not_before=now - timedelta(days=1), max_buckets=buckets)
    everybody = RolloutStage(not_before=now + timedelta(hours=hours), max_buckets=10_000)
    plan = RolloutPlan(salt="0" * 32, stages=(first, everybody), ticket_key=rsa_key_text(_RSA.public_key()))
    newer(server, rollout=plan, seq=seq)
    known = RolloutState(channel="stable", seq=seq, buckets=buckets)
    if is_halted:
        known = known.model_copy(update={"is_halted": True, "reason": "crash-loops"})
    server.shelf.roll_out("stable", known.to_bytes())
    server.show()


def test_who_is_not_in_the_first_stages_learns_what_waits_and_not_before_which_day(
    server: FakeServer, capsys: pytest.CaptureFixture[str]
) -> None:
    run(capsys, "update")
    run(capsys, "health", "on")
    stages(server, hours=30)
    code, facts = run(capsys, "update", "--check")
    assert (code, facts["status"], facts["is_offered"], facts["percent"]) == (0, "waiting", False, 0.01)
    assert facts["words"] == "Model 1.1.0 goes out in stages, and it is not your turn yet (stage 0.01 %)."
    day = datetime.fromisoformat(facts["not_before"])
    assert timedelta(hours=29) < day - datetime.now(UTC) < timedelta(hours=31)
    assert f"your turn does not come before {day.astimezone():%Y-%m-%d %H:%M}" in facts["when"]
    assert facts["news"][0] == TOLD and facts["cost"]["missing_bytes"] > 0
    code, facts = run(capsys, "update", "--check", "--now")
    assert (code, facts["status"]) == (0, "offered")
    assert run(capsys, "health")[1]["counted"] == []  # looking begins nothing, and says nothing
    assert run(capsys, "update")[1]["status"] == "waiting"
    run(capsys, "update", "--now")
    assert [item["cohort"] for item in run(capsys, "health")[1]["counted"]] == ["canary"]  # the control


def test_a_rollout_that_was_paused_before_this_device_is_said_not_to_have_come_so_far(
    server: FakeServer, capsys: pytest.CaptureFixture[str]
) -> None:
    run(capsys, "update")
    stages(server, hours=-2)
    facts = run(capsys, "update", "--check")[1]
    assert facts["status"] == "waiting"
    assert facts["when"] == (
        "By the plan that was signed with it your turn could have come; the server has not let it go so far."
    )


def test_what_the_server_stopped_is_not_offered(server: FakeServer, capsys: pytest.CaptureFixture[str]) -> None:
    run(capsys, "update")
    stages(server, hours=1)
    run(capsys, "update", "--check", "--now")
    stages(server, hours=1, is_halted=True)
    code, facts = run(capsys, "update", "--check", "--now")
    assert (code, facts["status"], facts["is_offered"]) == (0, "halted", False)
    assert facts["words"] == "The server stopped the newest model: 1.1.0 was stopped (crash-loops)."
    assert run(capsys, "update", "--status")[1]["phase"] != "offered"


def test_a_release_for_a_newer_app_says_which(server: FakeServer, capsys: pytest.CaptureFixture[str]) -> None:
    run(capsys, "update")
    newer(server, min_runtime="99.0.0")
    code, facts = run(capsys, "update", "--check")
    assert (code, facts["status"], facts["news"]) == (1, "unsupported", [])
    assert "needs projectone 99.0.0 or newer, this is 0.1.0: update the app" in facts["error"]["message"]


def test_what_was_set_aside_is_told_with_its_reason_and_the_way_to_it(
    server: FakeServer, capsys: pytest.CaptureFixture[str]
) -> None:
    run(capsys, "update")
    newer(server)
    run(capsys, "update")
    run(capsys, "update", "--rollback")
    code, facts = run(capsys, "update", "--check")
    assert (code, facts["status"], facts["news"][0]) == (1, "set-aside", TOLD)
    assert "`projectone update --again` takes it all the same." in facts["error"]["message"]
    assert run(capsys, "update", "--check", "--again")[1]["status"] == "offered"


def test_without_a_network_it_is_an_error_and_the_model_works_on(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    run(capsys, "update")
    monkeypatch.setenv("PROJECTONE_SERVER", "http://127.0.0.1:9")
    code, facts = run(capsys, "update", "--check")
    assert (code, facts["error"]["kind"]) == (2, "transport")
    assert "is_offered" not in facts
    assert run(capsys, "update", "--status")[1]["version"] == "1.0.0"


def test_a_hint_without_a_signature_offers_nothing(server: FakeServer, capsys: pytest.CaptureFixture[str]) -> None:
    run(capsys, "update")
    assert server.latest is not None
    server.latest = server.latest.model_copy(update={"version": "9.9.9", "seq": 99})
    assert run(capsys, "update", "--check")[1]["status"] == "current"


def test_a_hint_that_there_is_nothing_new_does_not_hold_back_what_was_seen(
    server: FakeServer, capsys: pytest.CaptureFixture[str]
) -> None:
    run(capsys, "update")
    old = server.latest
    newer(server)
    server.latest = old
    assert run(capsys, "update")[1]["status"] == "current"  # the control: for a day the hint is believed
    assert run(capsys, "update", "--check")[1]["status"] == "offered"
    assert run(capsys, "update")[1]["to_version"] == "1.1.0"


def test_a_look_at_one_family_does_not_prolong_what_a_hint_about_another_holds_back(
    server: FakeServer, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("projectone.device.updater.updater._LOOK_ANYWAY", timedelta(minutes=20))  # a day, made short
    run(capsys, "update")
    begun, old = datetime.now(UTC), server.latest
    newer(server)
    server.latest = old
    for minutes in (10, 25):
        monkeypatch.setattr("projectone.device.wiring._now", lambda now=begun + timedelta(minutes=minutes): now)
        run(capsys, "update", "--check", "--family", "intents")
        facts = run(capsys, "update", "--family", "speech")[1]
        assert facts["status"] == ("current" if minutes == 10 else "updated")  # the control: until then it is believed


def test_what_nobody_signed_is_not_shown(server: FakeServer, capsys: pytest.CaptureFixture[str]) -> None:
    run(capsys, "update")
    newer(server)
    (path,) = [path for path in server.signed if path.endswith(".notes.json")]
    server.signed[path] = server.signed[path].replace(b'"n_wrong":10', b'"n_wrong":11')
    facts = run(capsys, "update", "--check")[1]
    assert (facts["notes"], facts["news"]) == (None, ["Its release does not say what is new in it."])
    for path in [path for path in server.signed if path.endswith(".release.json")]:
        server.signed[path] = server.signed[path].replace(b"1.1.0", b"9.9.9")
    code, facts = run(capsys, "update", "--check")
    assert (code, facts["error"]["kind"]) == (2, "artifact")
    assert "9.9.9" not in json.dumps(facts)


def test_what_came_before_the_wire_broke_is_not_counted_again(
    server: FakeServer, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    run(capsys, "update")
    package = newer(server).package
    monkeypatch.setattr("projectone.device.updater.download._STALLS", 1)
    server.faults.drop_after_bytes = [400_000, 0, 0, 0]
    assert run(capsys, "update")[0] == 2
    cost = run(capsys, "update", "--check")[1]["cost"]
    assert cost["all_bytes"] == len(package) and 0 < cost["missing_bytes"] < len(package) - 300_000
    assert "0.6 MB to fetch of 1.0 MB, the rest is here: the whole model." in shown(capsys, "update", "--check")


def test_where_there_is_no_room_it_is_said_and_nothing_is_let_go_of(
    server: FakeServer, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    run(capsys, "update")
    newer(server)
    run(capsys, "update")
    newer(server, seq=3, version="1.2.0")
    monkeypatch.setenv("PROJECTONE_MODEL_BUDGET_MB", "1")
    facts = run(capsys, "update", "--check")[1]
    assert facts["status"] == "offered" and "PROJECTONE_MODEL_BUDGET_MB allows 1 MB" in facts["when"]
    assert [item["role"] for item in run(capsys, "update", "--status")[1]["models"]] == ["current", "previous"]


def test_a_model_that_waits_for_its_trial_is_told_with_nothing_to_fetch(
    server: FakeServer, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    run(capsys, "update")
    newer(server)
    monkeypatch.setattr(conditions, "look", lambda: Conditions(is_quiet=True, is_away=False, is_on_mains=True))
    run(capsys, "update", "--when-idle", "--max-wait", 0)
    code, facts = run(capsys, "update", "--check")
    assert (code, facts["status"], facts["is_offered"], facts["cost"]) == (0, "here", True, None)
    assert facts["when"].endswith("Not just now: you are using this machine.")
    assert facts["news"][0] == TOLD


def test_who_switched_automatic_updates_off_is_told_that_it_waits_for_them(
    server: FakeServer, capsys: pytest.CaptureFixture[str]
) -> None:
    run(capsys, "update")
    newer(server)
    run(capsys, "model", "--automatic", "off")
    assert "nothing comes by itself here" in run(capsys, "update", "--check")[1]["when"]


@pytest.mark.parametrize(
    ("n_bytes", "told"),
    [(0, "0 kB"), (20, "1 kB"), (99_000, "99 kB"), (123_456, "0.1 MB"), (146_200_000, "146.2 MB"), (1.5e9, "1.5 GB")],
)
def test_a_size_is_never_told_as_nothing(n_bytes: float, told: str) -> None:
    assert size_words(int(n_bytes)) == told


def test_looking_asks_for_signed_words_alone(server: FakeServer, capsys: pytest.CaptureFixture[str]) -> None:
    run(capsys, "update")
    newer(server)
    server.requests.clear()
    run(capsys, "update", "--check", "--family", "speech")
    paths = [path for _, path in server.requests]
    assert paths and all(path.startswith("/tuf/") for path in paths) and LATEST_MODEL_INFO not in paths


@pytest.mark.parametrize("min_runtime", ["0.1.0", "99.0.0"])
def test_what_one_family_has_is_offered_whatever_another_says(
    server: FakeServer, capsys: pytest.CaptureFixture[str], min_runtime: str
) -> None:
    run(capsys, "update")
    server.release(
        text_model("x"), seq=1, version="1.0.0", channel=line_of("intents", "stable"), min_runtime=min_runtime
    )
    is_for_us = min_runtime == "0.1.0"
    code, facts = run(capsys, "update", "--check")
    assert (code, facts["status"], facts["is_offered"]) == (0 if is_for_us else 1, "current", is_for_us)
    newer(server)
    code, facts = run(capsys, "update", "--check")
    assert (code, facts["status"], facts["is_offered"]) == (0, "offered", True)


def test_a_newer_one_is_told_before_one_that_waits_for_its_trial(
    server: FakeServer, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    run(capsys, "update")
    newer(server)
    monkeypatch.setattr(conditions, "look", lambda: Conditions(is_quiet=True, is_away=False, is_on_mains=True))
    run(capsys, "update", "--when-idle", "--max-wait", 0)
    assert run(capsys, "update", "--status")[1]["phase"] == "staged"
    newer(server, seq=3, version="1.2.0")
    assert run(capsys, "update", "--check")[1]["to_version"] == "1.2.0"
    told = run(capsys, "update", "--status")[1]
    assert told["phase"] == "offered"
    assert told["words"] == "Model 1.2.0 is offered, newer than 1.1.0, which waits for its trial."
