import os
import zipfile
from pathlib import Path

import pytest

from projectone.contracts.base import sha256_hex
from projectone.errors import ConversionError
from projectone.server.conversion.package import check_parity, pack
from projectone.storage.blobs import FileBlobs


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    folder = tmp_path / "model"
    folder.mkdir()
    (folder / "model.safetensors").write_bytes(bytes(range(256)) * 5000)
    (folder / "config.json").write_text("{}")
    (folder / "empty.txt").write_text("")
    return folder


@pytest.fixture
def packages(tmp_path: Path) -> FileBlobs:
    return FileBlobs(tmp_path / "packages")


def test_a_package_holds_the_folder_byte_for_byte(folder: Path, packages: FileBlobs, tmp_path: Path) -> None:
    package = pack(folder, packages)
    path = packages.path_of(package.sha256)
    assert path.stat().st_size == package.size_bytes
    with zipfile.ZipFile(path) as archive:
        archive.extractall(tmp_path / "out")
    for file in package.files:
        content = (tmp_path / "out" / file.path).read_bytes()
        assert content == (folder / file.path).read_bytes()
        assert (sha256_hex(content), len(content)) == (file.sha256, file.size_bytes)


def test_the_same_files_give_the_same_bytes_whenever_they_are_packed(folder: Path, packages: FileBlobs) -> None:
    first = pack(folder, packages)
    for path in folder.iterdir():
        os.utime(path, (0, 1_000_000_000))
        path.chmod(0o600)
    assert pack(folder, packages) == first
    assert list(packages.keys()) == [first.sha256]


def test_files_are_stored_so_that_a_device_can_check_them_in_place(folder: Path, packages: FileBlobs) -> None:
    package = pack(folder, packages)
    with zipfile.ZipFile(packages.path_of(package.sha256)) as archive:
        assert {entry.compress_type for entry in archive.infolist()} == {zipfile.ZIP_STORED}
        assert {entry.date_time for entry in archive.infolist()} == {(1980, 1, 1, 0, 0, 0)}


def test_a_package_that_differs_from_the_judged_model_is_refused(folder: Path, packages: FileBlobs) -> None:
    package = pack(folder, packages)
    path = packages.path_of(package.sha256)
    changed = tuple(
        file.model_copy(update={"sha256": "0" * 64}) if file.path == "config.json" else file for file in package.files
    )
    with pytest.raises(ConversionError, match=r"config\.json"):
        check_parity(path, changed)
    with pytest.raises(ConversionError, match="expected the files"):
        check_parity(path, package.files[:-1])


def test_links_empty_folders_and_odd_names_are_refused(folder: Path, packages: FileBlobs) -> None:
    inner = folder / "inner"
    inner.mkdir()
    with pytest.raises(ConversionError, match="inner"):
        pack(folder, packages)
    for odd in ("link", ".DS_Store", "a b", "dot."):
        if odd == "link":
            (inner / odd).symlink_to("/etc/hostname")
        else:
            (inner / odd).write_text("")
        with pytest.raises(ConversionError, match=odd):
            pack(folder, packages)
        (inner / odd).unlink()
    (inner / "CONFIG.json").write_text("")
    (folder / "INNER").mkdir()
    (folder / "INNER" / "other").write_text("")
    with pytest.raises(ConversionError, match="case alone"):
        pack(folder, packages)
    assert list(packages.keys()) == []


def test_folders_inside_give_the_same_bytes_in_every_order_and_under_every_umask(tmp_path: Path) -> None:
    files = {
        "AudioEncoder.mlpackage/Data/com.apple.CoreML/weights/weight.bin": b"weights",
        "AudioEncoder.mlpackage/Data/com.apple.CoreML/model.mlmodel": b"model",
        "AudioEncoder.mlpackage/Manifest.json": b"{}",
        "AudioEncoder-notes.txt": b"notes",
        "whisperkit.json": b"{}",
    }
    made = []
    for name, order, umask in (("one", sorted(files), 0o077), ("two", sorted(files, reverse=True), 0o000)):
        before = os.umask(umask)
        try:
            for path in order:
                target = tmp_path / name / path
                target.parent.mkdir(parents=True, exist_ok=True)
                target.write_bytes(files[path])
            store = FileBlobs(tmp_path / f"{name}-packages")
            made.append((pack(tmp_path / name, store), store))
        finally:
            os.umask(before)
    (first, first_store), (second, second_store) = made
    assert first == second
    contents = first_store.path_of(first.sha256).read_bytes()
    assert contents == second_store.path_of(second.sha256).read_bytes()
    with zipfile.ZipFile(first_store.path_of(first.sha256)) as archive:
        assert [entry.filename for entry in archive.infolist()] == sorted(files)
        assert {entry.external_attr >> 16 for entry in archive.infolist()} == {0o100644}
