"""Answers from memory: the same ones, without a look into the database, and never after a release."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from tests.unit.server.api.conftest import Backend, reason
from tests.unit.server.api.test_releases import release

from projectone.contracts.releases import LatestModelInfo
from projectone.server.api import public
from projectone.server.delivery.ledger import Ledger

LATEST = "/latest-model-info"


@contextmanager
def reads(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[str]]:
    """The channels that the ledger was asked for."""
    asked: list[str] = []
    latest = Ledger.latest

    def noted(self: Ledger, channel: str) -> LatestModelInfo | None:
        asked.append(channel)
        return latest(self, channel)

    with monkeypatch.context() as patch:
        patch.setattr(Ledger, "latest", noted)
        patch.setattr(public, "_MAX_AGE_S", 3600.0)  # what the files say is tried, not the clock
        yield asked


def test_devices_that_ask_again_cost_no_read(backend: Backend, monkeypatch: pytest.MonkeyPatch) -> None:
    release(backend)
    with reads(monkeypatch) as asked:
        first = backend.http.get(LATEST)
        etag = first.headers["etag"]
        for _ in range(5):
            again = backend.http.get(LATEST)
            assert (again.content, again.headers["etag"]) == (first.content, etag)
            assert again.headers["x-content-type-options"] == "nosniff"
            held = backend.http.get(LATEST, headers={"If-None-Match": etag})
            assert (held.status_code, held.content, held.headers["cache-control"]) == (304, b"", "max-age=300")
    assert asked == ["stable"]


def test_a_release_is_seen_by_the_next_request(backend: Backend, monkeypatch: pytest.MonkeyPatch) -> None:
    release(backend)
    with reads(monkeypatch) as asked:
        for version in ("1.3.0", "1.4.0", "1.5.0"):
            release(backend, version)
            assert LatestModelInfo.from_bytes(backend.http.get(LATEST).content).version == version
    assert len(asked) == 3


def test_channels_are_told_apart_and_what_there_is_none_of_is_not_kept(backend: Backend) -> None:
    assert reason(backend.http.get(LATEST)) == (404, "no-release")
    release(backend)
    assert backend.http.get(LATEST).status_code == 200
    assert reason(backend.http.get(f"{LATEST}?channel=beta")) == (404, "no-release")
    assert backend.http.get(f"{LATEST}?channel=stable").content == backend.http.get(LATEST).content
    assert backend.http.get(f"{LATEST}?channel=../x").status_code in (400, 422)


def test_who_asks_first_with_an_old_tag_gets_the_whole_answer(backend: Backend) -> None:
    release(backend)
    assert backend.http.get(LATEST, headers={"If-None-Match": '"old"'}).status_code == 200


def test_the_current_metadata_is_read_again_once_it_was_written(backend: Backend) -> None:
    folder = backend.services.signed / "metadata"
    for content in (b'{"n":1}', b'{"n":2}'):
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "new").write_bytes(content)
        (folder / "new").replace(folder / "timestamp.json")
        for _ in range(2):
            assert backend.http.get("/tuf/metadata/timestamp.json").content == content


def test_a_database_that_shows_no_change_is_asked_every_second(
    backend: Backend, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Ledger, "stamp", lambda self: None)  # PostgreSQL
    release(backend)
    with reads(monkeypatch) as asked:
        backend.http.get(LATEST)
        release(backend, "1.3.0")
        assert LatestModelInfo.from_bytes(backend.http.get(LATEST).content).version == "1.2.0"
        monkeypatch.setattr(public, "_MAX_AGE_S", 0.0)  # the second is over
        assert LatestModelInfo.from_bytes(backend.http.get(LATEST).content).version == "1.3.0"
    assert len(asked) == 2


def test_the_newest_release_names_the_address_of_a_cdn(backend: Backend) -> None:
    sha256 = release(backend)
    info = Ledger(backend.engine, packages_url="https://cdn.example.org/models").latest("stable")
    assert info is not None
    assert info.url == f"https://cdn.example.org/models/{sha256}"
