"""A model reaches the Hub once: one commit, one tag, whatever fails on the way; and comes back as it left."""

from __future__ import annotations

import hashlib
import itertools
import os
import signal
import subprocess
import sys
import textwrap
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from huggingface_hub import CommitOperationAdd
from tests.conformance.hub.faulty import KINDS, Fault, FaultyHub, Kind
from tests.conformance.hub.running import Hub, running_hub
from tests.conftest import REPOSITORY

from projectone.errors import (
    ArtifactError,
    DigestMismatchError,
    RegistryError,
    StorageError,
    TransportError,
)
from projectone.server.registry.hub import HubRegistry
from projectone.server.registry.protocol import PublishedModel

WEIGHTS = hashlib.sha256(b"weights").digest() * 5000
N_PUBLISHERS = 20 if os.environ.get("PROJECTONE_FULL_HUB") else 6
REPOS = (f"acme/published-{number}" for number in itertools.count())
STEPS = {
    "create": ("POST", r"/repos/create$"),
    "read the head": ("GET", r"/api/models/acme/[^/]+$"),
    "read the tags": ("GET", r"/refs$"),
    "read the history": ("GET", r"/commits/main$"),
    "ask how to upload": ("POST", r"/preupload/"),
    "ask where to upload": ("POST", r"/objects/batch$"),
    "upload": ("PUT", r"/api/uploads/"),
    "verify": ("POST", r"/lfs/verify$"),
    "commit": ("POST", r"/commit/main$"),
    "check": ("GET", r"/revision/[0-9a-f]{40}$"),
    "tag": ("POST", r"/tag/"),
}


@pytest.fixture(params=("multipart", "redirect"), scope="module")
def hub(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Hub]:
    with running_hub(tmp_path_factory.mktemp("hub"), request.param) as running:
        yield running


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    model = tmp_path / "model"
    model.mkdir()
    (model / "model.safetensors").write_bytes(WEIGHTS)
    (model / "config.json").write_text('{"model_type": "whisper"}')
    return model


@pytest.fixture
def registry(hub: Hub) -> HubRegistry:
    return HubRegistry(hub.url, hub.writer, next(REPOS))


@pytest.fixture(scope="module")
def faulty(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Hub, FaultyHub]]:
    trouble = FaultyHub()
    with running_hub(tmp_path_factory.mktemp("faulty"), wrap=trouble.around) as running:
        yield running, trouble


def publish(registry: HubRegistry, folder: Path, run_id: str = "run-1", version: str = "1.0.0") -> PublishedModel:
    return registry.publish(folder, card="# A model\n", run_id=run_id, version=version)


def titles(hub: Hub, repo_id: str) -> list[str]:
    return [commit.title for commit in hub.client().list_repo_commits(repo_id)]


def tags(hub: Hub, repo_id: str) -> dict[str, str]:
    return {tag.name: tag.target_commit for tag in hub.client().list_repo_refs(repo_id).tags}


def test_a_retracted_model_loses_its_tag_and_its_version_is_free_again(registry: HubRegistry, folder: Path) -> None:
    assert registry.retract(run_id="run-1", version="1.0.0") is None  # there is no repository yet
    first = publish(registry, folder)
    assert registry.retract(run_id="run-2", version="1.0.0") is None
    assert registry.retract(run_id="run-1", version="1.0.0") == first.commit
    assert registry.list_models() == []
    (folder / "model.safetensors").write_bytes(WEIGHTS[::-1])
    second = publish(registry, folder, "run-2")
    assert (second.tag, second.commit != first.commit) == (first.tag, True)
    assert registry.retract(run_id="run-1", version="1.0.0") == first.commit  # again: the tag is another run's by now
    assert [model.commit for model in registry.list_models()] == [second.commit]


def test_a_model_is_one_private_commit_with_card_manifest_and_tag(
    hub: Hub, registry: HubRegistry, folder: Path
) -> None:
    model = publish(registry, folder)
    assert titles(hub, registry.repo_id) == ["Publish v1.0.0", "Initial commit"]
    assert tags(hub, registry.repo_id) == {"v1.0.0": model.commit}
    assert hub.client().model_info(registry.repo_id).private
    assert set(hub.client().list_repo_files(registry.repo_id)) == {
        ".gitattributes", "README.md", "config.json", "manifest.json", "model.safetensors",
    }  # fmt: skip
    assert model.weights_sha256 == hashlib.sha256(WEIGHTS).hexdigest()
    assert model.ref().version == "1.0.0"


def test_publishing_the_same_run_again_changes_nothing(hub: Hub, registry: HubRegistry, folder: Path) -> None:
    assert publish(registry, folder) == publish(registry, folder)
    assert titles(hub, registry.repo_id) == ["Publish v1.0.0", "Initial commit"]


def test_the_next_version_replaces_all_files_and_both_stay_reachable(
    hub: Hub, registry: HubRegistry, folder: Path, tmp_path: Path
) -> None:
    first = publish(registry, folder)
    (folder / "config.json").rename(folder / "settings.json")
    (folder / "model.safetensors").write_bytes(WEIGHTS[::-1])
    second = publish(registry, folder, "run-2", "1.10.0")
    (folder / "model.safetensors").write_bytes(WEIGHTS[1:])
    third = publish(registry, folder, "run-3", "1.9.0")
    assert "config.json" not in hub.client().list_repo_files(registry.repo_id)
    assert registry.list_models() == [first, third, second]
    assert registry.current() == second
    assert publish(registry, folder, "run-3", "1.9.0") == third
    assert registry.fetch("v1.0.0", tmp_path / "old", expected=first.files) == first
    assert (tmp_path / "old" / "config.json").is_file()


def test_a_fetched_model_is_the_published_one_and_nothing_else(
    registry: HubRegistry, folder: Path, tmp_path: Path
) -> None:
    model = publish(registry, folder)
    assert registry.fetch("v1.0.0", tmp_path / "fetched", expected=model.files) == model
    names = {path.relative_to(tmp_path / "fetched").as_posix() for path in (tmp_path / "fetched").rglob("*")}
    assert names == {"README.md", "config.json", "manifest.json", "model.safetensors"}
    assert (tmp_path / "fetched" / "model.safetensors").read_bytes() == WEIGHTS
    with pytest.raises(StorageError, match="exists already"):
        registry.fetch("v1.0.0", tmp_path / "fetched")


def test_a_changed_byte_in_the_hub_is_refused_and_leaves_nothing(
    hub: Hub, registry: HubRegistry, folder: Path, tmp_path: Path
) -> None:
    model = publish(registry, folder)
    blob = hub.store.blobs.path_of(model.weights_sha256)
    try:
        blob.write_bytes(b"\x00" + WEIGHTS[1:])  # the same length: the client alone would accept it
        with pytest.raises(DigestMismatchError, match=r"model\.safetensors"):
            registry.fetch("v1.0.0", tmp_path / "fetched")
    finally:
        blob.write_bytes(WEIGHTS)
    assert not (tmp_path / "fetched").exists()
    assert [path for path in tmp_path.iterdir() if path.name.startswith(".tmp")] == []


def test_a_hub_that_rewrites_a_release_is_refused_by_the_digests_that_were_kept(
    hub: Hub, registry: HubRegistry, folder: Path, tmp_path: Path
) -> None:
    model = publish(registry, folder)
    (folder / "model.safetensors").write_bytes(WEIGHTS[::-1])
    forged = publish(HubRegistry(hub.url, hub.writer, next(REPOS)), folder)
    api = hub.client()
    for path in ("model.safetensors", "manifest.json"):
        content = Path(api.hf_hub_download(forged.repo_id, path)).read_bytes()
        api.create_commit(registry.repo_id, [CommitOperationAdd(path, content)], commit_message="Forged")
    api.delete_tag(registry.repo_id, tag="v1.0.0")
    api.create_tag(registry.repo_id, tag="v1.0.0")
    assert registry.fetch("v1.0.0", tmp_path / "believed").commit != model.commit  # the manifest alone is not proof
    with pytest.raises(DigestMismatchError):
        registry.fetch("v1.0.0", tmp_path / "checked", expected=model.files)


def test_a_file_too_many_or_too_few_is_refused(hub: Hub, registry: HubRegistry, folder: Path, tmp_path: Path) -> None:
    publish(registry, folder)
    api = hub.client()
    api.create_commit(registry.repo_id, [CommitOperationAdd("extra.py", b"1")], commit_message="Slip in a file")
    with pytest.raises(ArtifactError, match=r"extra\.py"):
        registry.fetch("main", tmp_path / "fetched")
    api.delete_files(registry.repo_id, ["extra.py", "config.json"])
    with pytest.raises(ArtifactError, match=r"config\.json"):
        registry.fetch("main", tmp_path / "fetched")


def test_a_tag_on_another_commit_is_an_alarm_and_nothing_is_published(
    hub: Hub, registry: HubRegistry, folder: Path
) -> None:
    hub.client().create_repo(registry.repo_id)
    hub.client().create_tag(registry.repo_id, tag="v1.0.0")
    with pytest.raises(RegistryError, match=r"tag v1\.0\.0"):
        publish(registry, folder)
    assert titles(hub, registry.repo_id) == ["Initial commit"]


def test_the_same_run_with_other_bytes_is_an_alarm(hub: Hub, registry: HubRegistry, folder: Path) -> None:
    publish(registry, folder)
    (folder / "model.safetensors").write_bytes(WEIGHTS[::-1])
    with pytest.raises(RegistryError, match="not what was sent"):
        publish(registry, folder)
    assert titles(hub, registry.repo_id) == ["Publish v1.0.0", "Initial commit"]


def test_a_public_repo_of_the_same_name_is_refused(hub: Hub, registry: HubRegistry, folder: Path) -> None:
    hub.client().create_repo(registry.repo_id, private=False)
    with pytest.raises(RegistryError, match="private"):
        publish(registry, folder)


def test_a_base_of_others_needs_no_manifest_and_brings_only_what_is_read(
    hub: Hub, registry: HubRegistry, tmp_path: Path
) -> None:
    api = hub.client()
    api.create_repo(registry.repo_id)
    operations = [
        CommitOperationAdd(name, content)
        for name, content in {
            "model.safetensors": WEIGHTS,
            "config.json": b"{}",
            "pytorch_model.bin": b"pickle",
        }.items()
    ]
    commit = api.create_commit(registry.repo_id, operations, commit_message="Base").oid
    assert registry.fetch_foreign(None, tmp_path / "base") == commit
    assert {path.name for path in (tmp_path / "base").iterdir()} == {"model.safetensors", "config.json"}
    with pytest.raises(ArtifactError, match=r"manifest\.json"):
        registry.fetch("main", tmp_path / "as-ours")


def test_an_empty_registry_has_no_current_model(registry: HubRegistry) -> None:
    assert registry.current() is None
    assert registry.list_models() == []


def test_a_hub_that_is_away_says_try_again_and_a_bad_token_does_not(
    hub: Hub, folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("huggingface_hub.utils._http.time.sleep", lambda _: None)
    with pytest.raises(TransportError):
        publish(HubRegistry("http://127.0.0.1:9", hub.writer, "acme/x"), folder)
    with pytest.raises(TransportError):
        HubRegistry("http://127.0.0.1:9", hub.writer, "acme/x").fetch("v1.0.0", tmp_path / "x")
    with pytest.raises(RegistryError, match="Invalid credentials"):
        publish(HubRegistry(hub.url, "hf_wrong", "acme/x"), folder)
    with pytest.raises(RegistryError):
        publish(HubRegistry(hub.url, hub.reader, next(REPOS)), folder)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("step", STEPS)
def test_after_any_fault_a_repeated_publish_gives_one_commit_and_one_tag(
    faulty: tuple[Hub, FaultyHub], folder: Path, step: str, kind: Kind, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("huggingface_hub.utils._http.time.sleep", lambda _: None)
    hub, trouble = faulty
    registry = HubRegistry(hub.url, hub.writer, next(REPOS))
    # Another file each time: a large file that the repository has is not uploaded again.
    (folder / "model.safetensors").write_bytes(WEIGHTS + registry.repo_id.encode())
    fault = Fault(kind, *STEPS[step])
    trouble.faults = [fault]
    try:
        model = publish(registry, folder)
    except TransportError:
        model = publish(registry, folder)
    assert fault.times == 0, "the fault was not met"
    assert titles(hub, registry.repo_id) == ["Publish v1.0.0", "Initial commit"]
    assert tags(hub, registry.repo_id) == {"v1.0.0": model.commit}


def test_a_commit_that_differs_from_what_was_sent_is_never_tagged(faulty: tuple[Hub, FaultyHub], folder: Path) -> None:
    hub, trouble = faulty
    registry = HubRegistry(hub.url, hub.writer, next(REPOS))
    ours, other = (hashlib.sha256(content).hexdigest().encode() for content in (WEIGHTS, b"other"))
    trouble.faults, trouble.rewrite = [], (r"/revision/", lambda body: body.replace(ours, other))
    try:
        with pytest.raises(RegistryError, match="not what was sent"):
            publish(registry, folder)
    finally:
        trouble.rewrite = None
    assert tags(hub, registry.repo_id) == {}


def test_a_publisher_killed_between_commit_and_tag_is_finished_by_the_next(
    faulty: tuple[Hub, FaultyHub], folder: Path
) -> None:
    hub, trouble = faulty
    trouble.faults = []
    registry = HubRegistry(hub.url, hub.writer, next(REPOS))
    script = f"""
        import os, signal, warnings
        from pathlib import Path
        from projectone.server.registry.hub import HubRegistry
        HubRegistry._tag = lambda *_: os.kill(os.getpid(), signal.SIGKILL)
        registry = HubRegistry({hub.url!r}, os.environ["TOKEN"], {registry.repo_id!r})
        registry.publish(Path({str(folder)!r}), card="# A model\\n", run_id="run-1", version="1.0.0")
    """
    environment = {**os.environ, "TOKEN": hub.writer, "PYTHONPATH": str(REPOSITORY / "src")}
    done = subprocess.run([sys.executable, "-c", textwrap.dedent(script)], env=environment, check=False)
    assert done.returncode == -signal.SIGKILL
    assert (titles(hub, registry.repo_id), tags(hub, registry.repo_id)) == (["Publish v1.0.0", "Initial commit"], {})
    model = publish(registry, folder)
    assert titles(hub, registry.repo_id) == ["Publish v1.0.0", "Initial commit"]
    assert tags(hub, registry.repo_id) == {"v1.0.0": model.commit}


def test_publishers_that_race_leave_one_commit_for_each_that_succeeded(
    faulty: tuple[Hub, FaultyHub], folder: Path
) -> None:
    hub, trouble = faulty
    trouble.faults = []
    repo_id = next(REPOS)
    done: list[PublishedModel] = []
    refused: list[BaseException] = []

    def race(number: int) -> None:
        registry = HubRegistry(hub.url, hub.writer, repo_id)
        try:
            done.append(publish(registry, folder, f"run-{number}", f"1.{number}.0"))
        except BaseException as error:
            refused.append(error)

    threads = [threading.Thread(target=race, args=(number,)) for number in range(N_PUBLISHERS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert done
    assert len(done) + len(refused) == N_PUBLISHERS
    assert [error for error in refused if not isinstance(error, RegistryError) or "moved main" not in str(error)] == []
    assert tags(hub, repo_id) == {model.tag: model.commit for model in done}
    assert sorted(titles(hub, repo_id)[:-1]) == sorted(f"Publish {model.tag}" for model in done)
