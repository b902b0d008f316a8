from __future__ import annotations

import dataclasses
from collections.abc import Iterator

import pytest
from fastapi.testclient import TestClient
from tests.unit.server.api.conftest import Backend, reason
from tests.unit.server.conversion.test_hub_events import COMMIT, SECRET, Handed, event

from projectone.errors import SettingsError
from projectone.server.api.app import create_app
from projectone.server.conversion.hub_events import HubEvents
from projectone.server.serve.processes import _hub_events
from projectone.server.settings import ServerSettings

PATH = "/v1/hub-events"
KNOWN = {"X-Webhook-Secret": SECRET}


@pytest.fixture
def handed() -> Handed:
    return Handed()


@pytest.fixture
def http(backend: Backend, handed: Handed) -> Iterator[TestClient]:
    events = HubEvents(secret=SECRET, repo_id="acme/whisper", folder=backend.home / "hub-events", dispatch=handed)
    with TestClient(create_app(dataclasses.replace(backend.services, hub_events=events))) as client:
        yield client


def test_a_push_starts_one_conversion(http: TestClient, handed: Handed) -> None:
    for outcome in ("dispatched", "seen"):
        answer = http.post(PATH, content=event(), headers=KNOWN)
        assert (answer.status_code, answer.json()) == (200, {"outcome": outcome})
    assert handed == [("acme/whisper", COMMIT)]


def test_without_the_secret_nothing_happens(http: TestClient, handed: Handed) -> None:
    assert reason(http.post(PATH, content=event())) == (401, "webhook-secret")
    assert reason(http.post(PATH, content=event(), headers={"X-Webhook-Secret": "x" * 27})) == (401, "webhook-secret")
    assert handed == []


def test_a_body_that_is_too_long_or_no_event_is_refused(http: TestClient, handed: Handed) -> None:
    assert http.post(PATH, content=event() + b" " * 40_000, headers=KNOWN).status_code == 413
    assert reason(http.post(PATH, content=b"{}", headers=KNOWN)) == (422, "contract")
    assert handed == []


def test_while_github_is_away_the_hub_is_asked_to_come_again(http: TestClient, handed: Handed) -> None:
    handed.is_down = True
    answer = http.post(PATH, content=event(), headers=KNOWN)
    assert reason(answer) == (502, "dispatch")
    assert "Retry-After" in answer.headers
    handed.is_down = False
    assert http.post(PATH, content=event(), headers=KNOWN).json() == {"outcome": "dispatched"}


def test_where_no_webhook_is_set_up_there_is_none(backend: Backend) -> None:
    assert reason(backend.http.post(PATH, content=event(), headers=KNOWN)) == (404, "no-webhook")


def test_the_secret_alone_is_no_setting() -> None:
    def hub_events(**variables: str) -> HubEvents | None:
        return _hub_events(
            ServerSettings.from_env({f"PROJECTONE_SERVER_{name}": value for name, value in variables.items()})
        )

    assert hub_events() is None
    with pytest.raises(SettingsError, match="GITHUB_REPO"):
        hub_events(HUB_WEBHOOK_SECRET=SECRET)
    with pytest.raises(SettingsError, match="16 to 256"):
        hub_events(HUB_WEBHOOK_SECRET="guess me")
    assert hub_events(HUB_WEBHOOK_SECRET=SECRET, GITHUB_REPO="acme/app", GITHUB_TOKEN="t") is not None
