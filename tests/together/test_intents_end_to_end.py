"""Corrected intents become a classifier by the commands and the graph that make speech models; poison does not."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from huggingface_hub import constants
from tests.conformance.hub.running import running_hub
from tests.fakes.intent_home import IntentHome, narrow_examples

from projectone.assist.classifiers import load_classifier
from projectone.contracts.releases import notes_path, release_path
from projectone.server.cli import main
from projectone.server.corpus.labels import Labels
from projectone.server.delivery.opening import signed_files
from projectone.server.pipeline.models import ModelFolders
from projectone.server.registry.contents import read_manifest
from projectone.server.runs import Runs
from projectone.storage.files import digest_of

INTENTS = ("--family", "intents")
pytestmark = [pytest.mark.slow, pytest.mark.filterwarnings("ignore:Use 'content=:DeprecationWarning")]
Server = Callable[..., Any]


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Server:
    """One command of the command line; gives its JSON object."""
    monkeypatch.setattr(constants, "HF_HUB_DISABLE_XET", True)

    def run(*arguments: str) -> Any:
        code = main([*arguments, "--json"])
        told = capsys.readouterr()
        assert code == 0, told.err
        return json.loads(told.out.splitlines()[-1])

    return run


def test_corrected_intents_become_a_classifier_and_poison_ends_in_quarantine(
    tmp_path: Path, server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "hub").mkdir()
    with running_hub(tmp_path / "hub") as hub:
        home = IntentHome(tmp_path / "home", hub_url=hub.url, hub_token=hub.writer, APPROVAL="never")
        for name, value in home.variables.items():
            monkeypatch.setenv(name, value)
        server("publish", *INTENTS, "--model", str(home.first), "--version", "1.0.0")
        assert Labels(home.engine).all() == ("alarm", "music", "weather")

        home.correct_many(60, seed=11)
        home.correct("eve", "1", "wake the alarm wake", "alarm")
        asked = server("run", *INTENTS)["run"]
        assert (asked["family"], Runs(home.engine).next_due("speech")) == ("intents", None)
        (deployed,) = server("work", "--once")["runs"]
        assert (deployed["state"], deployed["version"]) == ("succeeded", "1.1.0"), deployed["reason"]
        assert deployed["verdict"]["gain_low"] > 0
        assert deployed["n_discarded"] > 0  # what the golden texts say is learned by nobody
        status = server("status", *INTENTS)
        assert status["production"]["channel"] == "stable.intents"
        assert status["production"]["weights_sha256"] == deployed["candidate_sha256"]
        assert server("status")["production"] is None  # speech has nothing to do with it
        assert [model["version"] for model in server("registry", "list", *INTENTS)["models"]] == ["1.0.0", "1.1.0"]
        assert server("registry", "aliases", *INTENTS)["aliases"]["production"]["version"] == "1.1.0"

        # What the nightly timer asks of whatever is in use, on the golden texts of the settings.
        judged = server("validate", "--suite", "in-scope", "--suite", "repeatability")
        assert (judged["subject"], judged["passed"], len(judged["findings"])) == ("production", True, 2)

        tagged = tmp_path / "from-the-hub"
        hub.client().snapshot_download("acme/intents", revision="v1.1.0", local_dir=tagged)
        assert digest_of(tagged / "model.safetensors") == deployed["candidate_sha256"]
        assert "text-classification" in (tagged / "README.md").read_text()
        made = read_manifest(tagged).lineage
        assert made is not None
        assert (made.consent_scopes, made.decision, made.before) == (("intents",), "promote", ("1.0.0",))
        folder = ModelFolders(home.folder / "models").find(deployed["candidate_sha256"])
        assert load_classifier(folder).classify(["wake the"])[0].nearest == "alarm"

        files = signed_files(home.folder)
        timestamp = files.timestamp()
        assert timestamp is not None
        snapshot = files.snapshot(timestamp.signed.snapshot_meta.version)
        listed = files.listed("targets", snapshot.signed.meta["targets.json"].version).signed.targets
        line = "stable.intents", "float16"
        assert set(listed) == {release_path(*line), notes_path(*line)}

        monkeypatch.setenv("PROJECTONE_SERVER_RETRAIN_DAYS", "0")
        home.withdraw("eve")
        (replaced,) = server("work", "--once")["runs"]
        assert (replaced["trigger"], replaced["state"], replaced["n_new"]) == ("withdrawal", "succeeded", 0), replaced
        assert replaced["n_items"] == deployed["n_items"] - 1
        assert server("status", *INTENTS)["production"]["version"] == "1.2.0"

        home.correct_many(60, seed=12, people="mallory", is_wrong=True)
        server("run", *INTENTS)
        (poisoned,) = server("work", "--once")["runs"]
        assert poisoned["state"] == "quarantined", poisoned
        assert {"worse-overall", "intent-worse"} & {one["code"] for one in poisoned["verdict"]["checks"]}
        assert (home.folder / "quarantine" / poisoned["run_id"] / "model" / "classifier.json").is_file()
        assert server("status", *INTENTS)["production"]["version"] == "1.2.0"

        assert server("rollout", "status", *INTENTS)["release"]["channel"] == "stable.intents"
        server("rollout", "rollback", *INTENTS)
        back = server("status", *INTENTS)["production"]
        assert (back["version"], back["seq"]) == ("1.3.0", 4)
        assert back["weights_sha256"] == digest_of(home.first / "model.safetensors")  # 1.1.0 knew what was withdrawn
        home.close()


def test_sentences_that_production_understands_already_start_no_training_and_wait(
    tmp_path: Path, server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "hub").mkdir()
    with running_hub(tmp_path / "hub") as hub:
        home = IntentHome(tmp_path / "home", hub_url=hub.url, hub_token=hub.writer, APPROVAL="never")
        for name, value in home.variables.items():
            monkeypatch.setenv(name, value)
        server("publish", *INTENTS, "--model", str(home.first), "--version", "1.0.0")
        understood = load_classifier(home.first)
        rows = dict.fromkeys(row for seed in range(40, 44) for row in narrow_examples(20, seed=seed))
        known = [(text, label) for text, label in rows if understood.classify([text])[0].label == label]
        for n, (text, label) in enumerate(known[:20]):
            home.correct(f"person{n % 4}", str(n), text, label)
        server("run", *INTENTS)
        (declined,) = server("work", "--once")["runs"]
        assert (declined["state"], declined["candidate_sha256"]) == ("no-train", None), declined["reason"]
        assert "already understands the new samples" in declined["reason"]
        assert "collect corrections of sentences" in declined["reason"]
        assert server("status", *INTENTS)["samples"]["waiting"] > 0
        assert server("status", *INTENTS)["production"]["version"] == "1.0.0"
        home.close()
