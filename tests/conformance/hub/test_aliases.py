"""Names that move by compare-and-swap, on a branch that any Hub keeps; and models that leave for good."""

from __future__ import annotations

import hashlib
import itertools
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from huggingface_hub import CommitOperationAdd
from tests.conformance.hub.running import Hub, running_hub

from projectone.errors import ArtifactError, RegistryError
from projectone.server.registry.aliases import (
    AliasedModel,
    AliasTable,
    HubAliases,
    aliased,
    as_released,
    nominated,
    without,
)
from projectone.server.registry.hub import HubRegistry
from projectone.server.registry.protocol import PublishedModel

WEIGHTS = hashlib.sha256(b"aliased").digest() * 1000
REPOS = (f"acme/aliased-{number}" for number in itertools.count())


@pytest.fixture(scope="module")
def hub(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Hub]:
    with running_hub(tmp_path_factory.mktemp("hub"), "in-process") as running:
        yield running


@pytest.fixture
def registry(hub: Hub) -> HubRegistry:
    return HubRegistry(hub.url, hub.writer, next(REPOS))


@pytest.fixture
def aliases(hub: Hub, registry: HubRegistry) -> HubAliases:
    return HubAliases(hub.url, hub.writer, registry.repo_id)


def handed_on(table: AliasTable, model: AliasedModel) -> AliasTable:
    """What depends on what was there: a lost update would show."""
    return AliasTable(production=model, previous=table.production)


def publish(registry: HubRegistry, tmp_path: Path, version: str) -> PublishedModel:
    folder = tmp_path / version
    folder.mkdir()
    (folder / "model.safetensors").write_bytes(WEIGHTS + version.encode() + registry.repo_id.encode())
    (folder / "shared.bin").write_bytes(WEIGHTS)
    return registry.publish(folder, card="# A model\n", run_id=f"run-{version}", version=version)


def test_the_names_move_together_and_the_history_says_why(
    hub: Hub, registry: HubRegistry, aliases: HubAliases, tmp_path: Path
) -> None:
    assert aliases.read() == AliasTable()
    first, second = (aliased(publish(registry, tmp_path, version)) for version in ("1.0.0", "1.1.0"))
    aliases.move(lambda table: as_released(table, [first]), "1.0.0 is released")
    aliases.move(lambda table: nominated(table, second), "1.1.0 is a candidate")
    assert aliases.read() == AliasTable(production=first, candidate=second)
    done = aliases.move(lambda table: as_released(table, [first, second]), "1.1.0 is released")
    assert done == aliases.read() == AliasTable(production=second, previous=first)
    api = hub.client()
    history = [commit.title for commit in api.list_repo_commits(registry.repo_id, revision="aliases")]
    assert history == ["1.1.0 is released", "1.1.0 is a candidate", "1.0.0 is released", "Initial commit"]
    assert set(api.list_repo_files(registry.repo_id, revision="aliases")) == {".gitattributes", "aliases.json"}
    assert api.model_info(registry.repo_id, revision="production").sha == second.commit
    assert api.model_info(registry.repo_id, revision="previous").sha == first.commit
    assert not api.revision_exists(registry.repo_id, "candidate")
    assert registry.fetch("production", tmp_path / "fetched").version == "1.1.0"
    head = api.model_info(registry.repo_id, revision="aliases").sha
    aliases.move(lambda table: as_released(table, [first, second]), "again")
    assert api.model_info(registry.repo_id, revision="aliases").sha == head, "nothing to move, no commit"


def test_of_many_who_move_at_once_none_is_lost(
    hub: Hub, registry: HubRegistry, aliases: HubAliases, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("projectone.server.registry.aliases._MAX_ATTEMPTS", 100)
    commit = publish(registry, tmp_path, "1.0.0").commit
    models = [AliasedModel(version=f"1.0.{number}", commit=commit, run_id=f"run-{number}") for number in range(8)]
    seen: list[AliasedModel | None] = []
    errors: list[BaseException] = []

    def move(model: AliasedModel) -> None:
        try:
            own = HubAliases(hub.url, hub.writer, registry.repo_id)
            seen.append(own.move(lambda table: handed_on(table, model), model.version).previous)
        except BaseException as error:
            errors.append(error)

    monkeypatch.setattr(HubAliases, "_followed", lambda self, table: table)
    threads = [threading.Thread(target=move, args=(model,)) for model in models]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert errors == []
    # Each was production once: what each found before itself are all of them but the last, and the beginning.
    last = aliases.read().production
    assert sorted(str(model) for model in seen) == sorted(str(model) for model in [*models, None] if model != last)


def test_a_release_of_the_same_commit_again_is_not_its_own_predecessor() -> None:
    first, second = (AliasedModel(version=f"1.{n}.0", commit=f"{n}" * 40, run_id=f"r{n}") for n in (1, 2))
    again = first.model_copy(update={"run_id": "again"})
    table = AliasTable(candidate=second)
    assert as_released(table, []) == table
    assert as_released(table, [first]) == AliasTable(production=first, candidate=second)
    assert as_released(table, [first, second, again]) == AliasTable(production=again, previous=second)
    assert as_released(table, [second, first, again]) == AliasTable(production=again, previous=second)
    assert nominated(AliasTable(production=first), first) == AliasTable(production=first)


def test_a_branch_that_somebody_moved_is_told_and_put_back(
    hub: Hub, registry: HubRegistry, aliases: HubAliases, tmp_path: Path
) -> None:
    first, second = (aliased(publish(registry, tmp_path, version)) for version in ("1.0.0", "1.1.0"))
    table = aliases.move(lambda table: as_released(table, [first]), "1.0.0 is released")
    assert aliases.lagging(table) == []
    api = hub.client()
    api.delete_branch(registry.repo_id, branch="production")
    api.create_branch(registry.repo_id, branch="production", revision=second.commit)
    assert aliases.lagging(table) == ["production"]
    assert aliases.read().production == first, "the file counts"
    aliases.move(lambda table: as_released(table, [first]), "again")
    assert api.model_info(registry.repo_id, revision="production").sha == first.commit


def test_a_file_that_says_something_else_is_refused(
    hub: Hub, registry: HubRegistry, aliases: HubAliases, tmp_path: Path
) -> None:
    model = aliased(publish(registry, tmp_path, "1.0.0"))
    aliases.move(lambda table: as_released(table, [model]), "1.0.0 is released")
    operation = CommitOperationAdd("aliases.json", b'{"production": "latest"}')
    hub.client().create_commit(registry.repo_id, [operation], commit_message="Forged", revision="aliases")
    with pytest.raises(ArtifactError, match=r"aliases\.json"):
        aliases.read()


def test_who_may_only_read_moves_nothing(hub: Hub, registry: HubRegistry, aliases: HubAliases, tmp_path: Path) -> None:
    model = aliased(publish(registry, tmp_path, "1.0.0"))
    reader = HubAliases(hub.url, hub.reader, registry.repo_id)
    with pytest.raises(RegistryError):
        reader.move(lambda table: as_released(table, [model]), "mine")
    assert reader.read() == AliasTable()


def test_an_erased_version_is_gone_from_the_hubs_disk_and_the_others_stay(
    hub: Hub, registry: HubRegistry, aliases: HubAliases, tmp_path: Path
) -> None:
    first, second = (publish(registry, tmp_path, version) for version in ("1.0.0", "1.1.0"))
    aliases.move(lambda table: as_released(table, [aliased(first), aliased(second)]), "both")
    aliases.move(lambda table: without(table, first.commit), "1.0.0 is erased")
    with pytest.raises(RegistryError, match="role admin"):
        registry.erase("1.0.0")
    admin = HubRegistry(hub.url, hub.admin, registry.repo_id)
    assert admin.erase("1.0.0") == [first.weights_sha256]
    assert admin.erase("1.0.0") == [], "again"
    assert not hub.store.blobs.has(first.weights_sha256)
    assert [model.commit for model in registry.list_models()] == [second.commit]
    assert aliases.read() == AliasTable(production=aliased(second))
    assert registry.fetch("v1.1.0", tmp_path / "fetched", expected=second.files) == second, "it shares a file with it"
    with pytest.raises((ArtifactError, RegistryError)):
        registry.fetch(first.commit, tmp_path / "erased")
