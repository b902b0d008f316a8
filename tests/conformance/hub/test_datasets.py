"""A private dataset repository on our Hub, as the real client sees it."""

from __future__ import annotations

import itertools
from pathlib import Path

import huggingface_hub
import pytest
from tests.conformance.hub.running import Hub

from projectone.errors import RegistryError
from projectone.server.registry.datasets import DatasetHub

NUMBERS = itertools.count()


def export(folder: Path, **files: str) -> Path:
    for name, text in {"README.md": "---\nlicense: other\n---\n", "train/metadata.jsonl": "{}\n", **files}.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text)
    (folder / "train" / "a.wav").write_bytes(bytes(range(256)) * 1000)
    return folder


def test_an_export_is_pushed_and_comes_back_byte_for_byte(hub: Hub, tmp_path: Path) -> None:
    repo_id = f"acme/speech-{next(NUMBERS)}"
    folder = export(tmp_path / "copy")
    target = DatasetHub(hub.url, hub.writer, repo_id)
    commit = target.push(folder, export_id="one")
    assert target.push(folder, export_id="one") == commit, "repeated after a lost answer"
    info = hub.client().dataset_info(repo_id)
    assert (info.private, info.sha) == (True, commit)
    back = Path(
        huggingface_hub.snapshot_download(
            repo_id, repo_type="dataset", endpoint=hub.url, token=hub.writer, local_dir=tmp_path / "back"
        )
    )
    for path in (path for path in folder.rglob("*") if path.is_file()):
        assert (back / path.relative_to(folder)).read_bytes() == path.read_bytes()
    with pytest.raises(huggingface_hub.errors.RepositoryNotFoundError):
        hub.client(hub.stranger).dataset_info(repo_id)


def test_the_next_export_takes_the_place_of_the_one_before(hub: Hub, tmp_path: Path) -> None:
    repo_id = f"acme/speech-{next(NUMBERS)}"
    target = DatasetHub(hub.url, hub.writer, repo_id)
    target.push(export(tmp_path / "first", **{"train/gone.txt": "withdrawn"}), export_id="one")
    target.push(export(tmp_path / "second"), export_id="two")
    files = set(hub.client().list_repo_files(repo_id, repo_type="dataset")) - {".gitattributes"}
    assert files == {"README.md", "train/metadata.jsonl", "train/a.wav"}


def test_nothing_is_pushed_into_a_public_repository(hub: Hub, tmp_path: Path) -> None:
    repo_id = f"acme/speech-{next(NUMBERS)}"
    hub.client().create_repo(repo_id, repo_type="dataset", private=False)
    with pytest.raises(RegistryError, match="expected a private dataset"):
        DatasetHub(hub.url, hub.writer, repo_id).push(export(tmp_path / "copy"), export_id="one")
    assert not hub.client().file_exists(repo_id, "train/a.wav", repo_type="dataset")


def test_a_model_and_a_dataset_of_one_name_are_two_repositories(hub: Hub, tmp_path: Path) -> None:
    repo_id = f"acme/speech-{next(NUMBERS)}"
    hub.client().create_repo(repo_id)
    DatasetHub(hub.url, hub.writer, repo_id).push(export(tmp_path / "copy"), export_id="one")
    assert "train/a.wav" not in hub.client().list_repo_files(repo_id)
