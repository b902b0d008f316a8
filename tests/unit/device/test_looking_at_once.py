"""Two looks for an update at the same moment: both are answered, or it is said what goes on and what to do."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from tests.fakes.device_rooms import TextEngine, text_model
from tests.fakes.release_server import FakeServer
from tests.unit.device.web.pages import Pages

from projectone.contracts.releases import line_of
from projectone.contracts.versions import Family
from projectone.device.client import DeviceClient
from projectone.device.releases import checked
from projectone.device.settings import DeviceSettings
from projectone.device.wiring import open_client
from projectone.errors import LeaseError
from projectone.storage.locks import exclusive_lock


@pytest.fixture
def client(tmp_path: Path, server: FakeServer, monkeypatch: pytest.MonkeyPatch) -> Iterator[DeviceClient]:
    monkeypatch.setattr("projectone.device.wiring._load_engine", lambda folder, settings: TextEngine(folder))
    server.release(text_model("one"), seq=1, version="1.0.0")
    server.release(text_model("x"), seq=1, version="2.0.0", channel=line_of("intents", "stable"))
    settings = DeviceSettings(home=tmp_path / "device", server=server.url, release_root=server.root)
    with open_client(settings) as client:
        yield client


@pytest.fixture
def elsewhere(tmp_path: Path) -> Iterator[threading.Event]:
    """Another process is in the middle of a look; what is given ends it."""
    is_held, is_done = threading.Event(), threading.Event()

    def look() -> None:
        with exclusive_lock(tmp_path / "device" / "releases" / "lock", what="looking"):
            is_held.set()
            is_done.wait()

    thread = threading.Thread(target=look)
    thread.start()
    is_held.wait()
    yield is_done
    is_done.set()
    thread.join()


def test_looks_at_the_same_moment_are_all_answered(client: DeviceClient) -> None:
    families: tuple[Family, ...] = ("speech", "intents", "speech", "intents")
    start = threading.Barrier(len(families))

    def look(family: Family) -> str | None:
        start.wait()
        return client.adoptions[family].look_for_newer().version

    with ThreadPoolExecutor(len(families)) as threads:
        assert list(threads.map(look, families)) == ["1.0.0", "2.0.0", "1.0.0", "2.0.0"]


def test_who_looks_second_waits_for_the_first(client: DeviceClient, elsewhere: threading.Event) -> None:
    threading.Timer(0.3, elsewhere.set).start()
    assert client.adoption.look_for_newer().version == "1.0.0"
    assert elsewhere.is_set()


def test_an_update_waits_for_a_look(client: DeviceClient, elsewhere: threading.Event) -> None:
    threading.Timer(0.3, elsewhere.set).start()
    assert client.update().to_version == "1.0.0"
    assert elsewhere.is_set()


def test_what_came_while_a_look_waited_is_known_to_it(client: DeviceClient, server: FakeServer) -> None:
    with ThreadPoolExecutor(1) as threads:
        with exclusive_lock(client.status().home / "releases" / "lock", what="looking"):
            looking = threads.submit(client.adoption.look_for_newer)
            with pytest.raises(TimeoutError):
                looking.result(timeout=0.2)
        assert looking.result().offer.status == "offered"


def test_a_look_that_does_not_end_is_told_in_a_sentence_on_the_page(
    client: DeviceClient, elsewhere: threading.Event, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(checked, "_WAIT_S", 0.05)
    with pytest.raises(LeaseError):
        client.adoption.look_for_newer()
    pages = Pages(client)
    status, job = pages.ask("POST", "/api/model/look", {})
    said = pages.end(job)
    assert (status, said["state"]) == (202, "failed")
    assert said["error"]["message"].startswith("looking for releases: another window, command or timer has been asking")
    assert said["error"]["message"].endswith("else try again in a minute")
