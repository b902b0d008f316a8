"""What every store of packages does, tried on each: a folder, a bucket in memory, and S3 where moto plays it."""

from __future__ import annotations

import importlib.util
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from urllib.request import urlopen

import pytest

from projectone.contracts.base import sha256_hex
from projectone.errors import DigestMismatchError, SettingsError, StorageError
from projectone.storage.objects import BucketObjects, FolderObjects, ObjectStore, open_objects

CONTENT = bytes(range(256)) * 40_000  # 10 MB: more than a part of a multipart upload
KEY = sha256_hex(CONTENT)
needs_obstore = pytest.mark.skipif(importlib.util.find_spec("obstore") is None, reason="the extra objects")


@pytest.fixture(scope="module")
def s3() -> Iterator[ObjectStore]:
    pytest.importorskip("obstore", reason="the extra objects")
    server_module = pytest.importorskip("moto.server", reason="the extra clouds")
    import boto3

    server = server_module.ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    known = {"aws_access_key_id": "test", "aws_secret_access_key": "test"}
    endpoint = f"http://{host}:{port}"
    boto3.client("s3", endpoint_url=endpoint, region_name="us-east-1", **known).create_bucket(Bucket="models")
    config = {**known, "endpoint": endpoint, "region": "us-east-1", "client_options": {"allow_http": True}}
    yield open_objects("s3://models/packages", config)
    server.stop()


@pytest.fixture(params=["folder", "memory", "s3"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[ObjectStore]:
    if request.param == "folder":
        yield open_objects(str(tmp_path / "objects"))
    elif request.param == "memory":
        pytest.importorskip("obstore", reason="the extra objects")
        yield open_objects("memory:///")
    else:
        made: ObjectStore = request.getfixturevalue("s3")
        yield made
        for key in list(made.keys()):
            made.delete(key)


@pytest.fixture
def source(tmp_path: Path) -> Path:
    (tmp_path / "package").write_bytes(CONTENT)
    return tmp_path / "package"


def test_what_was_kept_comes_back_whole_and_in_parts(store: ObjectStore, source: Path, tmp_path: Path) -> None:
    store.put_new(KEY, source)
    store.put_new(KEY, source)  # again: nothing happens
    store.fetch(KEY, tmp_path / "out")
    assert (tmp_path / "out").read_bytes() == CONTENT
    assert store.get_range(KEY, 100, 300) == CONTENT[100:300]
    assert store.get_range(KEY, len(CONTENT) - 5, len(CONTENT) + 5) == CONTENT[-5:]
    assert store.get_range(KEY, len(CONTENT), len(CONTENT) + 5) == b""
    assert store.size_of(KEY) == len(CONTENT)
    assert list(store.keys()) == [KEY]


def test_what_is_not_there_is_said_so(store: ObjectStore, tmp_path: Path) -> None:
    assert store.size_of(KEY) is None
    assert list(store.keys()) == []
    with pytest.raises(StorageError):
        store.get_range(KEY, 0, 5)
    with pytest.raises(StorageError):
        store.fetch(KEY, tmp_path / "out")
    assert not (tmp_path / "out").exists()
    store.delete(KEY)


def test_a_file_under_the_name_of_another_is_not_kept(store: ObjectStore, source: Path) -> None:
    with pytest.raises(DigestMismatchError):
        store.put_new("0" * 64, source)
    assert list(store.keys()) == []


def test_what_was_removed_is_gone(store: ObjectStore, source: Path) -> None:
    store.put_new(KEY, source)
    store.delete(KEY)
    assert store.size_of(KEY) is None


@pytest.mark.parametrize("key", ["", "../../etc/passwd", "A" * 64, "0" * 63, f"{'0' * 64}\n"])
def test_only_digests_are_keys(key: str, store: ObjectStore, source: Path) -> None:
    for call in (lambda: store.put_new(key, source), lambda: store.size_of(key), lambda: store.delete(key)):
        with pytest.raises(ValueError, match="64 hexadecimal digits"):
            call()


def test_bytes_that_rotted_are_not_believed(tmp_path: Path, source: Path) -> None:
    store = FolderObjects(tmp_path / "objects")
    store.put_new(KEY, source)
    (tmp_path / "objects" / KEY[:2] / KEY).write_bytes(CONTENT[:-1] + b"x")
    with pytest.raises(DigestMismatchError):
        store.fetch(KEY, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_a_bucket_that_gives_other_bytes_is_not_believed(tmp_path: Path) -> None:
    obstore = pytest.importorskip("obstore", reason="the extra objects")
    from obstore.store import MemoryStore

    bucket = MemoryStore()
    obstore.put(bucket, KEY, b"other bytes")
    with pytest.raises(DigestMismatchError):
        BucketObjects(bucket).fetch(KEY, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_a_signed_address_gives_the_bytes_to_anybody(s3: ObjectStore, source: Path) -> None:
    s3.put_new(KEY, source)
    address = s3.sign_get(KEY, timedelta(minutes=5))
    assert address is not None
    with urlopen(address, timeout=10) as response:
        assert response.read() == CONTENT
        assert "immutable" in response.headers["cache-control"]


def test_a_folder_leaves_handing_out_to_the_api(tmp_path: Path) -> None:
    assert FolderObjects(tmp_path).sign_get(KEY, timedelta(minutes=5)) is None


@needs_obstore
def test_an_address_of_nothing_is_refused_with_the_setting(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="carrier-pigeon://x"):
        open_objects("carrier-pigeon://x")
