"""`projectone-server registry` against a Hub: list, show, names, verify, erase; and the card as the client reads it."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from huggingface_hub import ModelCard
from tests.conformance.hub.running import Hub, running_hub
from tests.unit.server.registry.test_card import FACTS

from projectone.errors import RegistryError
from projectone.server.cli import main
from projectone.server.registry.aliases import HubAliases, aliased, as_released
from projectone.server.registry.card import render_card
from projectone.server.registry.hub import HubRegistry
from projectone.server.registry.protocol import PublishedModel
from projectone.server.registry.provenance import is_available, make_provenance_key, open_provenance
from projectone.server.work import registered

REPO = "acme/registered"
WEIGHTS = hashlib.sha256(b"registered").digest() * 1000
needs_provenance = pytest.mark.skipif(not is_available(), reason="needs the extra `provenance`")


@pytest.fixture(scope="module")
def hub(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Hub]:
    with running_hub(tmp_path_factory.mktemp("hub"), "in-process") as running:
        yield running


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    home = tmp_path_factory.mktemp("home")
    (home / "keys").mkdir()
    (home / "keys" / "release.key").write_bytes(b"no command of these opens it")
    make_provenance_key(home / "keys")
    return home


@pytest.fixture(scope="module")
def models(hub: Hub, home: Path, tmp_path_factory: pytest.TempPathFactory) -> list[PublishedModel]:
    provenance = open_provenance(home / "keys") if is_available() else None
    registry = HubRegistry(hub.url, hub.writer, REPO, provenance=provenance)
    published = []
    for version in ("1.1.0", "1.2.0"):
        folder = tmp_path_factory.mktemp("models") / "model"
        folder.mkdir()
        (folder / "model.safetensors").write_bytes(WEIGHTS + version.encode())
        card, lineage = render_card(FACTS), FACTS.lineage_on_record()
        published.append(registry.publish(folder, card=card, run_id=f"run-{version}", version=version, lineage=lineage))
    return published


@pytest.fixture
def releases(models: list[PublishedModel], monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """What the ledger says: the second model is in production."""
    rows = [
        SimpleNamespace(
            run_id=model.run_id,
            manifest=SimpleNamespace(
                seq=seq,
                version=model.version,
                commit=model.commit,
                repo_id=model.repo_id,
                weights_sha256=model.weights_sha256,
            ),
        )
        for seq, model in enumerate(models, start=1)
    ]
    monkeypatch.setattr(registered, "_releases", lambda settings: rows)
    return rows


@pytest.fixture
def run(hub: Hub, home: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Any:
    values = {"HOME": str(home), "HUB_ENDPOINT": hub.url, "HUB_TOKEN": hub.writer, "HUB_REPO": REPO}
    for name, value in values.items():
        monkeypatch.setenv(f"PROJECTONE_SERVER_{name}", value)

    def command(*words: str) -> tuple[int, dict[str, Any]]:
        code = main(["registry", *words, "--json"])
        answer: dict[str, Any] = json.loads(capsys.readouterr().out)
        return code, answer

    return command


def test_versions_are_listed_and_shown_with_where_they_come_from(run: Any, models: list[PublishedModel]) -> None:
    code, listed = run("list")
    assert (code, [model["commit"] for model in listed["models"]]) == (0, [model.commit for model in models])
    code, shown = run("show", "1.2.0")
    assert (code, shown["commit"], shown["lineage"]["dataset_sha256"]) == (0, models[1].commit, "d" * 64)
    assert shown["lineage"]["consent_scopes"] == ["corrections"]
    assert (shown["lineage"]["seed"], shown["lineage"]["settings"]["epochs"]) == (7, 3)
    assert shown["lineage"]["scores"]["wer"]["value"] == 0.125
    code, error = run("show", "9.9.9")
    assert (code, error["error"]["kind"]) == (2, "registry")
    assert error["error"]["message"].endswith("no such version, tag or commit; see `projectone-server registry list`")
    code, error = run("show", "1.0.0", "--family", "intents")
    assert code == 2
    assert "perhaps nothing of this family" in error["error"]["message"]
    assert "huggingface.co" not in error["error"]["message"]


def test_names_are_put_where_the_releases_are(run: Any, models: list[PublishedModel], releases: list[Any]) -> None:
    code, error = run("verify", "candidate")
    assert (code, error["error"]["reason"]) == (2, "alias-unset")
    code, told = run("aliases", "--align")
    assert (code, told["lagging"]) == (0, [])
    assert [told["aliases"][name] and told["aliases"][name]["version"] for name in told["aliases"]] == [
        "1.2.0", None, "1.1.0",
    ]  # fmt: skip
    _, listed = run("list")
    assert [model["aliases"] for model in listed["models"]] == [["previous"], ["production"]]


@needs_provenance
def test_what_lies_on_the_hub_is_compared_with_signature_and_release(
    run: Any, models: list[PublishedModel], releases: list[Any], hub: Hub, tmp_path: Path
) -> None:
    aliases = HubAliases(hub.url, hub.writer, REPO)
    aliases.move(lambda table: as_released(table, [aliased(model) for model in models]), "as released")
    code, told = run("verify", "production", "--out", str(tmp_path / "kept"))
    assert (code, told["released_as"], told["version"]) == (0, 2, "1.2.0")
    assert (tmp_path / "kept" / "model.safetensors").read_bytes() == WEIGHTS + b"1.2.0"
    make_provenance_key(tmp_path)
    code, error = run("verify", "1.2.0", "--key", str(tmp_path / "provenance.pub"))
    assert (code, error["error"]["kind"]) == (2, "signature")
    blob = hub.store.blobs.path_of(models[1].weights_sha256)
    whole = blob.read_bytes()
    blob.write_bytes(whole[:-1] + b"!")
    try:
        code, error = run("verify", "v1.2.0")
    finally:
        blob.write_bytes(whole)
    assert (code, error["error"]["kind"]) == (2, "digest-mismatch")
    releases[1].manifest.weights_sha256 = "0" * 64
    code, error = run("verify", models[1].commit)
    assert (code, error["error"]["kind"]) == (2, "registry")


def test_what_is_in_production_is_not_erased_and_nothing_without_a_yes(
    run: Any, models: list[PublishedModel], releases: list[Any], hub: Hub
) -> None:
    code, error = run("erase", "1.2.0", "--yes")
    assert (code, error["error"]["reason"]) == (2, "in-production")
    code, error = run("erase", "1.1.0")
    assert (code, error["error"]["kind"], hub.store.blobs.has(models[0].weights_sha256)) == (2, "settings", True)


def test_a_token_that_may_not_erase_changes_no_name(
    run: Any, models: list[PublishedModel], releases: list[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    _, before = run("aliases", "--align")

    def refuse(registry: HubRegistry, version: str) -> list[str]:
        raise RegistryError("This takes a token of the role admin.")

    monkeypatch.setattr(HubRegistry, "erase", refuse)
    assert run("erase", "1.1.0", "--yes")[0] == 2
    assert before["aliases"]["previous"]["version"] == "1.1.0"
    assert run("aliases")[1] == before


def test_the_hub_and_its_client_read_our_card(hub: Hub, models: list[PublishedModel]) -> None:
    card = ModelCard.load(hub.client().hf_hub_download(REPO, "README.md", revision="v1.2.0"))
    assert card.data.license == "apache-2.0"
    (result,) = [one for one in card.data.eval_results or [] if one.metric_type == "wer"]
    assert result.metric_value == 0.125
    # The Hub's own check ran at the commit; it refuses the same card with a broken header.
    broken = render_card(FACTS).replace("license: ", "license: [", 1)
    with pytest.raises(ValueError, match="not YAML"):
        hub.client().upload_file(path_or_fileobj=broken.encode(), path_in_repo="README.md", repo_id=REPO)
