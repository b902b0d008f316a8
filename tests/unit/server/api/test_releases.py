"""The newest release, and its bytes by Range."""

from dataclasses import replace
from pathlib import Path

import pytest
from fastapi.testclient import TestClient
from tests.unit.server.api.conftest import Backend, reason

from projectone.contracts.releases import LatestModelInfo, ReleaseManifest
from projectone.server.api.app import create_app
from projectone.server.delivery.elsewhere import behind_cdn, in_bucket
from projectone.server.delivery.ledger import Ledger
from projectone.storage.objects import FolderObjects, open_objects

PACKAGE = b"".join(bytes([n]) * 100 for n in range(100))


def release(backend: Backend, version: str = "1.2.0", channel: str = "stable") -> str:
    sha256 = backend.services.packages.put([PACKAGE])
    now = backend.services.clock()

    def draft(seq: int) -> ReleaseManifest:
        return ReleaseManifest(
            channel=channel,
            seq=seq,
            version=version,
            repo_id="acme/whisper",
            commit="0" * 40,
            base_sha256="0" * 64,
            weights_sha256="0" * 64,
            package_sha256=sha256,
            package_size_bytes=len(PACKAGE),
            files=(),
            created_at=now,
        )

    Ledger(backend.engine).publish(version, channel, draft)
    return sha256


def test_before_the_first_release_there_is_none(backend: Backend) -> None:
    assert reason(backend.http.get("/latest-model-info")) == (404, "no-release")
    release(backend)
    assert reason(backend.http.get("/latest-model-info?channel=beta")) == (404, "no-release")


def test_the_newest_release_is_told_and_where_it_is_signed(backend: Backend) -> None:
    release(backend)
    sha256 = release(backend, "1.3.0")
    response = backend.http.get("/latest-model-info")
    info = LatestModelInfo.from_bytes(response.content)
    assert (info.version, info.seq, info.sha256) == ("1.3.0", 2, sha256)
    assert info.url.endswith(f"/v1/releases/{sha256}.zip")
    assert info.metadata_url.endswith("/tuf/metadata")
    assert info.release_path == "stable/float16/release.json"
    assert "max-age=300" in response.headers["cache-control"]


def test_each_family_has_a_newest_release_of_its_own(backend: Backend) -> None:
    speech = release(backend)
    ask = "/latest-model-info?family=intents"
    assert reason(backend.http.get(ask)) == (404, "no-release")
    intents = release(backend, "1.1.0", channel="stable.intents")
    info = LatestModelInfo.from_bytes(backend.http.get(ask).content)
    assert (info.sha256, info.channel, info.seq) == (intents, "stable.intents", 1)
    assert LatestModelInfo.from_bytes(backend.http.get("/latest-model-info").content).sha256 == speech
    assert reason(backend.http.get("/latest-model-info?family=cats")) == (422, "request")


def test_who_has_it_already_gets_304(backend: Backend) -> None:
    release(backend)
    etag = backend.http.get("/latest-model-info").headers["etag"]
    for held in (etag, f'"x", W/{etag}', "*"):
        assert backend.http.get("/latest-model-info", headers={"If-None-Match": held}).status_code == 304
    assert backend.http.get("/latest-model-info", headers={"If-None-Match": '"x"'}).status_code == 200
    release(backend, "1.3.0")
    assert backend.http.get("/latest-model-info", headers={"If-None-Match": etag}).status_code == 200


def test_a_short_way_lies_beside_the_packages(backend: Backend) -> None:
    path = f"/v1/releases/{release(backend)}.delta"
    assert backend.http.get(path, headers={"Range": "bytes=9900-"}).content == PACKAGE[9900:]
    assert reason(backend.http.get("/v1/releases/" + "0" * 64 + ".delta")) == (404, "package-unknown")


def test_a_package_comes_whole_or_from_where_it_was_cut(backend: Backend) -> None:
    path = f"/v1/releases/{release(backend)}.zip"
    whole = backend.http.get(path)
    assert whole.content == PACKAGE
    assert "immutable" in whole.headers["cache-control"]
    etag = whole.headers["etag"]
    rest = backend.http.get(path, headers={"Range": "bytes=9990-", "If-Range": etag})
    assert (rest.status_code, rest.content) == (206, PACKAGE[9990:])
    assert rest.headers["content-range"] == "bytes 9990-9999/10000"
    other = backend.http.get(path, headers={"Range": "bytes=9990-", "If-Range": '"other"'})
    assert (other.status_code, len(other.content)) == (200, len(PACKAGE))
    assert backend.http.get(path, headers={"Range": "bytes=20000-"}).status_code == 416
    assert backend.http.get(path, headers={"If-None-Match": etag}).status_code == 304


def test_only_packages_are_handed_out(backend: Backend) -> None:
    for name in ("0" * 64, "..%2f..%2fkeys%2frelease.key", "A" * 64, "%00", "x"):
        assert backend.http.get(f"/v1/releases/{name}.zip").status_code == 404


def test_signed_metadata_is_handed_out_as_files_that_may_be_kept(backend: Backend) -> None:
    current = backend.http.get("/tuf/metadata/timestamp.json")
    assert current.content == (backend.home / "tuf" / "metadata" / "timestamp.json").read_bytes()
    assert current.headers["cache-control"] == "public, max-age=60"
    held = {"If-None-Match": current.headers["etag"]}
    assert backend.http.get("/tuf/metadata/timestamp.json", headers=held).status_code == 304
    root = backend.http.get("/tuf/metadata/1.root.json")
    assert "immutable" in root.headers["cache-control"]
    assert reason(backend.http.get("/tuf/metadata/2.root.json")) == (404, "metadata-unknown")


def test_nothing_but_metadata_and_what_it_lists_is_handed_out(backend: Backend) -> None:
    (backend.home / "tuf" / "metadata" / "notes.json").write_text("{}")
    for name in ("notes.json", "..%2fpublishing.lock", "0.root.json", "1.evil.json", "%00", "root.json"):
        assert backend.http.get(f"/tuf/metadata/{name}").status_code == 404
    for path in ("stable/release.json", f"../../keys/{'0' * 64}.release.json", f"a/b/c/{'0' * 64}.release.json"):
        assert backend.http.get(f"/tuf/targets/{path}").status_code == 404


def test_where_a_cdn_has_it_devices_are_sent_there_unless_they_ask_directly(backend: Backend) -> None:
    sha256 = release(backend)
    address = f"/v1/releases/{sha256}.zip"
    there = replace(backend.services, elsewhere=behind_cdn("https://cdn.example.org/models"))
    with TestClient(create_app(there), follow_redirects=False) as http:
        answer = http.get(address)
        assert (answer.status_code, answer.headers["location"]) == (307, f"https://cdn.example.org/models/{sha256}")
        assert answer.headers["cache-control"] == "no-store"
        assert http.get(address + "?direct=1").content == PACKAGE
        assert http.get(address, headers={"If-None-Match": f'"{sha256}"'}).status_code == 304
        assert http.get(f"/v1/releases/{'0' * 64}.zip").status_code == 404, "a CDN is not asked for what was never here"


def test_a_bucket_that_signs_no_address_leaves_it_to_the_api(tmp_path: Path) -> None:
    assert in_bucket(lambda: FolderObjects(tmp_path))("0" * 64) is None


def test_a_bucket_signs_an_address_that_ends() -> None:
    pytest.importorskip("obstore", reason="the extra objects")
    known = {"aws_access_key_id": "test", "aws_secret_access_key": "test", "region": "eu-central-1"}
    address = in_bucket(lambda: open_objects("s3://models/packages", known))("0" * 64)
    assert address is not None and address.startswith("https://")
    assert f"packages/{'0' * 64}" in address and "X-Amz-Expires=900" in address
