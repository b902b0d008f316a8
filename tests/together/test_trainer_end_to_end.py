"""The trainer with all of its real parts: corrections become a deployed model, poison does not."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from tests.conformance.hub.running import running_hub
from tests.conftest import REPOSITORY
from tests.fakes.tiny_whisper import WORDS, say
from tests.fakes.trainer_home import TrainerHome, sentences

from projectone.server.delivery.ledger import Ledger
from projectone.server.registry.aliases import HubAliases
from projectone.server.registry.contents import read_manifest
from projectone.server.runs import Runs
from projectone.speech.checkpoint import load_checkpoint
from projectone.storage.files import digest_of

GAIN = ("gain", "gain_low", "gain_high")
pytestmark = [pytest.mark.slow, pytest.mark.filterwarnings("ignore:Use 'content=:DeprecationWarning")]

# `projectone-server work` that is asked to end in the middle of training, right after the first checkpoint. It asks
# itself: a test that watches it from outside may come too late.
STOPPED_IN_TRAINING = """
import os, signal, sys, time
from projectone.server.cli import main
from projectone.server.work.run_ports import _RunPorts

show = _RunPorts._progress

def show_until_asked(self, run_id, progress):
    if progress.step > 10:
        os.kill(os.getpid(), signal.SIGTERM)
        for _ in range(3000):
            self._permit.pause_point()  # raises as soon as the signal was heard
            time.sleep(0.02)
        sys.exit("the worker is deaf")
    show(self, run_id, progress)

_RunPorts._progress = show_until_asked
sys.exit(main(["work", "--interval-s", "0.2"]))
"""


def environment(home: TrainerHome) -> dict[str, str]:
    return {**os.environ, **home.variables, "OPENBLAS_NUM_THREADS": "1", "HF_HUB_DISABLE_XET": "1"}


def server(home: TrainerHome, *arguments: str) -> Any:
    """One command of the real command line; gives its JSON object."""
    command = [sys.executable, "-m", "projectone.server.cli", *arguments, "--json"]
    done = subprocess.run(command, env=environment(home), cwd=REPOSITORY, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout.splitlines()[-1])


def test_corrections_become_a_model_and_poison_ends_in_quarantine(tmp_path: Path) -> None:
    (tmp_path / "hub").mkdir()
    with running_hub(tmp_path / "hub") as hub:
        home = TrainerHome(tmp_path / "home", hub_url=hub.url, hub_token=hub.writer)
        server(home, "publish", "--model", str(home.base), "--version", "1.0.0")
        home.send_many(90, seed=3)
        server(home, "run")
        stopped = subprocess.run(
            [sys.executable, "-c", STOPPED_IN_TRAINING],
            env=environment(home),
            cwd=REPOSITORY,
            stderr=subprocess.PIPE,
            text=True,
            check=False,
        )
        assert stopped.returncode == 0, stopped.stderr
        assert "goes on at the next start" in stopped.stderr
        assert Runs(home.engine).newest()[0].state == "running"

        (deployed,) = server(home, "work", "--once")["runs"]
        assert (deployed["state"], deployed["version"], deployed["n_new"]) == ("succeeded", "1.1.0", 90)
        assert deployed["verdict"]["gain_low"] > 0
        release = Ledger(home.engine).newest("stable")
        assert release is not None
        assert release.manifest.weights_sha256 == deployed["candidate_sha256"]
        notes = release.manifest.notes
        assert notes is not None and notes.n_wrong_before is not None
        assert (notes.after, notes.n_new_samples) == ("1.0.0", 90) and notes.n_wrong < notes.n_wrong_before
        events = [json.loads(line) for line in (home.folder / deployed["log_path"]).read_text().splitlines()]
        assert "resume" in {event["event"] for event in events}
        tagged = tmp_path / "from-the-hub"
        hub.client().snapshot_download("acme/whisper", revision="v1.1.0", local_dir=tagged)
        assert digest_of(tagged / "model.safetensors") == deployed["candidate_sha256"]
        assert load_checkpoint(tagged).dims == load_checkpoint(home.base).dims
        assert deployed["run_id"] in (tagged / "README.md").read_text()
        names = HubAliases(hub.url, hub.reader, "acme/whisper").read()
        assert names.production is not None and names.previous is not None
        assert (names.production.version, names.previous.version, names.candidate) == ("1.1.0", "1.0.0", None)
        made = read_manifest(tagged).lineage
        assert made is not None
        assert (made.n_new_samples, made.consent_scopes, made.decision) == (90, ("corrections",), "promote")
        assert (made.seed, made.before, made.gain) == (0, ("1.0.0",), tuple(deployed["verdict"][name] for name in GAIN))

        # However well the model learned: with no error left on the golden set the triage would decline the poison.
        home.variables["PROJECTONE_SERVER_TRIAGE"] = "off"
        home.variables["PROJECTONE_SERVER_APPROVAL"] = "never"
        following = dict(zip(WORDS, [*list(WORDS)[1:], *list(WORDS)[:1]], strict=True))
        for number, text in enumerate(sentences(90, seed=4)):
            wrong = " ".join(following[word] for word in text.split())
            home.send("mallory", str(number), wrong, say(text, seed=5_000 + number, is_lively=True))
        server(home, "run")
        (poisoned,) = server(home, "work", "--once")["runs"]
        assert poisoned["state"] == "quarantined", poisoned
        assert (home.folder / "quarantine" / poisoned["run_id"] / "model" / "model.safetensors").is_file()
        status = server(home, "status")
        assert status["production"]["version"] == "1.1.0"
        assert status["samples"]["quarantined"] == 90
        assert [run["state"] for run in status["runs"]] == ["quarantined", "succeeded"]
        assert [tag.name for tag in hub.client().list_repo_refs("acme/whisper").tags] == ["v1.0.0", "v1.1.0"]
        home.close()
