"""The set of policies on a device: signed, never older, and the answer that it leads to."""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import pytest
from tests.fakes.device_intents import install_intents, tiny_intents
from tests.fakes.release_server import FakeServer
from tests.unit.assist.approved import approved

from projectone.assist import usual_encoder
from projectone.assist.embeddings import HashingEmbedder
from projectone.assist.protocols import Judgement
from projectone.contracts.signatures import sign_policies
from projectone.device.cli.ask import ASK
from projectone.device.cli.policies import POLICIES
from projectone.device.client import DeviceClient
from projectone.device.conditions import Conditions
from projectone.errors import ContractError, RollbackError, SignatureError


@pytest.fixture(autouse=True)
def _no_weights(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(usual_encoder, "weights_folder", lambda: None)
    monkeypatch.setattr(usual_encoder, "_encoder", lambda: HashingEmbedder(usual_encoder.WIDTH))


def write(server: FakeServer, path: Path, version: int) -> Path:
    path.write_bytes(sign_policies(server.key, approved(version=version)).to_bytes())
    return path


def test_a_set_comes_from_the_server_without_a_name_and_once_a_day(client: DeviceClient, server: FakeServer) -> None:
    assert client.replies.approved() is None and client.replies.first("will it rain") is None
    assert "no-policies" in str(client.replies.refresh())
    server.policies = sign_policies(server.key, approved(version=3))
    assert client.replies.refresh() is None  # asked already today
    assert client.replies.approved() is None
    assert client.replies.refresh(is_again=True) is None
    assert client.replies.approved() == approved(version=3)


def test_an_app_that_looks_for_a_classifier_by_itself_asks_for_policies_too(
    client: DeviceClient, server: FakeServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    for adoption in client.adoptions.values():
        monkeypatch.setattr(adoption, "_look", lambda: Conditions(is_quiet=True, is_away=True, is_on_mains=True))
    server.policies = sign_policies(server.key, approved(version=3))
    client.adoptions["speech"].step()
    assert client.replies.approved() is None
    client.adoptions["intents"].step()
    assert client.replies.approved() == approved(version=3)


def test_an_older_a_forged_and_a_broken_set_are_refused(
    client: DeviceClient, server: FakeServer, tmp_path: Path
) -> None:
    client.replies.install(write(server, tmp_path / "three.json", 3))
    with pytest.raises(RollbackError, match="version 3 or newer"):
        client.replies.install(write(server, tmp_path / "two.json", 2))
    signed = json.loads((tmp_path / "three.json").read_bytes())
    forged = {**signed, "policies": json.loads((tmp_path / "two.json").read_bytes())["policies"]}
    (tmp_path / "forged.json").write_text(json.dumps(forged))
    with pytest.raises(SignatureError):
        client.replies.install(tmp_path / "forged.json")
    (tmp_path / "broken.json").write_text("{}")
    with pytest.raises(ContractError):
        client.replies.install(tmp_path / "broken.json")
    assert client.replies.approved() == approved(version=3)


def test_what_was_asked_before_changes_the_answer_only_while_memory_is_on(
    client: DeviceClient, server: FakeServer, tmp_path: Path
) -> None:
    client.replies.install(write(server, tmp_path / "set.json", 1))
    judgement = Judgement("report_lost_card", "report_lost_card", 0.9, 0.8)

    def answer() -> str:
        choice = client.replies.first("my card was stolen", judgement)
        assert choice is not None
        return choice.response_id

    client.memory.asked("my card was stolen", intent="report_lost_card", ask_id="a1")
    assert answer() == "card-1"
    client.memory.switch(is_on=True)
    client.memory.asked("my card was stolen", intent="report_lost_card", ask_id="a2")
    assert answer() == "card-again"
    client.memory.forget_all()
    assert answer() == "card-1"


def test_ask_gives_the_approved_answer_and_remembers_what_was_asked(
    client: DeviceClient, server: FakeServer, tmp_path: Path
) -> None:
    install_intents(client.status().home, tiny_intents(tmp_path / "model"), version="1.0.0")
    client.memory.switch(is_on=True)
    arguments = argparse.Namespace(
        words=["is", "it", "warm"], recording=None, labels=False, list=False, forget=None, label=None, none=False
    )
    assert "reply" not in ASK.execute(client, arguments).facts  # no policies are here yet
    client.assist.forget()
    client.replies.install(write(server, tmp_path / "set.json", 1))
    first, again = ASK.execute(client, arguments), ASK.execute(client, arguments)
    assert first.text.startswith("First the weather.\n  It sounds like 'weather'")
    assert again.facts["reply"]["response_id"] == "weather-1" and "said before" in again.text
    (kept, _) = client.memory.newest()
    assert (kept.about.kind, kept.about.intent, kept.text) == ("asked", "weather", "is it warm")
    client.assist.forget()
    assert client.memory.newest() == []


def test_the_terminal_lists_the_set_and_says_why(client: DeviceClient, server: FakeServer, tmp_path: Path) -> None:
    def run(action: str, *words: str) -> dict[str, object]:
        return POLICIES.execute(client, argparse.Namespace(action=action, words=list(words))).facts

    assert run("list")["version"] is None
    assert run("check", "will it rain")["reply"] is None
    assert run("install", str(write(server, tmp_path / "set.json", 4)))["version"] == 4
    reply = run("check", "will", "it", "rain")["reply"]
    assert isinstance(reply, dict) and reply["policy"]["policy_id"] == "weather"
    assert "problem" in run("update")  # this server has none
