"""A stranger can tell who made a model: signed at publication, checked after it is read back and by anybody since."""

from __future__ import annotations

import hashlib
import itertools
import os
import random
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from huggingface_hub import CommitOperationAdd
from tests.conformance.hub.running import Hub, running_hub

from projectone.errors import ArtifactError, RegistryError, SettingsError, SignatureError
from projectone.server.registry import provenance
from projectone.server.registry.hub import HubRegistry
from projectone.server.registry.protocol import PublishedModel
from projectone.server.registry.provenance import PUBLIC_KEY, Provenance, make_provenance_key, open_provenance

pytest.importorskip("model_signing", reason="needs the extra `provenance`")

WEIGHTS = hashlib.sha256(b"signed").digest() * 2000
N_FLIPS = 50 if os.environ.get("PROJECTONE_FULL_HUB") else 8
REPOS = (f"acme/signed-{number}" for number in itertools.count())


@pytest.fixture(scope="module")
def hub(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Hub]:
    with running_hub(tmp_path_factory.mktemp("hub"), "in-process") as running:
        yield running


@pytest.fixture(scope="module")
def keys(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("keys")
    make_provenance_key(folder)
    return folder


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    model = tmp_path / "models" / "model"
    (model / "sub").mkdir(parents=True)
    (model / "model.safetensors").write_bytes(WEIGHTS)
    (model / "config.json").write_text('{"model_type": "whisper"}')
    (model / "sub" / "vocab.txt").write_text("a b c")
    return model


@pytest.fixture
def registry(hub: Hub, keys: Path) -> HubRegistry:
    return HubRegistry(hub.url, hub.writer, next(REPOS), provenance=open_provenance(keys))


def publish(registry: HubRegistry, folder: Path, run_id: str = "run-1", version: str = "1.0.0") -> PublishedModel:
    return registry.publish(folder, card="# A model\n", run_id=run_id, version=version)


def test_a_signed_model_is_verified_by_us_and_by_the_librarys_own_command(
    hub: Hub, registry: HubRegistry, keys: Path, folder: Path, tmp_path: Path
) -> None:
    model = publish(registry, folder)
    assert [path.name for path in folder.parent.iterdir()] == ["model"], "nothing is left beside the model"
    assert registry.fetch("v1.0.0", tmp_path / "ours", expected=model.files, public_key=keys / PUBLIC_KEY) == model
    theirs = Path(hub.client().snapshot_download(registry.repo_id, revision="v1.0.0", local_dir=tmp_path / "theirs"))
    command = [sys.executable, "-m", "model_signing", "verify", "key", str(theirs), "--ignore-paths"]
    options = [str(theirs / ".cache"), "--signature", str(theirs / "model.sig")]
    command += [*options, "--public_key", str(keys / PUBLIC_KEY)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (0, "Verification succeeded\n"), done.stderr
    (theirs / "config.json").write_text('{"model_type": "whispes"}')
    assert subprocess.run(command, capture_output=True, check=False).returncode == 1


def test_the_next_attempt_takes_the_signature_that_is_there(
    hub: Hub, registry: HubRegistry, folder: Path, keys: Path, tmp_path: Path
) -> None:
    first = publish(registry, folder)
    hub.client().delete_tag(registry.repo_id, tag="v1.0.0")  # as if the first attempt had ended before the tag
    assert publish(registry, folder) == first
    (folder / "model.safetensors").write_bytes(WEIGHTS[::-1])
    publish(registry, folder, "run-2", "1.0.1")
    for revision in ("v1.0.0", "v1.0.1"):
        registry.fetch(revision, tmp_path / revision, public_key=keys / PUBLIC_KEY)


def test_any_changed_byte_of_the_hubs_copy_is_refused(
    hub: Hub, registry: HubRegistry, folder: Path, keys: Path, tmp_path: Path
) -> None:
    publish(registry, folder)
    draw = random.Random(0)
    files = {item.rfilename: item for item in hub.client().model_info(registry.repo_id, files_metadata=True).siblings}
    paths = sorted(files.keys() - {".gitattributes", "model.sig"})
    with hub.store.reading() as rows:
        repo = rows.repo("models", *registry.repo_id.split("/"))
        assert repo is not None
        entries = rows.files(repo, rows.commit(repo, rows.refs(repo)["refs/heads/main"]).tree)
    refused = 0
    for number in range(N_FLIPS):
        path = paths[number % len(paths)]
        blob = hub.store.blobs.path_of(entries[path].pool_sha256 or "")
        whole = blob.read_bytes()
        place = draw.randrange(len(whole))
        blob.write_bytes(whole[:place] + bytes([whole[place] ^ 1 << draw.randrange(8)]) + whole[place + 1 :])
        try:
            registry.fetch("main", tmp_path / f"{number}", public_key=keys / PUBLIC_KEY)
        except ArtifactError:
            refused += 1
        finally:
            blob.write_bytes(whole)
    assert refused == N_FLIPS
    registry.fetch("main", tmp_path / "whole", public_key=keys / PUBLIC_KEY)


def test_who_steals_the_token_cannot_forge_a_release(
    hub: Hub, registry: HubRegistry, folder: Path, keys: Path, tmp_path: Path
) -> None:
    publish(registry, folder)
    make_provenance_key(tmp_path)  # the thief's own
    thief = HubRegistry(hub.url, hub.writer, next(REPOS), provenance=open_provenance(tmp_path))
    (folder / "model.safetensors").write_bytes(WEIGHTS[::-1])
    publish(thief, folder)
    api = hub.client()
    stolen = {path: Path(api.hf_hub_download(thief.repo_id, path)) for path in api.list_repo_files(thief.repo_id)}
    for names in (stolen.keys() - {"model.sig"}, stolen.keys()):  # under our old signature, then under the thief's
        operations = [CommitOperationAdd(name, stolen[name]) for name in sorted(names - {".gitattributes"})]
        api.create_commit(registry.repo_id, operations, commit_message="Forged")
        with pytest.raises(SignatureError):
            registry.fetch("main", tmp_path / "refused", public_key=keys / PUBLIC_KEY)
    # The control: the manifest alone is the thief's to write.
    assert registry.fetch("main", tmp_path / "believed").weights_sha256 == hashlib.sha256(WEIGHTS[::-1]).hexdigest()
    api.delete_file("model.sig", registry.repo_id)
    with pytest.raises(SignatureError, match="nobody says"):
        registry.fetch("main", tmp_path / "refused", public_key=keys / PUBLIC_KEY)


def test_a_signature_that_was_exchanged_on_the_way_is_never_tagged(
    hub: Hub, registry: HubRegistry, folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    make_provenance_key(tmp_path)
    other = open_provenance(tmp_path)
    assert other is not None
    monkeypatch.setattr(registry._provenance, "sign", other.sign)
    with pytest.raises(RegistryError, match="not tagged"):
        publish(registry, folder)
    assert hub.client().list_repo_refs(registry.repo_id).tags == []


def test_without_the_library_a_key_stops_the_publication_and_says_what_to_install(
    registry: HubRegistry, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(provenance, "is_available", lambda: False)
    with pytest.raises(SettingsError, match=r"projectone\[provenance\]"):
        publish(registry, folder)


def test_a_folder_without_a_key_signs_nothing_and_a_key_is_made_once(tmp_path: Path) -> None:
    assert open_provenance(tmp_path) is None
    make_provenance_key(tmp_path)
    before = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    make_provenance_key(tmp_path)
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == before
    assert (tmp_path / "provenance.key").stat().st_mode & 0o077 == 0
    assert len(provenance.fingerprint(tmp_path / PUBLIC_KEY)) == 64
    assert isinstance(open_provenance(tmp_path), Provenance)
    with pytest.raises(SettingsError):
        provenance.fingerprint(tmp_path / "nothing")
