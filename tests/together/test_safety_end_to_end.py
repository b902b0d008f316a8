"""The line of safety classifiers: taught by a person, judged by the gate, released in stages, used by devices.

The same commands as for speech and intents, over HTTP, with a real server, database and hub; and classifiers that do
harm, at each door that stops them.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from huggingface_hub import constants
from tests.conformance.hub.running import running_hub
from tests.fakes.server_process import running
from tests.fakes.taught_intents import examples, write_lines
from tests.fakes.taught_safety import LABEL, SABOTAGES, golden_comments, with_threshold
from tests.fakes.tiny_bert import write_tiny_bert
from tests.fakes.trainer_home import TrainerHome
from tests.unit.assist.approved import approved

from projectone.assist import usual_encoder
from projectone.assist.embeddings import HashingEmbedder
from projectone.assist.safety import load_safety
from projectone.contracts.signatures import sign_policies
from projectone.device.acceptance.harmless import PLAIN
from projectone.device.client import DeviceClient
from projectone.device.settings import DeviceSettings
from projectone.device.wiring import open_client
from projectone.server.cli import main
from projectone.server.work.rollout_watch import RolloutWatch

FAMILY = ("--family", "safety")
WARNED = "set the alarm wake"
pytestmark = [pytest.mark.slow, pytest.mark.filterwarnings("ignore:Use 'content=:DeprecationWarning")]
Command = Callable[..., Any]


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Command:
    """One command of the server; gives its JSON object."""
    monkeypatch.setattr(constants, "HF_HUB_DISABLE_XET", True)

    def run(*arguments: str, code: int = 0) -> Any:
        capsys.readouterr()
        assert main([*arguments, "--json"]) == code, capsys.readouterr()
        return json.loads(capsys.readouterr().out.splitlines()[-1])

    return run


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> list[timedelta]:
    """How much later it is than it is, for the devices and for the hand on the brake."""
    later = [timedelta(0)]

    def now() -> datetime:
        return datetime.now(UTC) + later[0]

    monkeypatch.setattr("projectone.device.wiring._now", now)
    monkeypatch.setitem(RolloutWatch.__init__.__kwdefaults__, "clock", now)
    return later


@pytest.fixture
def guard(tmp_path: Path, server: Command) -> Path:
    """One that was taught by the command, from comments that its operator labelled."""
    rows = [*examples(60, seed=1), *((text, "other") for text in PLAIN for _ in range(6))]
    data = write_lines(tmp_path / "comments.jsonl", rows)
    words = ["--encoder", str(write_tiny_bert(tmp_path / "encoder")), "--alarm", LABEL, "--bits", "8", "--epochs", "40"]
    server("assist", "train", "--data", str(data), *words, "--out", str(tmp_path / "guard"))
    return tmp_path / "guard"


@pytest.fixture
def home(tmp_path: Path, guard: Path, server: Command, monkeypatch: pytest.MonkeyPatch) -> Iterator[TrainerHome]:
    monkeypatch.setattr(usual_encoder, "weights_folder", lambda: None)
    monkeypatch.setattr(usual_encoder, "_encoder", lambda: HashingEmbedder(usual_encoder.WIDTH))
    (tmp_path / "hub").mkdir()
    with running_hub(tmp_path / "hub") as hub:
        made = TrainerHome(
            tmp_path / "server",
            hub_url=hub.url,
            hub_token=hub.writer,
            INTENTS_ENCODER=str(tmp_path / "encoder"),
            SAFETY_GOLDEN=str(write_lines(tmp_path / "golden.jsonl", golden_comments())),
            SAFETY_REPO="acme/safety",
            ROLLOUT="0:4,100",
        )
        for name, value in made.variables.items():
            monkeypatch.setenv(name, value)
        server("init")
        yield made


def publish(server: Command, folder: Path, version: str, *, code: int = 0) -> Any:
    return server("publish", *FAMILY, "--model", str(folder), "--version", version, code=code)


def kind_of_answer(client: DeviceClient, text: str) -> str:
    choice = client.replies.first(text)
    assert choice is not None
    return choice.kind


def test_one_is_taught_judged_released_in_stages_and_read_by_devices_and_bad_ones_are_stopped(
    home: TrainerHome,
    guard: Path,
    server: Command,
    clock: list[timedelta],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    # The gate lets the first one out by what it does itself.
    first = publish(server, guard, "1.0.0")
    assert (first["seq"], first["channel"], first["repo_id"]) == (1, "stable.safety", "acme/safety")
    assert first["verdict"]["decision"] == "promote"
    assert publish(server, guard, "1.0.0")["seq"] == 1  # again, nothing changes
    assert server("validate", *FAMILY, "--numerics", "int8")["subject"] == "production"

    # Sabotaged ones do not pass, each for its own fault, and nothing of them is released.
    for fault in ("it warns of nothing", "it warns of everything", "it warns of something else"):
        wrong, damage = SABOTAGES[fault]
        damage(guard, tmp_path / fault)
        refused = publish(server, tmp_path / fault, "1.1.0", code=1)
        assert refused["seq"] is None
        assert wrong in [check["code"] for check in refused["verdict"]["checks"]]
    (known,) = server("registry", "list", *FAMILY)["models"]
    assert (known["version"], known["aliases"]) == ("1.0.0", ["production"])

    facts = server("init")
    with ExitStack() as stack:
        running_api = stack.enter_context(running(home.folder, "--only", "api"))
        key = Ed25519PrivateKey.from_private_bytes(bytes(range(32)))
        (tmp_path / "policies.json").write_bytes(sign_policies(key, approved(version=1)).to_bytes())

        def device(name: str) -> DeviceClient:
            settings = DeviceSettings(
                home=tmp_path / name,
                server=running_api.api,
                enrolment_code=running_api.enrolment_code,
                release_keys=(facts["release_public_key"],),
                release_root=Path(facts["release_root_file"]).read_bytes(),
            )
            client = stack.enter_context(open_client(settings))
            client.replies.install(tmp_path / "policies.json")
            return client

        # Devices bring it, and it reads what is asked before it is answered.
        early, late = device("early"), device("late")
        assert kind_of_answer(early, WARNED) != "unsafe"
        for client in (early, late):
            assert client.update(family="safety").to_version == "1.0.0"
            assert kind_of_answer(client, WARNED) == "unsafe"
            assert kind_of_answer(client, "play some music") != "unsafe"

        # The next one is no worse, goes out in stages, and is swapped in.
        threshold = load_safety(guard).alarm.threshold
        with_threshold(0.98 * threshold)(guard, tmp_path / "next")
        assert publish(server, tmp_path / "next", "1.1.0")["verdict"]["decision"] == "promote"
        assert late.update(family="safety").status == "waiting"
        assert early.update(family="safety", is_early=True).to_version == "1.1.0"
        clock[0] = timedelta(hours=5)
        server("rollout", "advance", *FAMILY)
        assert late.update(family="safety").to_version == "1.1.0"
        assert kind_of_answer(late, WARNED) == "unsafe"

        # One that an operator forced past the gate is stopped by the first device that tries it.
        monkeypatch.setenv("PROJECTONE_SERVER_SAFETY_GATE_WITHOUT", "false-alarms,slices")
        assert publish(server, tmp_path / "it warns of everything", "1.2.0")["verdict"]["decision"] == "promote"
        report = early.update(family="safety", is_early=True)
        assert report.status == "rejected"
        assert "harmless sentences" in str(report.reason)
        assert kind_of_answer(early, "play some music") != "unsafe"
        assert late.update(family="safety").status == "waiting"
        server("rollout", "halt", *FAMILY)
        assert late.update(family="safety", is_early=True).status == "halted"
        assert server("rollout", "rollback", *FAMILY)["release"]["version"] == "1.3.0"  # what 1.1.0 was
        for client in (early, late):
            assert client.update(family="safety").to_version == "1.3.0"
            assert kind_of_answer(client, WARNED) == "unsafe"
        assert server("work", "--once")["runs"] == []  # the worker looks after its stages; nothing there makes a run

        # A damaged one gives way to the one before.
        installed = early._rooms.lines["safety"].installed
        early.close()
        current = installed.state().current
        assert current is not None and current.version == "1.3.0"
        (installed.path_of(current) / "classifier.json").write_text("{}")
        again = device("early")
        assert kind_of_answer(again, WARNED) == "unsafe"
        assert again.adoptions["safety"].state().version == "1.1.0"


def one_less(guard: Path, texts: list[str]) -> float:
    """A threshold from which on one of these texts that it warns of raises the alarm no longer."""
    found = load_safety(guard, numerics="int8")
    probabilities = sorted(judged.probability for judged in found.judge(texts) if judged.is_flagged)
    assert probabilities[0] < probabilities[1]
    return (probabilities[0] + probabilities[1]) / 2


def test_one_that_the_gate_holds_waits_for_a_person_who_approves_or_vetoes_it_as_any_model(
    home: TrainerHome,
    guard: Path,
    server: Command,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    few = golden_comments(30)
    monkeypatch.setenv("PROJECTONE_SERVER_SAFETY_GOLDEN", str(write_lines(tmp_path / "few.jsonl", few)))
    publish(server, guard, "1.0.0")
    # Thirty texts cannot show that one less of them is no loss.
    threshold = one_less(guard, [text for text, label in few if label == LABEL])
    with_threshold(threshold)(guard, tmp_path / "doubted")
    held = publish(server, tmp_path / "doubted", "1.1.0", code=1)
    assert (held["seq"], held["state"], held["verdict"]["decision"]) == (None, "waiting", "hold")
    assert publish(server, tmp_path / "doubted", "1.1.0", code=1)["run_id"] == held["run_id"]  # asked once
    words = ["publish", *FAMILY, "--model", str(tmp_path / "doubted"), "--version", "1.1.0"]
    assert main(words) == 1
    assert f"projectone-server work approve {held['run_id']} --by NAME" in capsys.readouterr().out
    (waiting,) = server("work", "waiting")["waiting"]
    assert (waiting["run_id"], waiting["decision"]) == (held["run_id"], "hold")
    assert waiting["reasons"] == held["verdict"]["reasons"]
    report = server("work", "report", held["run_id"], "--out", str(tmp_path / "report.html"))
    assert report["is_complete"]
    assert report["wording"]["rate"] == "alarm error rate"
    assert "alarm error rate" in (tmp_path / "report.html").read_text()

    server("work", "veto", held["run_id"], "--by", "ada", "--note", "the one that it misses is the worst")
    (run,) = server("work", "--once")["runs"]
    assert (run["state"], server("registry", "list", *FAMILY)["models"][0]["version"]) == ("quarantined", "1.0.0")

    again = publish(server, tmp_path / "doubted", "1.1.0", code=1)
    assert again["run_id"] != held["run_id"]
    server("work", "approve", again["run_id"], "--by", "ada", "--note", "read all thirty")
    (run,) = server("work", "--once")["runs"]
    assert (run["state"], run["version"]) == ("succeeded", "1.1.0")
    names = {model["version"]: model["aliases"] for model in server("registry", "list", *FAMILY)["models"]}
    assert names["1.1.0"] == ["production"]
    assert publish(server, tmp_path / "doubted", "1.1.0")["seq"] == 2  # again, nothing changes

    # The control: where nobody is to be asked it stays inside, held against the best one of before.
    monkeypatch.setenv("PROJECTONE_SERVER_APPROVAL", "never")
    left = publish(server, tmp_path / "doubted", "1.2.0", code=1)
    assert (left["verdict"]["decision"], "run_id" in left) == ("hold", False)
    assert server("work", "waiting") == {"waiting": []}
