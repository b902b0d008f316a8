"""Nine kinds of trouble between publisher and Hub: one commit and its tag, or a clean no; never another tag.

Two attempts follow the first one, as the worker would make them. `PROJECTONE_FULL_HUB=1` takes every kind ten times,
at other requests each time, instead of once.
"""

from __future__ import annotations

import hashlib
import itertools
import os
import random
from collections.abc import Iterator
from pathlib import Path
from typing import get_args

import pytest
from huggingface_hub import CommitOperationAdd
from tests.conformance.hub.proxy import Proxy, Trouble, WireFault
from tests.conformance.hub.running import Hub, running_hub
from tests.conformance.hub.test_publisher import STEPS

from projectone.errors import ProjectOneError, RegistryError, TransportError
from projectone.server.hubd import issue_token
from projectone.server.registry.hub import HubRegistry
from projectone.server.registry.protocol import PublishedModel
from projectone.server.registry.provenance import make_provenance_key, open_provenance

N_TRIALS = 10 if os.environ.get("PROJECTONE_FULL_HUB") else 1
WEIGHTS = hashlib.sha256(b"faults").digest() * 1000
NUMBERS = itertools.count()
KINDS = (*(kind for kind in get_args(Trouble) if kind != "meanwhile"), "412", "token expired")


@pytest.fixture(scope="module")
def between(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Hub, Proxy]]:
    with (
        Proxy().running() as proxy,
        running_hub(tmp_path_factory.mktemp("faults"), "multipart", public_url=proxy.url, part_bytes=20_000) as hub,
    ):
        proxy.upstream = hub.url
        yield hub, proxy


@pytest.fixture(autouse=True)
def _no_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("huggingface_hub.utils._http.time.sleep", lambda _: None)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    model = tmp_path / "models" / "model"
    model.mkdir(parents=True)
    (model / "config.json").write_text('{"model_type": "whisper"}')
    (model / "model.safetensors").write_bytes(WEIGHTS)
    return model


def step_of(kind: str, draw: random.Random, number: int) -> tuple[str, str]:
    if kind == "cut body":
        return STEPS["upload" if number % 2 == 0 else "commit"]
    if kind == "412" or number % 2 == 0:
        return STEPS["commit"]
    return STEPS[draw.choice(sorted(STEPS))]


def fault_of(kind: str, hub: Hub, repo_id: str, token: str, step: tuple[str, str]) -> WireFault:
    if kind == "412":

        def overtake() -> None:
            # Whoever does that is no publisher of ours: they leave a file that the next attempt has to take away.
            operation = CommitOperationAdd("others.txt", b"1")
            hub.client().create_commit(repo_id, [operation], commit_message="Others were first")

        return WireFault("meanwhile", *step, act=overtake)
    if kind == "token expired":
        return WireFault("meanwhile", *step, act=lambda: expire(hub, token))
    return WireFault(kind, *step)  # type: ignore[arg-type]


def expire(hub: Hub, bearer: str) -> None:
    with hub.store.writing() as rows:
        assert rows.end_tokens(hashlib.sha256(bearer.encode()).hexdigest()[:12], 0.0)


def published(hub: Hub, repo_id: str) -> tuple[list[str], dict[str, str]]:
    """Commits that say "Publish", newest first, and tags with the commit each is on."""
    commits = [item.commit_id for item in hub.client().list_repo_commits(repo_id) if item.title.startswith("Publish")]
    return commits, {tag.name: tag.target_commit for tag in hub.client().list_repo_refs(repo_id).tags}


def attempts(hub: Hub, proxy: Proxy, repo_id: str, token: str, folder: Path) -> PublishedModel | None:
    for _ in range(3):
        try:
            registry = HubRegistry(proxy.url, token, repo_id)
            return registry.publish(folder, card="# A model\n", run_id="run-1", version="1.0.0")
        except TransportError:
            continue  # whether it landed is found out by the next attempt
        except RegistryError:
            token = issue_token(hub.store, "acme", "write", ["acme"])  # the operator renews it, and asks again
    return None


@pytest.mark.parametrize("kind", KINDS)
def test_one_commit_and_its_tag_whatever_the_wire_does(
    between: tuple[Hub, Proxy], folder: Path, tmp_path: Path, kind: str
) -> None:
    hub, proxy = between
    draw = random.Random(kind)
    for number in range(N_TRIALS):
        repo_id = f"acme/fault-{next(NUMBERS)}"
        hub.client().create_repo(repo_id)
        (folder / "model.safetensors").write_bytes(WEIGHTS + repo_id.encode())
        token = issue_token(hub.store, "acme", "write", ["acme"])
        fault = fault_of(kind, hub, repo_id, token, step_of(kind, draw, number))
        proxy.faults = [fault]
        model = attempts(hub, proxy, repo_id, token, folder)
        assert fault.times == 0, "the fault was not met"
        commits, tags = published(hub, repo_id)
        assert model is not None
        assert (commits, tags) == ([model.commit], {"v1.0.0": model.commit})
        HubRegistry(hub.url, hub.reader, repo_id).fetch("v1.0.0", tmp_path / repo_id, expected=model.files)


def test_trouble_that_does_not_end_leaves_no_tag(between: tuple[Hub, Proxy], folder: Path) -> None:
    hub, proxy = between
    for kind in ("5xx before", "reset after"):
        repo_id = f"acme/fault-{next(NUMBERS)}"
        hub.client().create_repo(repo_id)
        proxy.faults = [WireFault(kind, *STEPS["check"], times=1000)]  # type: ignore[arg-type]
        assert attempts(hub, proxy, repo_id, hub.writer, folder) is None
        commits, tags = published(hub, repo_id)
        assert (len(commits), tags) == (1, {})


def test_a_publisher_that_does_not_look_first_commits_twice(
    between: tuple[Hub, Proxy], folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The control: the answer to the commit is lost, and nobody asks the history."""
    pytest.importorskip("model_signing", reason="needs the extra `provenance`: the same bytes again are no commit")
    hub, proxy = between
    make_provenance_key(tmp_path)
    for looks in (True, False):
        repo_id = f"acme/fault-{next(NUMBERS)}"
        registry = HubRegistry(proxy.url, hub.writer, repo_id, provenance=open_provenance(tmp_path))
        if not looks:
            monkeypatch.setattr(HubRegistry, "_commit_of_run", lambda self, run_id: None)
        proxy.faults = [WireFault("reset after", *STEPS["commit"])]
        for _ in range(2):
            try:
                registry.publish(folder, card="# A model\n", run_id="run-1", version="1.0.0")
            except ProjectOneError:
                continue
        commits, _ = published(hub, repo_id)
        assert len(commits) == (1 if looks else 2)
