"""The model page: which one, what changed for this person, forward, back, and by itself or not."""

from __future__ import annotations

import html
import re
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from tests.fakes.device_intents import files_of, tiny_intents
from tests.fakes.device_rooms import text_model, tone
from tests.fakes.release_server import FakeServer
from tests.unit.device.web.pages import Pages

from projectone.contracts.releases import ReleaseNotes
from projectone.contracts.rollouts import RolloutPlan, RolloutStage
from projectone.contracts.versions import Family
from projectone.device.adoption import AdoptionState
from projectone.device.client import DeviceClient
from projectone.device.conditions import Conditions
from projectone.device.settings import DeviceSettings
from projectone.device.web.moments import when_words
from projectone.device.wiring import open_client

SAID = "the quick brown fox jumps over the lazy dog"


@pytest.fixture
def pages(client: DeviceClient, server: FakeServer) -> Iterator[Pages]:
    yield Pages(client)


def shown(pages: Pages) -> str:
    return re.sub(r"\s+", " ", html.unescape(pages.get("/model")))


def test_before_the_first_model_the_page_says_what_to_do(pages: Pages) -> None:
    assert "No model yet" in shown(pages) and "Look for a model" in shown(pages)
    assert pages.do("/api/model/look")["result"]["words"] == "The server has released no model yet."
    assert pages.do("/api/model/update")["result"]["words"] == "The server has released no model yet."


def test_the_model_in_use_is_shown_with_where_it_came_from(
    pages: Pages, client: DeviceClient, server: FakeServer
) -> None:
    release = server.release(text_model("one"), version="1.0.0")
    result = pages.do("/api/model/update")["result"]
    assert (result["status"], result["words"]) == ("updated", "Model 1.0.0 is in use.")
    page = shown(pages)
    assert "Model 1.0.0" in page and "In use since" in page
    assert release.manifest.weights_sha256[:12] in page and "projectone/whisper" in page
    facts = pages.get("/api/model")
    assert facts["since"] is not None and facts["used_bytes"] >= sum(item["size_bytes"] for item in facts["models"])


def test_what_is_new_in_a_model_is_said_from_its_signed_release(
    pages: Pages, client: DeviceClient, server: FakeServer
) -> None:
    server.release(text_model("one"), version="1.0.0")
    client.update()
    assert "Its release does not say what is new in it." in shown(pages)
    notes = ReleaseNotes(after="1.0.0", n_samples=40, n_new_samples=12, n_words=200, n_wrong=10, n_wrong_before=30)
    server.release(text_model("one two"), seq=2, version="1.1.0", notes=notes)
    assert pages.do("/api/model/update")["result"]["status"] == "updated"
    told = "Of 200 words that are kept for testing it gets 5.0 % wrong; model 1.0.0 got 15.0 % wrong."
    assert told in shown(pages) and pages.get("/api/model")["news"][0] == told


NOTES = ReleaseNotes(after="1.0.0", n_samples=40, n_new_samples=12, n_words=200, n_wrong=10, n_wrong_before=30)
TOLD = "Of 200 words that are kept for testing it gets 5.0 % wrong; model 1.0.0 got 15.0 % wrong."


def test_what_is_new_in_a_release_and_its_size_stand_on_the_page_before_it_is_taken(
    pages: Pages, client: DeviceClient, server: FakeServer
) -> None:
    server.release(text_model("one"), version="1.0.0")
    client.update()
    server.release(text_model("one two", padding=4_000), seq=2, version="1.1.0", notes=NOTES)
    assert "1.1.0" not in shown(pages) and "Update now" not in shown(pages)
    had = server.asked("GET", "/v1/releases/")
    found = pages.do("/api/model/look")["result"]
    assert (found["status"], found["words"], found["is_shown"]) == ("offered", "Model 1.1.0 is offered.", True)
    page = shown(pages)
    assert "What is new in 1.1.0" in page and TOLD in page and "Update now" in page
    assert "1.0 MB to fetch: the whole model." in page and "By itself it comes within six hours" in page
    assert "Model 1.1.0 is offered. Model 1.0.0 works on until you take it." in page
    assert server.asked("GET", "/v1/releases/") == had and client.status().model_version == "1.0.0"
    assert pages.get("/api/model")["offered"]["news"][0] == TOLD
    assert pages.do("/api/model/update")["result"]["status"] == "updated"
    assert "Update now" not in shown(pages) and pages.get("/api/model")["offered"] is None


def test_a_model_that_waits_for_its_trial_is_shown_with_what_is_new_in_it(
    pages: Pages, client: DeviceClient, server: FakeServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    server.release(text_model("one"), version="1.0.0")
    client.update()
    server.release(text_model("one two"), seq=2, version="1.1.0", notes=NOTES)
    monkeypatch.setattr(client.adoption, "_look", lambda: Conditions(is_quiet=True, is_away=False, is_on_mains=True))
    assert client.adoption.update_when_idle(0.0).status == "staged"
    page = shown(pages)
    assert TOLD in page and "Nothing is left to fetch." in page and "Try it now" in page
    assert "Not just now: you are using this machine." in page


def test_a_model_whose_files_are_damaged_is_brought_anew_from_the_page(
    pages: Pages, client: DeviceClient, server: FakeServer
) -> None:
    server.release(text_model("one"), version="1.0.0", notes=NOTES)
    client.update()
    assert pages.do("/api/model/look")["result"]["is_shown"] is False  # the control: it is whole
    current = client._rooms.lines["speech"].installed.state().current
    assert current is not None
    folder = client._rooms.lines["speech"].installed.path_of(current)
    next(path for path in folder.iterdir() if path.name != "manifest.json").write_bytes(b"x")
    found = pages.do("/api/model/look")["result"]
    assert (found["words"], found["is_shown"]) == ("Model 1.0.0 is damaged on this disk, and offered anew.", True)
    page = shown(pages)
    assert "Model 1.0.0 is damaged on this disk, and offered anew." in page and "Bring it anew" in page
    assert "Its files here are not as they were signed." in page and "until you take it" not in page
    assert pages.do("/api/model/update")["result"]["words"] == "Model 1.0.0 is in use."
    assert "damaged" not in shown(pages) and "Bring it anew" not in shown(pages)


def test_what_goes_out_in_stages_is_shown_with_the_way_to_take_it_early(
    pages: Pages, client: DeviceClient, server: FakeServer
) -> None:
    server.release(text_model("one"), version="1.0.0")
    client.update()
    now = datetime.now(UTC)
    plan = RolloutPlan(salt="0" * 32, stages=(RolloutStage(not_before=now + timedelta(days=2), max_buckets=10_000),))
    server.release(text_model("one two"), seq=2, version="1.1.0", notes=NOTES, rollout=plan)
    assert pages.do("/api/model/look")["result"]["status"] == "waiting"
    page = shown(pages)
    assert "Take it before your turn" in page and "Update now" not in page and TOLD in page
    assert f"your turn does not come before {when_words(now + timedelta(days=2))}." in page
    started = pages.ask("POST", "/api/model/update", {"is_early": True})[1]
    assert pages.end(started)["result"]["status"] == "updated"


def test_what_cannot_be_taken_is_said_and_not_shown_as_an_offer(
    pages: Pages, client: DeviceClient, server: FakeServer
) -> None:
    server.release(text_model("one"), version="1.0.0")
    client.update()
    assert pages.do("/api/model/look")["result"]["words"] == "Model 1.0.0 is the newest there is."
    server.release(text_model("one two"), seq=2, version="1.1.0", notes=NOTES, min_runtime="99.0.0")
    found = pages.do("/api/model/look")["result"]
    assert (found["status"], found["is_shown"]) == ("unsupported", False)
    assert "needs projectone 99.0.0 or newer" in found["words"]
    server.faults.answer = lambda method, path: (503, "closed")
    assert pages.do("/api/model/look")["state"] == "failed"
    assert "Update now" not in shown(pages)


def test_a_classifier_is_looked_at_by_itself(pages: Pages, server: FakeServer) -> None:
    notes = NOTES.model_copy(update={"after": None, "n_wrong_before": None})
    server.release(text_model("meanings"), channel="stable.intents", version="2.0.0", notes=notes)
    started = pages.ask("POST", "/api/model/look", {"family": "intents"})[1]
    assert pages.end(started)["result"]["words"] == "Classifier 2.0.0 is offered."
    page = shown(pages)
    assert "Of 200 sentences that are kept for testing it gets 5.0 % wrong." in page and "Bring it now" in page
    assert "Look again" in page and "Look for a classifier" not in page
    assert pages.ask("POST", "/api/model/look", {"family": "nothing"})[0] == 400


def test_the_page_says_which_safety_classifier_is_here_and_brings_a_newer_one(
    pages: Pages, client: DeviceClient, server: FakeServer
) -> None:
    assert "No safety classifier yet" in shown(pages) and "Look for a safety classifier" in shown(pages)
    assert pages.get("/api/model")["safety"]["version"] is None
    notes = NOTES.model_copy(update={"after": None, "n_wrong_before": None})
    server.release(text_model("guard"), channel="stable.safety", version="3.0.0", notes=notes)
    started = pages.ask("POST", "/api/model/look", {"family": "safety"})[1]
    assert pages.end(started)["result"]["words"] == "Safety classifier 3.0.0 is offered."
    section = re.findall(r'id="classifier-(intents|safety)">(.*?)</section>', shown(pages))
    offered = {family: "3.0.0" in text and "Bring it now" in text for family, text in section}
    assert offered == {"intents": False, "safety": True}


def test_the_version_of_each_classifier_in_use_stands_on_the_page(
    pages: Pages, client: DeviceClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    used: dict[Family, str] = {"intents": "2.1.0", "safety": "3.2.1"}
    for family, version in used.items():
        found = replace(client.adoptions[family].state(), version=version, since=datetime.now(UTC))

        def state(seen: Conditions | None = None, *, found: AdoptionState = found) -> AdoptionState:
            return found

        monkeypatch.setattr(client.adoptions[family], "state", state)
    page = shown(pages)
    assert "Classifier 2.1.0</h3>" in page and "Safety classifier 3.2.1</h3>" in page
    assert {family: pages.get("/api/model")[family]["version"] for family in used} == used


def test_the_size_of_the_model_that_hears_is_not_joined_with_that_of_a_classifier(
    pages: Pages, client: DeviceClient, server: FakeServer, tmp_path: Path
) -> None:
    server.release(text_model("one"), version="1.0.0")
    server.release(files_of(tiny_intents(tmp_path / "made")), channel="stable.intents", version="2.0.0")
    client.update()
    assert client.update(family="intents").status == "updated"
    page = shown(pages)
    assert page.count("on this disk.") == 1 and "Meanings: in use" in page


def test_it_says_that_newer_ones_are_fetched_unasked_and_what_happens_if_they_are_not(pages: Pages) -> None:
    page = shown(pages)
    assert "fetched without asking you first" in page
    assert "Switched off, nothing is fetched before you have seen it here and taken it." in page


def test_what_a_new_model_changed_is_drawn_and_said(pages: Pages, client: DeviceClient, server: FakeServer) -> None:
    server.release(text_model("the quick brown box jumps over lazy"), version="1.0.0")
    client.update()
    for n in range(6):
        client.correct(client.transcribe(tone(pitch_hz=400 + 30 * n)).recording_id, f"{SAID} {n}")
    server.release(text_model(SAID), seq=2, version="1.1.0")
    assert pages.do("/api/model/update")["result"]["status"] == "updated"
    (compared,) = pages.get("/api/model")["comparisons"]
    assert compared["wrong_after"] < compared["wrong_before"] and compared["n_recordings"] == 6
    page = shown(pages)
    label = f"model 1.0.0 {compared['wrong_before']}, model 1.1.0 {compared['wrong_after']}"
    assert f'aria-label="Words wrong of {compared["n_words"]}: {label}"' in page
    assert compared["words"] in page


def test_a_model_that_is_worse_for_this_person_is_not_taken_and_it_says_why(
    pages: Pages, client: DeviceClient, server: FakeServer
) -> None:
    server.release(text_model(SAID), version="1.0.0")
    client.update()
    for n in range(6):
        client.correct(client.transcribe(tone(pitch_hz=400 + 30 * n)).recording_id, f"{SAID} {n}")
    server.release(text_model("nothing like it at all"), seq=2, version="1.1.0")
    result = pages.do("/api/model/update")["result"]
    assert result["status"] == "rejected" and "Model 1.0.0 stays in use." in result["words"]
    page = shown(pages)
    assert "Not in use, and why" in page and "Model 1.1.0" in page and "not taken" in page


def test_the_way_back_says_to_which_and_forward_again_is_offered(
    pages: Pages, client: DeviceClient, server: FakeServer
) -> None:
    server.release(text_model("one"), version="1.0.0")
    client.update()
    server.release(text_model("two"), seq=2, version="1.1.0")
    client.update()
    assert "Go back to 1.0.0" in shown(pages)
    assert pages.ask("POST", "/api/model/back")[1] == {"version": "1.0.0"}
    page = shown(pages)
    assert "Model 1.0.0" in page and "The user went back from it." in page
    assert "set aside here" in pages.do("/api/model/update")["result"]["words"]
    job = pages.ask("POST", "/api/model/update", {"is_again": True})[1]
    assert pages.end(job)["result"]["words"] == "Model 1.1.0 is in use."


def test_nothing_to_go_back_to_is_said(pages: Pages) -> None:
    status, problem = pages.ask("POST", "/api/model/back")
    assert status == 409 and "no earlier model" in problem["detail"]


def test_the_page_asks_the_system_once(
    pages: Pages, client: DeviceClient, server: FakeServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each time, programs of the system are started: a page that asked for every line of it would come late."""
    server.release(text_model("one"), version="1.0.0")
    client.update()
    asked: list[str] = []
    for family, adoption in client.adoptions.items():

        def look(name: str = family) -> Conditions:
            asked.append(name)
            return Conditions()

        monkeypatch.setattr(adoption, "_look", look)
    shown(pages)
    assert asked == ["speech"]


def test_updates_come_by_themselves_or_not(pages: Pages, client: DeviceClient) -> None:
    assert pages.get("/api/model")["is_automatic"] is True
    assert pages.ask("PUT", "/api/model/automatic", {"is_on": False})[1]["is_automatic"] is False
    assert client.adoption.is_automatic is False
    assert not re.search(r'id="automatic"[^>]*checked', shown(pages))


def test_how_a_new_model_does_is_said_only_if_the_person_switches_it_on(pages: Pages, client: DeviceClient) -> None:
    assert pages.get("/api/model")["is_reporting"] is False
    assert "Nothing is counted, and nothing is said." in shown(pages)
    assert pages.ask("PUT", "/api/model/health", {"is_on": True})[1]["is_reporting"] is True
    assert client.status().is_reporting


def test_when_the_server_is_away_the_job_says_so_and_the_model_stays(
    pages: Pages, client: DeviceClient, server: FakeServer
) -> None:
    server.release(text_model("one"), version="1.0.0")
    client.update()
    server.faults.answer = lambda method, path: (403, "closed")
    failed = pages.do("/api/model/update")
    assert failed["state"] == "failed"
    assert client.transcribe(tone()).text == "one"


def test_without_a_server_the_page_says_what_to_set(tmp_path: Path) -> None:
    with open_client(DeviceSettings(home=tmp_path / "offline")) as client:
        assert "PROJECTONE_SERVER" in shown(Pages(client))
