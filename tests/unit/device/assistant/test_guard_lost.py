"""A safety classifier that is damaged or gone lets nothing through: not the second time, not after a restart."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from tests.fakes.chat_server import ChatServer, serving
from tests.fakes.device_rooms import TextEngine
from tests.fakes.release_server import FakeServer
from tests.unit.device.assistant import test_guard
from tests.unit.device.assistant.test_guard import FINE, LINE, RUDE, flags

from projectone.assist.classifiers import CLASSIFIER
from projectone.assist.generation.checked import CheckedGenerator
from projectone.assist.generation.fallback import FallbackGenerator
from projectone.assist.generation.protocol import Answer, GenerationRequest
from projectone.assist.vectors.protocol import Owner
from projectone.device.client import DeviceClient
from projectone.device.installed import Installed
from projectone.device.settings import DeviceSettings
from projectone.device.wiring import open_client
from projectone.errors import GuardError

settings, good = test_guard.settings, test_guard.good
Loss = Callable[[Installed], object]


def _damaged(installed: Installed) -> None:
    for slot in installed.state().slots():
        (installed.path_of(slot) / CLASSIFIER).write_text("{}")


def _files_gone(installed: Installed) -> None:
    for slot in installed.state().slots():
        shutil.rmtree(installed.path_of(slot))


def _all_gone(installed: Installed) -> None:
    shutil.rmtree(installed.folder)


def _state_torn(installed: Installed) -> None:
    (installed.folder / "state.json").write_text("{")


LOSSES = {"damaged": _damaged, "its files gone": _files_gone, "all of it gone": _all_gone, "state torn": _state_torn}


@pytest.fixture(scope="module")
def chat() -> Iterator[ChatServer]:
    with serving() as server:
        yield server


@pytest.fixture
def answering(
    settings: DeviceSettings, chat: ChatServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> DeviceSettings:
    """A device that asks a hosted model, which says what is rude."""
    monkeypatch.setattr("projectone.device.wiring._load_engine", lambda folder, settings: TextEngine(folder))
    chat.said = RUDE
    (tmp_path / "key").write_text("key-1\n")
    (tmp_path / "key").chmod(0o600)
    return replace(
        settings,
        answers_url=chat.base_url,
        answers_model="small-1",
        answers_key=str(tmp_path / "key"),
        answers_deadline_s=60.0,
    )


def bring(client: DeviceClient, server: FakeServer, model: dict[str, bytes]) -> Installed:
    server.release(model, channel=LINE)
    assert client.update(family="safety").status == "updated"
    return client._rooms.lines["safety"].installed


@pytest.mark.parametrize("lose", LOSSES.values(), ids=LOSSES)
def test_nothing_is_read_as_harmless_however_often_it_is_asked_until_it_is_brought_again(
    lose: Loss, answering: DeviceSettings, server: FakeServer, good: dict[str, bytes]
) -> None:
    with open_client(answering) as client:
        installed = bring(client, server, good)
    lose(installed)
    if lose is _state_torn:  # nothing opens until its person removed the folder, as they are told
        shutil.rmtree(installed.folder)
    for _ in range(2):
        with open_client(answering) as client:
            for _ in range(3):
                with pytest.raises(GuardError):
                    flags(client, FINE)
            assert client._rooms.guard.is_here()
    with open_client(answering) as client:
        assert client.update(family="safety").status == "updated"
        assert (flags(client, FINE), flags(client, RUDE)) == (False, True)


def test_a_state_that_is_torn_while_it_is_in_use_lets_nothing_through(
    answering: DeviceSettings, server: FakeServer, good: dict[str, bytes]
) -> None:
    with open_client(answering) as client:
        _state_torn(bring(client, server, good))
        for _ in range(2):
            with pytest.raises(GuardError, match=r"state\.json"):
                flags(client, FINE)


class Rude:
    """A model that answers with what raises the alarm."""

    model_version = "1"

    def __init__(self, name: str, text: str = RUDE) -> None:
        self.name = name
        self._text = text

    def generate(self, request: GenerationRequest) -> Answer:
        return Answer(text=self._text, by=self.name, model_version="1", seed=0)


def test_of_two_models_behind_a_damaged_one_neither_is_shown(
    answering: DeviceSettings, server: FakeServer, good: dict[str, bytes]
) -> None:
    with open_client(answering) as client:
        installed = bring(client, server, good)
    _damaged(installed)
    with open_client(answering) as client:
        guard = client._rooms.guard
        links = [
            CheckedGenerator(Rude(name), guard.flags, is_guarded=guard.is_here)
            for name in ("local", "hosted", "another")
        ]
        answer = FallbackGenerator(links, Rude("template", "no answer")).generate(
            GenerationRequest(owner=Owner("device", "person"), prompt="hi", deadline_s=20.0)
        )
        assert (answer.by, answer.text) == ("template", "no answer")
        assert [attempt.reason for attempt in answer.failed] == ["failed"] * 3


def test_a_kept_answer_is_read_by_one_that_came_later_and_by_a_damaged_one_not_at_all(
    answering: DeviceSettings, chat: ChatServer, server: FakeServer, good: dict[str, bytes]
) -> None:
    with open_client(answering) as client:
        client.grant("hosted_answers", "cli")
        before = client.answers.answer("what is up with the weather")
        assert (before.text, before.by, before.cached) == (RUDE, "hosted", "no")
        again = client.answers.answer("what is up with the weather")
        assert (again.text, again.cached) == (RUDE, "exact")  # the control: kept, and nobody reads it
        installed = bring(client, server, good)
        refused = client.answers.answer("what is up with the weather")
        assert (refused.by, refused.failed[-1].reason) == ("template", "unsafe")
        chat.said = FINE  # asked anew, and the new answer takes the place of the kept one
        assert client.answers.answer("what is up with the weather").text == FINE
        kept = client.answers.answer("what is up with the weather")
        assert (kept.text, kept.cached) == (FINE, "exact")
    _damaged(installed)
    with open_client(answering) as client:
        for _ in range(2):
            unread = client.answers.answer("what is up with the weather")
            assert (unread.by, unread.failed[-1].reason) == ("template", "failed")
