import zipfile
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from tests.fakes.release_server import make_release, zip_of

from projectone.contracts.base import sha256_hex
from projectone.device.installed.package import find_damage, unpack
from projectone.errors import ArtifactError

CORE_ML = {
    "TextDecoder.mlpackage/Data/com.apple.CoreML/model.mlmodel": b"graph",
    "TextDecoder.mlpackage/Data/com.apple.CoreML/weights/weight.bin": b"weights",
    "TextDecoder.mlpackage/Manifest.json": b"{}",
    "config.json": b"{}",
}
KEY = Ed25519PrivateKey.generate()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    folder = tmp_path / "inside" / "model"
    folder.mkdir(parents=True)
    return folder


def unpacked(files: dict[str, bytes], folder: Path, package: bytes | None = None) -> str:
    release = make_release(files, package=package)
    path = folder.parent / "package.zip"
    path.write_bytes(release.package)
    unpack(path, release.manifest, folder)
    return sha256_hex(release.manifest.to_bytes())


def test_files_in_folders_are_installed_and_their_damage_is_found(folder: Path) -> None:
    sha256 = unpacked(CORE_ML, folder)
    assert {p.relative_to(folder).as_posix() for p in folder.rglob("*") if p.is_file()} == {*CORE_ML, "manifest.json"}
    assert find_damage(folder, sha256) is None
    (folder / "TextDecoder.mlpackage/Data/com.apple.CoreML/weights/weight.bin").write_bytes(b"Weights")
    assert "weight.bin" in str(find_damage(folder, sha256))


@pytest.mark.parametrize(
    "name", ["../outside", "a/../../outside", "TextDecoder.mlpackage/../../outside", "/tmp/outside", "a\\..\\outside"]
)
def test_a_path_that_leads_out_is_not_written(name: str, folder: Path) -> None:
    with pytest.raises(ArtifactError, match="expected the files"):
        unpacked(CORE_ML, folder, package=zip_of({**CORE_ML, name: b"x"}))
    assert not [path for path in folder.parent.parent.rglob("*") if "outside" in path.name]


@pytest.mark.parametrize(
    "names", [["a", "a/b"], ["Voice", "voice"], ["x/a", "X/b"], ["manifest.json/a"], ["Manifest.json"]]
)
def test_files_that_get_in_each_others_way_are_refused_before_any_is_written(names: list[str], folder: Path) -> None:
    with pytest.raises(ArtifactError, match="cannot be installed"):
        unpacked(dict.fromkeys(names, b"evil"), folder)
    assert list(folder.iterdir()) == []


def test_a_link_in_a_package_becomes_a_plain_file_that_no_digest_fits(folder: Path) -> None:
    path = folder.parent / "linked.zip"
    with zipfile.ZipFile(path, "w") as archive:
        link = zipfile.ZipInfo("link")
        link.external_attr = 0o120777 << 16
        archive.writestr(link, "/etc")
        archive.writestr(zipfile.ZipInfo("link2/passwd"), b"x")
    files = {"link": b"real", "link2/passwd": b"x"}
    with pytest.raises(ArtifactError, match="sha256"):
        unpacked(files, folder, package=path.read_bytes())
    assert not any(path.is_symlink() for path in folder.rglob("*"))
