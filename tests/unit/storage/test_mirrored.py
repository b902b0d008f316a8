from pathlib import Path

import pytest

from projectone.contracts.base import sha256_hex
from projectone.errors import StorageError
from projectone.storage.mirrored import MirroredBlobs
from projectone.storage.objects import FolderObjects

KEY = sha256_hex(b"a package")


class Refusing(FolderObjects):
    """A store that is full."""

    def put_new(self, sha256: str, source: Path) -> None:
        raise StorageError("the bucket is full")


def test_what_is_kept_here_is_in_the_bucket_too_and_goes_with_it(tmp_path: Path) -> None:
    bucket = FolderObjects(tmp_path / "bucket")
    blobs = MirroredBlobs(tmp_path / "packages", bucket)
    assert blobs.put([b"a ", b"package"], expected_sha256=KEY) == KEY
    assert blobs.get(KEY) == bucket.get_range(KEY, 0, 100) == b"a package"
    blobs.delete(KEY)
    assert not blobs.has(KEY)
    assert bucket.size_of(KEY) is None


def test_what_the_bucket_refused_is_made_up_for_by_the_next_try(tmp_path: Path) -> None:
    with pytest.raises(StorageError, match="full"):
        MirroredBlobs(tmp_path / "packages", Refusing(tmp_path / "bucket")).put([b"a package"])
    bucket = FolderObjects(tmp_path / "bucket")
    MirroredBlobs(tmp_path / "packages", bucket).put([b"a package"])
    assert bucket.size_of(KEY) == 9
