from __future__ import annotations

from pathlib import Path

import pytest

from projectone.contracts.base import sha256_hex
from projectone.errors import ArtifactError, DigestMismatchError
from projectone.server.registry.contents import LocalFile, check_folder, describe_folder, read_manifest
from projectone.server.registry.protocol import MANIFEST_NAME


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "model.safetensors").write_bytes(b"hi\n")
    (tmp_path / "config.json").write_text("{}")
    return tmp_path


def describe(folder: Path) -> dict[str, LocalFile]:
    return describe_folder(folder, card="card", run_id="run-1", version="1.0.0")


def test_every_file_has_its_digests_and_the_manifest_names_the_others(folder: Path) -> None:
    files = describe(folder)
    assert set(files) == {"README.md", "config.json", "manifest.json", "model.safetensors"}
    assert files["model.safetensors"].git_id == "45b983be36b73c0788dc9cbcb76cbb80fc7bb057"
    assert files["model.safetensors"].digest.sha256 == sha256_hex(b"hi\n")
    manifest = files[MANIFEST_NAME].source
    assert isinstance(manifest, bytes)
    (folder / MANIFEST_NAME).write_bytes(manifest)
    assert read_manifest(folder).files.keys() == files.keys() - {MANIFEST_NAME}
    assert describe(folder) == files  # a manifest that lies there is replaced, not described


def test_a_folder_without_weights_or_with_a_link_is_not_published(folder: Path) -> None:
    (folder / "link").symlink_to("/etc/passwd")
    with pytest.raises(ArtifactError, match="link"):
        describe(folder)
    (folder / "link").unlink()
    (folder / "model.safetensors").unlink()
    with pytest.raises(ArtifactError, match=r"model\.safetensors"):
        describe(folder)


def test_a_folder_is_checked_byte_by_byte(folder: Path) -> None:
    expected = {name: item.digest for name, item in describe(folder).items() if isinstance(item.source, Path)}
    check_folder(folder, expected)
    (folder / "config.json").write_text("[]")
    with pytest.raises(DigestMismatchError, match=r"config\.json"):
        check_folder(folder, expected)
    (folder / "config.json").unlink()
    with pytest.raises(ArtifactError, match=r"config\.json"):
        check_folder(folder, expected)


@pytest.mark.parametrize("content", [b"", b"{}", b'{"schema_version": 2}', b"\xff"])
def test_a_broken_manifest_is_an_artifact_error(folder: Path, content: bytes) -> None:
    (folder / MANIFEST_NAME).write_bytes(content)
    with pytest.raises(ArtifactError, match=r"manifest\.json"):
        read_manifest(folder)
