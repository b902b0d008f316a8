"""What is new in a release comes beside it, and nothing about it keeps a model away."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from tests.fakes.device_rooms import text_model, update
from tests.fakes.release_server import FakeServer

from projectone.contracts.base import canonical_json
from projectone.contracts.releases import ReleaseNotes, ReleaseOffer, notes_path
from projectone.device.installed import Installed

NOTES = ReleaseNotes(n_samples=40, n_new_samples=12, n_words=200, n_wrong=10)
PATH = notes_path("stable", "float16")
WRITTEN = canonical_json(NOTES.model_dump())


def told(home: Path) -> ReleaseNotes | None:
    """What the device knows to be new in the model in use."""
    installed = Installed(home / "models")
    current = installed.state().current
    assert current is not None
    return installed.manifest_of(current).notes


def show(server: FakeServer, content: bytes, **custom: object) -> None:
    """A release, and beside it this for its notes."""
    offer = ReleaseOffer.of(server.release(text_model("new"), seq=6).manifest).model_dump()
    server.shelf.list(PATH, content, offer | custom)
    server.show()


def test_notes_come_beside_the_release_and_stay_with_the_model(tmp_path: Path, server: FakeServer) -> None:
    show(server, WRITTEN)
    assert update(tmp_path, server).status == "updated"
    assert told(tmp_path) == NOTES


@pytest.mark.parametrize(
    "spoil",
    [
        lambda server: show(server, canonical_json({"words": "of a later kind"})),
        lambda server: show(server, WRITTEN, seq=5),
        lambda server: show(server, WRITTEN, more="than an offer"),
        lambda server: (show(server, WRITTEN), _lose(server)),
    ],
    ids=["of a later kind", "of another release", "listed otherwise", "gone"],
)
def test_notes_that_cannot_be_read_keep_no_model_away(
    tmp_path: Path, server: FakeServer, spoil: Callable[[FakeServer], object]
) -> None:
    spoil(server)
    assert update(tmp_path, server).status == "updated"
    assert told(tmp_path) is None


def _lose(server: FakeServer) -> None:
    for path in [path for path in server.signed if path.endswith(".notes.json")]:
        del server.signed[path]


def test_a_model_that_waits_is_not_fetched_again_for_its_notes(tmp_path: Path, server: FakeServer) -> None:
    offer = ReleaseOffer.of(server.release(text_model("new"), seq=6).manifest).model_dump()
    assert update(tmp_path, server, may_try=lambda: False).status == "staged"
    server.shelf.list(PATH, WRITTEN, offer)  # as for an app that knew of no notes when it fetched the model
    server.show()
    fetched = server.asked("GET", "/v1/releases/")
    assert update(tmp_path, server).status == "updated"
    assert server.asked("GET", "/v1/releases/") == fetched > 0
