import hashlib
import os
import shutil
import sys
from pathlib import Path

import numpy as np
import pytest

from projectone.errors import DigestMismatchError, StorageError
from projectone.storage import files
from projectone.storage.blobs import FileBlobs
from projectone.storage.files import building_directory, digest_of, sweep_builds, sweep_temporary, write_atomically


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_a_written_file_replaces_the_old_one_and_leaves_nothing_beside_it(tmp_path: Path) -> None:
    write_atomically(tmp_path / "state.json", b"old")
    write_atomically(tmp_path / "state.json", b"new")
    assert (tmp_path / "state.json").read_bytes() == b"new"
    assert names(tmp_path) == ["state.json"]


def test_every_name_of_a_new_folder_is_flushed_into_its_parent(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    flushed: list[Path] = []
    monkeypatch.setattr("projectone.storage.files.fsync_folder", flushed.append)
    write_atomically(tmp_path / "blobs" / "ab" / "file", b"x")
    assert flushed == [tmp_path, tmp_path / "blobs", tmp_path / "blobs" / "ab"]


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux is told what to keep in memory")
def test_what_nobody_reads_soon_leaves_the_memory_after_it_was_flushed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    steps: list[str] = []
    flush, advise = files.fsync_file, os.posix_fadvise
    monkeypatch.setattr(files, "fsync_file", lambda descriptor: (steps.append("flushed"), flush(descriptor)))
    monkeypatch.setattr(os, "posix_fadvise", lambda *arguments: (steps.append("let go"), advise(*arguments)))
    later, soon = FileBlobs(tmp_path / "later", is_read_soon=False), FileBlobs(tmp_path / "soon")
    assert later.get(later.put([b"a clip"])) == b"a clip"
    assert steps == ["flushed", "let go"]
    assert soon.get(soon.put([b"a package"])) == b"a package"
    assert steps == ["flushed", "let go", "flushed"]


def test_a_folder_that_fails_while_it_is_built_never_appears(tmp_path: Path) -> None:
    with pytest.raises(RuntimeError), building_directory(tmp_path / "model") as folder:
        (folder / "half").write_bytes(b"x")
        raise RuntimeError
    assert names(tmp_path) == []


def test_a_published_folder_is_never_rewritten(tmp_path: Path) -> None:
    with building_directory(tmp_path / "model") as folder:
        (folder / "a").write_bytes(b"first")
    with pytest.raises(StorageError, match="never rewritten"), building_directory(tmp_path / "model"):
        pass
    assert (tmp_path / "model" / "a").read_bytes() == b"first"


def test_a_sweep_removes_what_interrupted_writes_left(tmp_path: Path) -> None:
    (tmp_path / ".tmp-a").write_bytes(b"x")
    (tmp_path / ".tmp-b").mkdir()
    (tmp_path / "kept").write_bytes(b"y")
    assert sweep_temporary(tmp_path) == 2
    assert names(tmp_path) == ["kept"]


def test_what_interrupted_builds_of_one_folder_left_is_removed_and_no_other_s(tmp_path: Path) -> None:
    def power_cut(target: Path) -> str:
        """The temporary name of a build that was killed."""
        with building_directory(target) as building:
            shutil.copytree(building, tmp_path / "copy")
        target.rmdir()
        (tmp_path / "copy").rename(building)
        return building.name

    power_cut(tmp_path / "model")
    others = {power_cut(tmp_path / "model-2"), power_cut(tmp_path / "model.adapter")}
    assert sweep_builds(tmp_path / "model") == 1
    assert set(names(tmp_path)) == others


def test_a_blob_is_found_under_the_digest_of_its_bytes(tmp_path: Path) -> None:
    blobs = FileBlobs(tmp_path)
    key = blobs.put([b"two ", b"pieces"])
    assert blobs.get(key) == b"two pieces"
    assert digest_of(blobs.path_of(key)) == key
    assert list(blobs.keys()) == [key]


def test_a_blob_with_another_digest_than_promised_is_not_kept(tmp_path: Path) -> None:
    blobs = FileBlobs(tmp_path)
    with pytest.raises(DigestMismatchError):
        blobs.put([b"tampered"], expected_sha256="0" * 64)
    assert names(tmp_path) == []


def test_a_rotten_blob_is_found_on_read_and_by_the_scrub(tmp_path: Path) -> None:
    blobs = FileBlobs(tmp_path)
    key = blobs.put([b"sound"])
    blobs.path_of(key).write_bytes(b"s0und")
    with pytest.raises(DigestMismatchError):
        blobs.get(key)
    assert blobs.scrub() == [key]


def test_one_flipped_byte_in_each_of_100_among_1000_blobs_is_found(tmp_path: Path) -> None:
    blobs = FileBlobs(tmp_path)
    random = np.random.default_rng(0)
    contents = [random.bytes(64) for _ in range(1000)]
    for content in contents:  # as `put` leaves them, without a thousand flushes of the disk
        path = blobs.path_of(hashlib.sha256(content).hexdigest())
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(content)
    keys = list(blobs.keys())
    assert blobs.scrub() == []
    rotten = sorted(random.choice(keys, size=100, replace=False))
    for key in rotten:
        content = bytearray(blobs.path_of(key).read_bytes())
        content[random.integers(len(content))] ^= 1 << random.integers(8)
        blobs.path_of(key).write_bytes(content)
    assert blobs.scrub() == rotten
    for key in rotten:
        with pytest.raises(DigestMismatchError):
            blobs.get(key)
        assert blobs.path_of(key).read_bytes() not in contents, "without the check, other bytes would be trained on"


def test_the_scrub_survives_a_blob_that_is_removed_meanwhile(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    blobs = FileBlobs(tmp_path)
    key = blobs.put([b"sound"])
    monkeypatch.setattr(blobs, "keys", lambda: iter(["0" * 64, key]))
    assert blobs.scrub() == []


@pytest.mark.parametrize("key", ["", "../../etc/passwd", "A" * 64, "0" * 63])
def test_what_is_no_digest_is_no_path(tmp_path: Path, key: str) -> None:
    with pytest.raises(ValueError, match="blob key"):
        FileBlobs(tmp_path).path_of(key)
