"""What nobody goes back to, and what a model that waits for its trial does when the server stops it."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.fakes.device_rooms import heard_by, text_model, update
from tests.fakes.release_server import FakeServer

from projectone.contracts.rollouts import RolloutState
from projectone.device.client import DeviceClient
from projectone.device.installed import Installed
from projectone.errors import ArtifactError

OLD, BAD = {"weights_sha256": "a" * 64}, {"weights_sha256": "b" * 64}


def roll_out(server: FakeServer, seq: int, *, is_halted: bool) -> None:
    """What the server signs about how far a release has gone."""
    known = RolloutState(channel="stable", seq=seq, buckets=10_000, is_halted=is_halted)
    server.shelf.roll_out("stable", known.to_bytes())
    server.shelf.step("rollout", "snapshot", "timestamp")
    server.signed = server.shelf.files()


def with_two(home: Path, server: FakeServer) -> None:
    server.release(text_model("old"), seq=6, version="1.0.0", **OLD)
    update(home, server)
    server.release(text_model("bad"), seq=7, version="1.1.0", **BAD)
    assert update(home, server).status == "updated"


def test_after_the_server_went_back_nobody_returns_to_what_it_left(tmp_path: Path, server: FakeServer) -> None:
    with_two(tmp_path, server)
    server.release(text_model("old"), seq=8, version="1.2.0", **OLD)
    assert update(tmp_path, server).status == "updated"
    installed = Installed(tmp_path / "models")
    assert installed.state().why_set_aside(7) == "the server went back from it"
    assert installed.roll_back().version == "1.0.0"
    assert heard_by(tmp_path) == "old"
    assert not (tmp_path / "models" / "releases" / "7").exists()


def test_without_the_mark_the_way_back_leads_to_the_model_that_was_stopped(
    tmp_path: Path, server: FakeServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The control: this is what happened before."""
    monkeypatch.setattr("projectone.device.updater.updater.note_way_back", lambda installed, manifest: None)
    with_two(tmp_path, server)
    server.release(text_model("old"), seq=8, version="1.2.0", **OLD)
    update(tmp_path, server)
    assert Installed(tmp_path / "models").roll_back().version == "1.1.0"
    assert heard_by(tmp_path) == "bad"


def test_a_model_that_the_server_stopped_stays_in_use_and_is_no_way_back(tmp_path: Path, server: FakeServer) -> None:
    with_two(tmp_path, server)
    installed = Installed(tmp_path / "models")
    roll_out(server, 7, is_halted=True)
    assert update(tmp_path, server, is_again=True).status == "current"
    assert installed.state().why_set_aside(7) == "the server stopped it"
    assert heard_by(tmp_path) == "bad"
    installed.roll_back()
    with pytest.raises(ArtifactError, match=r"1\.1\.0 is set aside: the server stopped it"):
        installed.roll_back()


def test_a_model_that_goes_out_again_may_be_gone_back_to_again(tmp_path: Path, server: FakeServer) -> None:
    with_two(tmp_path, server)
    for is_halted in (True, False):
        roll_out(server, 7, is_halted=is_halted)
        update(tmp_path, server, is_again=True)
    assert Installed(tmp_path / "models").state().set_aside == ()


def test_a_model_that_waits_for_its_trial_goes_when_the_server_stops_it(tmp_path: Path, server: FakeServer) -> None:
    server.release(text_model("old"), seq=6, version="1.0.0")
    update(tmp_path, server)
    server.release(text_model("bad"), seq=7, version="1.1.0")
    assert update(tmp_path, server, may_try=lambda: False).status == "staged"
    roll_out(server, 7, is_halted=True)
    halted = update(tmp_path, server)
    assert (halted.status, heard_by(tmp_path)) == ("halted", "old")
    assert Installed(tmp_path / "models").state().trial is None
    roll_out(server, 7, is_halted=False)
    assert update(tmp_path, server).status == "updated"


def test_a_model_that_waits_gives_way_to_a_newer_one(tmp_path: Path, server: FakeServer) -> None:
    may_try = iter([True, False]).__next__
    for seq in (6, 7):
        server.release(text_model(f"model {seq}"), seq=seq, version=f"1.{seq}.0")
        update(tmp_path, server, may_try=may_try)
    server.release(text_model("model 8"), seq=8, version="1.8.0")
    assert update(tmp_path, server).to_version == "1.8.0"
    assert {path.name for path in (tmp_path / "models" / "releases").iterdir()} == {"6", "8"}


def test_the_user_goes_forward_again_to_what_only_they_left(client: DeviceClient, server: FakeServer) -> None:
    for seq in (1, 2):
        server.release(text_model(f"model {seq}"), seq=seq, version=f"1.{seq}.0")
        client.update()
    assert [client.roll_back(), client.roll_back()] == ["1.1.0", "1.2.0"]
