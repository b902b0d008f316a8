"""The whole loop for what was meant: fifty corrected intents leave five devices and come back as a better classifier.

The same commands as for speech, over HTTP, with a real server, database and hub; then a classifier that does harm.
"""

from __future__ import annotations

import json
import random
import uuid
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from huggingface_hub import constants
from tests.conformance.hub.running import running_hub
from tests.fakes.intent_home import IntentHome, Lessons
from tests.fakes.real_intents import real_lessons
from tests.fakes.server_process import running
from tests.fakes.taught_intents import SABOTAGES, examples

from projectone.assist.classifiers import load_classifier
from projectone.device.cli import main as device_main
from projectone.device.client import DeviceClient
from projectone.device.settings import DeviceSettings
from projectone.device.wiring import open_client
from projectone.server.cli import main as server_main
from projectone.server.pipeline.models import ModelFolders
from projectone.server.work.rollout_watch import RolloutWatch

FAMILY = ("--family", "intents")
N_DEVICES, N_EACH = 5, 10
pytestmark = [pytest.mark.slow, pytest.mark.filterwarnings("ignore:Use 'content=:DeprecationWarning")]
Command = Callable[..., Any]


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Command:
    """One command of the server; gives its JSON object."""
    monkeypatch.setattr(constants, "HF_HUB_DISABLE_XET", True)

    def run(*arguments: str) -> Any:
        capsys.readouterr()
        code = server_main([*arguments, "--json"])
        told = capsys.readouterr()
        assert code == 0, told.err
        return json.loads(told.out.splitlines()[-1])

    return run


@pytest.fixture
def terminal(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Command:
    """One command on the device of these settings; gives its JSON object."""

    def run(settings: DeviceSettings, *arguments: str) -> Any:
        for name, value in {
            "HOME": str(settings.home),
            "SERVER": str(settings.server),
            "ENROLMENT_CODE": settings.enrolment_code,
            "RELEASE_KEY": settings.release_keys[0],
            "RELEASE_ROOT": str(settings.home.parent / "root.json"),
        }.items():
            monkeypatch.setenv(f"PROJECTONE_{name}", value)
        capsys.readouterr()
        code = device_main([*arguments, "--json"])
        told = capsys.readouterr()
        assert code == 0, told.err
        return json.loads(told.out)

    return run


class Drawn:
    """Names that chance gives, the same in every run: a snapshot is in the order of its samples' names."""

    def __init__(self, seed: int) -> None:
        self._chance = random.Random(seed)

    def uuid4(self) -> uuid.UUID:
        return uuid.UUID(int=self._chance.getrandbits(128), version=4)

    def token_hex(self, n_bytes: int) -> str:
        return self._chance.randbytes(n_bytes).hex()


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> list[timedelta]:
    """How much later it is than it is, for the devices and for the hand on the brake."""
    later = [timedelta(0)]

    def now() -> datetime:
        return datetime.now(UTC) + later[0]

    monkeypatch.setattr("projectone.device.wiring._now", now)
    monkeypatch.setitem(RolloutWatch.__init__.__kwdefaults__, "clock", now)
    monkeypatch.setattr("projectone.device.assistant.correcting.uuid", Drawn(3))
    monkeypatch.setattr("projectone.device.keys.secrets", Drawn(4))
    return later


@dataclass(frozen=True)
class Told:
    """What a server begins with, and what people say to their devices.

    Attributes:
        lessons: None for those of chance.
        said: Sentences and what is meant by them.
        without: The gate's questions that are left out.
    """

    lessons: Lessons | None
    said: list[tuple[str, str | None]]
    without: str = ""


@contextmanager
def released(tmp_path: Path, told: Told, server: Command, monkeypatch: pytest.MonkeyPatch) -> Iterator[IntentHome]:
    """A server with a first classifier, which knows little."""
    (tmp_path / "hub").mkdir()
    with running_hub(tmp_path / "hub") as hub:
        made = IntentHome(
            tmp_path / "server",
            hub_url=hub.url,
            hub_token=hub.writer,
            APPROVAL="never",
            ROLLOUT="0:4,100",
            lessons=told.lessons,
            INTENTS_GATE_WITHOUT=told.without,
        )
        for name, value in made.variables.items():
            monkeypatch.setenv(name, value)
        server("init")
        server("publish", *FAMILY, "--model", str(made.first), "--version", "1.0.0")
        yield made
        made.close()


def correct(client: DeviceClient, sentences: list[tuple[str, str | None]]) -> int:
    """Ask about each, and say what was meant; gives how many the classifier had not understood."""
    n_wrong = 0
    for text, meant in sentences:
        asked = client.assist.understand(text).asked
        n_wrong += asked.label != meant
        client.assist.correct(asked.ask_id, meant)
    return n_wrong


def half_wrong(classifier: Path, sentences: list[tuple[str, str | None]]) -> list[tuple[str, str | None]]:
    """As much that was misunderstood as was understood: people put the one right and confirm the other."""
    judged = load_classifier(classifier, numerics="int8").classify([text for text, _ in sentences])
    pairs = list(zip(sentences, judged, strict=True))
    wrong = [sentence for sentence, made in pairs if made.label != sentence[1]]
    right = [sentence for sentence, made in pairs if made.label == sentence[1]]
    both = [*wrong[: N_DEVICES * N_EACH], *right[: N_DEVICES * N_EACH]]
    random.Random(5).shuffle(both)
    return both


def n_right(client: DeviceClient, sentences: list[tuple[str, str | None]]) -> int:
    judged = client.assist.classify([text for text, _ in sentences])
    return sum(item.label == meant for item, (_, meant) in zip(judged, sentences, strict=True))


@pytest.fixture(params=["an encoder of chance", "MiniLM and CLINC150"])
def told(request: pytest.FixtureRequest) -> Told:
    if request.param == "an encoder of chance":
        # In a language of fourteen words all that lies outside is one unknown word, said three to five times.
        return Told(None, list(dict.fromkeys(examples(40, seed=21))), without="out-of-scope")
    return Told(*real_lessons(request.getfixturevalue("real_data")))


def test_fifty_corrected_intents_come_back_as_a_better_classifier_and_a_sabotaged_one_does_not(
    told: Told,
    server: Command,
    terminal: Command,
    clock: list[timedelta],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    with ExitStack() as stack:
        home = stack.enter_context(released(tmp_path, told, server, monkeypatch))
        sentences = told.said if told.lessons is None else half_wrong(home.first, told.said)
        said = [sentences[number :: 2 * N_DEVICES][:N_EACH] for number in range(2 * N_DEVICES)]
        facts = server("init")
        (tmp_path / "root.json").write_bytes(Path(facts["release_root_file"]).read_bytes())
        api = stack.enter_context(running(home.folder, "--only", "api"))
        settings = [
            DeviceSettings(
                home=tmp_path / f"device{number}",
                server=api.api,
                enrolment_code=api.enrolment_code,
                release_keys=(facts["release_public_key"],),
                release_root=(tmp_path / "root.json").read_bytes(),
            )
            for number in range(N_DEVICES)
        ]

        # One device by its commands, the others in the same way without a terminal.
        first = settings[0]
        assert terminal(first, "update", *FAMILY)["to_version"] == "1.0.0"
        terminal(first, "consent", "grant", "intents", "--yes")
        for text, meant in said[0]:
            assert terminal(first, "ask", text)["model_version"] == "1.0.0"
            assert terminal(first, "ask", "correct", "last", "--label", str(meant))["is_queued"]
        assert terminal(first, "sync")["sent"] == N_EACH
        assert {item["kind"] for item in terminal(first, "sent")["sent"]} == {"intent"}
        clients, n_wrong = {0: stack.enter_context(open_client(first))}, 0
        for number, chosen in list(enumerate(settings))[1:]:
            client = clients[number] = stack.enter_context(open_client(chosen))
            assert client.update(family="intents").to_version == "1.0.0"
            client.grant("intents", "cli")
            n_wrong += correct(client, said[number])
            assert client.sync().sent == N_EACH
        assert n_wrong > 0
        rows = home.catalog.living(family="intents")
        assert (len(rows), {row.kind for row in rows}) == (N_DEVICES * N_EACH, {"intent"})

        fresh = [sentence for chosen in said[N_DEVICES:] for sentence in chosen]  # nobody corrected these
        before = n_right(clients[2], fresh)

        # The trainer, the gate and the hub.
        server("run", *FAMILY)
        (deployed,) = server("work", "--once")["runs"]
        assert (deployed["state"], deployed["version"]) == ("succeeded", "1.1.0"), json.dumps(deployed)
        assert deployed["verdict"]["gain_low"] > 0

        # It goes out in stages: those who ask first, then everybody.
        assert clients[1].update(family="intents").status == "waiting"
        canary = clients[0].update(family="intents", is_early=True)
        assert (canary.status, canary.to_version) == ("updated", "1.1.0")
        (compared,) = clients[0].adoptions["intents"].comparisons()
        assert compared.wrong_after < compared.wrong_before
        clock[0] = timedelta(hours=5)
        server("rollout", "advance", *FAMILY)
        for client in list(clients.values())[1:]:
            assert client.update(family="intents").to_version == "1.1.0"
        assert clients[0].update(family="intents").status == "current"
        assert n_right(clients[2], fresh) > before
        assert clients[2].status().model_version is None  # speech has nothing to do with it

        # A sabotaged one that went past the gate by hand is stopped by the first device that asks for it.
        honest = ModelFolders(home.folder / "models").find(deployed["candidate_sha256"])
        SABOTAGES["its labels are permuted"][1](honest, tmp_path / "sabotaged")
        server("publish", *FAMILY, "--model", str(tmp_path / "sabotaged"), "--version", "1.2.0")
        refused = clients[4].update(family="intents", is_early=True)
        assert refused.status == "rejected", refused
        assert "of your own sentences it gets" in str(refused.reason)
        assert clients[4].assist.understand(fresh[0][0]).asked.model_version == "1.1.0"
        assert clients[3].update(family="intents").status == "waiting"
        server("rollout", "halt", *FAMILY)
        assert clients[3].update(family="intents", is_early=True).status == "halted"

        # What a person takes back is gone from the server.
        clients[2].withdraw("intents")
        clients[2].sync()
        left = home.catalog.living(family="intents")
        assert len(left) == (N_DEVICES - 1) * N_EACH
        assert clients[2]._rooms.keys.contributor_id not in {row.contributor_id for row in left}
