"""The worker is killed with SIGKILL in each node and between any two effects: the run ends as a whole one does."""

from __future__ import annotations

import json
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from huggingface_hub import constants
from sqlalchemy import update
from tests.conformance.hub.running import Hub, running_hub
from tests.fakes.trainer_home import TrainerHome
from tests.faults.pipeline_driver import REFUSED, KillAt, PauseAt, paused, run

from projectone.server.corpus.datasets import read_dataset
from projectone.server.database import writing
from projectone.server.delivery.ledger import Ledger
from projectone.server.leases import LEASES
from projectone.server.notifications.outbox import NOTIFICATIONS
from projectone.server.runs import Runs
from projectone.storage.blobs import FileBlobs

pytestmark = [pytest.mark.slow, pytest.mark.filterwarnings("ignore:Use 'content=:DeprecationWarning")]

# Each list is one run that is killed at each of these moments in turn, and then left alone.
BETTER = {
    "ingestion": ["before enter data_ingestion_and_validation", "after waiting", "after mark", "after seal"],
    "fine-tuning": ["after enter model_fine_tuning", "after progress", "after train"],
    "evaluation": ["after enter model_evaluation", "after judge"],
    "on the hub": ["before hub commit", "after hub commit", "before hub tag", "after hub tag"],
    "deployment": ["after enter deploy_model", "after register", "after package", "before release"],
    "after the release": ["after release", "after notify"],
    "the end": ["before finish", "after finish"],
}
WORSE = ["after enter quarantine_and_notify", "after record", "after notify", "before finish"]


@pytest.fixture(scope="module")
def hub(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Hub]:
    with running_hub(tmp_path_factory.mktemp("hub")) as running:
        yield running


@pytest.fixture
def make_home(tmp_path: Path, hub: Hub, monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    monkeypatch.setattr(constants, "HF_HUB_DISABLE_XET", True)
    homes: list[TrainerHome] = []

    def make(name: str, **variables: str) -> TrainerHome:
        repo = f"acme/{tmp_path.name}-{name}".replace("_", "-")[:60].rstrip("-.")
        home = TrainerHome(tmp_path / name, hub_url=hub.url, hub_token=hub.writer, HUB_REPO=repo, **variables)
        home.send_many(6, seed=3)
        home.send("person0", "silent", "red", np.zeros(8000, dtype=np.float32))
        Runs(home.engine).request("on-demand")
        homes.append(home)
        return home

    yield make
    for home in homes:
        home.close()


def run_killed(home: TrainerHome, kill: KillAt, **options: Any) -> int:
    """Runs the worker to its kill. Its lease then ends at once: how long that takes is another test's business."""
    code = run(home.settings, kill, **options)
    end_lease(home)
    return code


def end_lease(home: TrainerHome) -> None:
    with writing(home.engine) as connection:
        connection.execute(update(LEASES).values(expires_at_s=0.0))


def outcome(home: TrainerHome, hub: Hub) -> dict[str, Any]:
    """Everything a run leaves behind, without ids and times, which differ from run to run."""
    client = hub.client()
    (row,) = Runs(home.engine).newest()
    repo = home.settings.hub_repo
    releases = [release.manifest for release in Ledger(home.engine).releases()]
    with home.engine.connect() as connection:
        keys = [
            key.replace(row.run_id, "RUN")
            for (key,) in connection.execute(NOTIFICATIONS.select().with_only_columns(NOTIFICATIONS.c.key))
        ]
    is_there = client.repo_exists(repo)
    items = read_dataset(home.catalog, home.blobs, row.dataset_sha256) if row.dataset_sha256 else []
    quarantined = home.folder / "quarantine" / row.run_id
    return {
        "state": row.state,
        "counts": home.catalog.counts(),
        "n": (row.n_items, row.n_new, row.n_discarded),
        # Two homes seal the same samples to different bytes: what is in their datasets is the same.
        "dataset": [(item.sample_id, item.text, item.split) for item in items],
        "model": row.candidate_sha256,
        "verdict": row.verdict,
        "version": row.version,
        "commits": [commit.title for commit in client.list_repo_commits(repo)] if is_there else [],
        "tags": [tag.name for tag in client.list_repo_refs(repo).tags] if is_there else [],
        "tag_is_released": [
            client.repo_info(repo, revision=f"v{manifest.version}").sha == manifest.commit for manifest in releases
        ],
        "releases": [(m.seq, m.version, m.weights_sha256, m.package_sha256) for m in releases],
        "packages": sorted(FileBlobs(home.folder / "packages").keys()),
        "models": sorted(path.name for path in (home.folder / "models").iterdir()),
        "messages": sorted(keys),
        "quarantine": sorted(path.relative_to(quarantined).as_posix() for path in quarantined.rglob("*")),
    }


@pytest.fixture(scope="module")
def whole() -> dict[bool, dict[str, Any]]:
    return {}


def expected(whole: dict[bool, dict[str, Any]], make_home: Any, hub: Hub, *, is_better: bool) -> dict[str, Any]:
    """What an uninterrupted run leaves; made once."""
    if is_better not in whole:
        home = make_home("whole")
        assert run(home.settings, is_better=is_better) == 0
        whole[is_better] = outcome(home, hub)
    return whole[is_better]


@pytest.mark.parametrize("where", BETTER)
def test_a_killed_run_ends_as_an_uninterrupted_one(
    where: str, make_home: Any, hub: Hub, whole: dict[bool, dict[str, Any]]
) -> None:
    home = make_home("killed")
    for moment in BETTER[where]:
        assert run_killed(home, KillAt(moment)) == -signal.SIGKILL, moment
    assert run(home.settings) == 0
    ended = outcome(home, hub)
    assert ended == expected(whole, make_home, hub, is_better=True)
    assert ended["state"] == "succeeded"
    assert ended["commits"] == ["Publish v1.0.0", "Initial commit"]
    assert ended["tags"] == ["v1.0.0"]
    assert ended["tag_is_released"] == [True]
    assert len(ended["releases"]) == len(ended["messages"]) == 1


def test_a_killed_quarantine_ends_as_an_uninterrupted_one(
    make_home: Any, hub: Hub, whole: dict[bool, dict[str, Any]]
) -> None:
    home = make_home("killed")
    for moment in WORSE:
        assert run_killed(home, KillAt(moment), is_better=False) == -signal.SIGKILL, moment
    assert run(home.settings, is_better=False) == 0
    ended = outcome(home, hub)
    assert ended == expected(whole, make_home, hub, is_better=False)
    assert (ended["state"], ended["releases"], ended["commits"]) == ("quarantined", [], [])
    assert ended["counts"]["quarantined"] == 6
    assert {"model/model.safetensors", "dataset.json", "train.jsonl"} <= set(ended["quarantine"])


def test_a_run_survives_a_kill_at_every_write_of_its_memory(
    make_home: Any, hub: Hub, whole: dict[bool, dict[str, Any]]
) -> None:
    home = make_home("killed")
    moments = {"before checkpoint": 2, "before node result": 1, "after node result": 1, "after checkpoint": 1}
    for moment, nth in moments.items():
        assert run_killed(home, KillAt(moment, nth)) == -signal.SIGKILL, moment
    assert run(home.settings) == 0
    assert outcome(home, hub) == expected(whole, make_home, hub, is_better=True)


def test_training_goes_on_from_its_last_checkpoint(make_home: Any) -> None:
    home = make_home("killed")
    assert run_killed(home, KillAt("after progress", 4)) == -signal.SIGKILL
    assert run(home.settings) == 0
    (row,) = Runs(home.engine).newest()
    log = [json.loads(line) for line in (home.folder / str(row.log_path)).read_text().splitlines()]
    assert [event["step"] for event in log if event["event"] == "step"] == [1, 2, 3, 4, 5, 6]
    assert [event["step"] for event in log if event["event"] == "begun"] == [0, 4]


def test_a_second_worker_is_refused_while_the_first_one_works(make_home: Any) -> None:
    home = make_home("shared")
    with paused(home.settings, PauseAt("after progress", is_asleep=False)) as go_on:
        assert run(home.settings) == REFUSED
        assert go_on() == 0
    (row,) = Runs(home.engine).newest()
    assert (row.state, row.attempts) == ("succeeded", 1)


@pytest.mark.parametrize("moment", ["after progress", "before release", "before checkpoint", "before finish"])
def test_a_worker_that_slept_past_its_lease_writes_nothing_more(moment: str, make_home: Any, hub: Hub) -> None:
    home = make_home("paused")
    with paused(home.settings, PauseAt(moment, is_asleep=True)) as wake:
        end_lease(home)
        assert run(home.settings) == 0
        ended = outcome(home, hub)
        assert wake() == REFUSED
    assert ended["state"] == "succeeded"
    assert outcome(home, hub) == ended


def test_control_without_one_release_for_each_run_a_killed_run_releases_twice(make_home: Any, hub: Hub) -> None:
    home = make_home("control")
    off = {"defence_off": "one release for each run"}
    assert run_killed(home, KillAt("after release"), **off) == -signal.SIGKILL
    assert run(home.settings, **off) == 0
    assert [number for number, *_ in outcome(home, hub)["releases"]] == [1, 2]


def test_control_without_the_fence_a_worker_that_slept_goes_on_writing(make_home: Any) -> None:
    home = make_home("control")
    with paused(home.settings, PauseAt("after progress", is_asleep=True), defence_off="fence") as wake:
        end_lease(home)
        assert run(home.settings) == 0
        assert wake() != REFUSED
