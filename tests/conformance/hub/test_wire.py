"""What no friendly client sends: forged URLs, borrowed digests, broken bodies. And what git makes of a repository."""

from __future__ import annotations

import base64
import contextlib
import hashlib
import itertools
import json
import shutil
import sqlite3
import subprocess
import threading
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, urlencode, urlsplit, urlunsplit

import httpx2
import pytest
from huggingface_hub import CommitOperationAdd, CommitOperationDelete
from tests.conformance.hub.running import Hub, running_hub

from projectone.server.hubd import issue_token

CONTENT = hashlib.sha256(b"large").digest() * 100
DIGEST = hashlib.sha256(CONTENT).hexdigest()
REPOS = (f"acme/wire-{number}" for number in itertools.count())


@pytest.fixture(scope="module")
def hub(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Hub]:
    folder = tmp_path_factory.mktemp("wire")
    with running_hub(folder, part_bytes=1000, max_commit_bytes=100_000, max_commit_lines=50) as running:
        yield running


@pytest.fixture
def repo(hub: Hub) -> str:
    name = next(REPOS)
    hub.client().create_repo(name)
    return name


def send(hub: Hub, method: str, path: str, token: str | None = None, **options: Any) -> httpx2.Response:
    headers = {"Authorization": f"Bearer {token or hub.writer}", **options.pop("headers", {})}
    url = path if path.startswith("http") else hub.url + path
    return httpx2.request(method, url, headers=headers, **options)


def offers(hub: Hub, repo: str, *, transfers: list[str], token: str | None = None, size: int = 0) -> dict[str, Any]:
    item = {"oid": DIGEST, "size": size or len(CONTENT)}
    body = {"operation": "upload", "transfers": transfers, "objects": [item], "hash_algo": "sha256"}
    answer = send(hub, "POST", f"/{repo}.git/info/lfs/objects/batch", token, json=body)
    assert answer.status_code == 200, answer.text
    (described,) = answer.json()["objects"]
    actions: dict[str, Any] = described.get("actions", {})
    return actions


def commit(hub: Hub, repo: str, lines: list[Any], token: str | None = None) -> httpx2.Response:
    body = b"\n".join(line if isinstance(line, bytes) else json.dumps(line).encode() for line in lines)
    return send(hub, "POST", f"/api/models/{repo}/commit/main", token, content=body)


def header(**more: Any) -> dict[str, Any]:
    return {"key": "header", "value": {"summary": "Try", "description": "", **more}}


def plain(path: str, content: bytes = b"1") -> dict[str, Any]:
    text = base64.b64encode(content).decode()
    return {"key": "file", "value": {"path": path, "content": text, "encoding": "base64"}}


def large(path: str = "model.bin", **more: Any) -> dict[str, Any]:
    return {"key": "lfsFile", "value": {"path": path, "algo": "sha256", "oid": DIGEST, **more}}


def git_objects(hub: Hub, repo: str) -> Iterator[tuple[str, bytes]]:
    query = (
        "SELECT o.kind, o.body, o.size_bytes, o.pool_sha256, o.lfs_sha256 FROM hub_objects o"
        " JOIN hub_repos r ON r.id = o.repo_id WHERE r.namespace || '/' || r.name = ?"
    )
    with contextlib.closing(sqlite3.connect(hub.folder / "hub.sqlite")) as rows:
        for kind, body, size_bytes, pool_sha256, lfs_sha256 in rows.execute(query, (repo,)):
            if lfs_sha256:
                body = (
                    f"version https://git-lfs.github.com/spec/v1\noid sha256:{lfs_sha256}\nsize {size_bytes}\n".encode()
                )
            yield kind, hub.store.blobs.get(pool_sha256) if body is None else body


def changed(url: str, **values: object) -> str:
    parts = urlsplit(url)
    query = {
        **dict(parse_qsl(parts.query, keep_blank_values=True)),
        **{name: str(text) for name, text in values.items()},
    }
    return urlunsplit(parts._replace(query=urlencode(query)))


def test_knowing_a_digest_does_not_open_another_repos_file(hub: Hub, repo: str) -> None:
    upload = offers(hub, repo, transfers=["basic"])["upload"]["href"]
    assert httpx2.put(upload, content=CONTENT).status_code == 200
    assert commit(hub, repo, [header(), large()]).status_code == 200
    hub.client(hub.stranger).create_repo("mallory/thief", exist_ok=True)
    stolen = commit(hub, "mallory/thief", [header(), large(size=len(CONTENT))], hub.stranger)
    assert (stolen.status_code, "not uploaded here" in stolen.text) == (400, True)
    # Nor does the Hub say that it has the bytes.
    assert "upload" in offers(hub, "mallory/thief", transfers=["basic"], token=hub.stranger)
    verify = {"oid": DIGEST, "size": len(CONTENT)}
    assert send(hub, "POST", "/mallory/thief.git/info/lfs/verify", hub.stranger, json=verify).status_code == 404
    # A pointer spelled out as a plain file stays the text that it is.
    pointer = f"version https://git-lfs.github.com/spec/v1\noid sha256:{DIGEST}\nsize {len(CONTENT)}\n".encode()
    assert commit(hub, "mallory/thief", [header(), plain("model.txt", pointer)], hub.stranger).status_code == 200
    assert send(hub, "GET", "/mallory/thief/resolve/main/model.txt", hub.stranger).content == pointer


def test_a_commit_of_another_repo_or_of_no_branch_is_no_revision(hub: Hub, repo: str) -> None:
    api = hub.client()
    api.create_repo(f"{repo}-other")
    foreign = api.create_commit(f"{repo}-other", [CommitOperationAdd("a", b"1")], commit_message="x").oid
    assert send(hub, "GET", f"/api/models/{repo}/revision/{foreign}").headers["x-error-code"] == "RevisionNotFound"
    api.create_branch(repo, branch="gone")
    lost = api.create_commit(repo, [CommitOperationAdd("a", b"1")], commit_message="x", revision="gone").oid
    assert send(hub, "GET", f"/{repo}/resolve/{lost}/a").status_code == 200
    api.delete_branch(repo, branch="gone")
    assert send(hub, "GET", f"/{repo}/resolve/{lost}/a").status_code == 404


def test_a_forged_upload_url_is_refused_and_keeps_nothing(hub: Hub, repo: str) -> None:
    upload = offers(hub, repo, transfers=["basic"])["upload"]["href"]
    other = "0" * 64
    for url in (
        changed(upload, size_bytes=len(CONTENT) + 1),
        changed(upload, repo_id=1),
        changed(upload, part=1),
        changed(upload, expires_at_s=9_999_999_999),
        changed(upload, signature="ä"),
        upload.replace(DIGEST, other),
        upload.split("?")[0],
    ):
        assert httpx2.put(url, content=CONTENT).status_code == 403, url
    assert httpx2.post(upload, json={"oid": DIGEST, "parts": []}).status_code == 403  # another method
    assert httpx2.get(upload.replace("/uploads/", "/blobs/")).status_code == 403
    assert commit(hub, repo, [header(), large()]).status_code == 400


def test_bytes_that_are_not_what_was_announced_are_refused(hub: Hub, repo: str) -> None:
    before = set(hub.store.blobs.keys())
    upload = offers(hub, repo, transfers=["basic"], size=len(CONTENT))["upload"]["href"]
    for content in (CONTENT[:-1], CONTENT + b"x", CONTENT[::-1]):
        assert httpx2.put(upload, content=content).status_code in (400, 413)
    assert set(hub.store.blobs.keys()) - before == set()
    assert [path for path in hub.store.blobs.folder.iterdir() if path.is_file()] == []
    assert commit(hub, repo, [header(), large()]).status_code == 400


def test_an_upload_in_parts_needs_every_part_and_the_right_ones(hub: Hub, repo: str) -> None:
    action = offers(hub, repo, transfers=["basic", "multipart"])["upload"]
    urls = {int(name): url for name, url in action["header"].items() if name.isdigit()}
    assert len(urls) == 4 and action["header"]["chunk_size"] == "1000"
    pieces = {number: CONTENT[(number - 1) * 1000 : number * 1000] for number in urls}
    etags = {number: httpx2.put(urls[number], content=pieces[number]).headers["etag"] for number in (1, 2, 3)}

    def complete(**replaced: str) -> int:
        named = {**{str(number): etag for number, etag in etags.items()}, **replaced}
        parts = [{"partNumber": int(number), "etag": etag} for number, etag in named.items()]
        return httpx2.post(action["href"], json={"oid": DIGEST, "parts": parts}).status_code

    assert complete() == 400  # the last one is missing
    assert complete(**{"4": "../../" + "0" * 58}) == 400
    assert httpx2.put(urls[4], content=pieces[1]).status_code == 413  # longer than this part may be
    wrong = httpx2.put(urls[4], content=pieces[4][::-1]).headers["etag"]
    assert complete(**{"4": wrong}) == 400
    etags[4] = httpx2.put(urls[4], content=pieces[4]).headers["etag"]
    assert (complete(), complete()) == (200, 200)  # its answer may have been lost
    assert commit(hub, repo, [header(), large()]).status_code == 200
    assert send(hub, "GET", f"/{repo}/resolve/main/model.bin").content == CONTENT
    assert not any(hub.store.parts_folder.glob("*/*"))


@pytest.mark.parametrize(
    "lines",
    [
        [],
        [plain("a.txt")],
        [plain("a.txt"), header()],
        [header(), header()],
        [header(summary="  "), plain("a.txt")],
        [header(summary="\ud800"), plain("a.txt")],
        [header(parentCommit="not hex"), plain("a.txt")],
        [header(), b"not json"],
        [header(), b"[1]"],
        [header(), {"key": "unknown", "value": {"path": "a"}}],
        [header(), plain("/a.txt")],
        [header(), plain("a/./b")],
        [header(), plain("")],
        [header(), plain("a\ud800")],
        [header(), plain("a\nb")],
        [header(), plain("x" * 2000)],
        [header(), {"key": "file", "value": {"path": "a", "content": "%%%", "encoding": "base64"}}],
        [header(), large(oid="0" * 63)],
        [header(), large(size=-1)],
        [header(), *(plain(f"{number}") for number in range(60))],
    ],
)
def test_a_malformed_commit_is_refused_and_moves_nothing(hub: Hub, repo: str, lines: list[Any]) -> None:
    head = hub.client().model_info(repo).sha
    assert commit(hub, repo, lines).status_code == 400
    assert hub.client().model_info(repo).sha == head


def test_a_commit_or_a_question_that_is_too_long_is_refused(hub: Hub, repo: str) -> None:
    assert commit(hub, repo, [header(), plain("a.txt", b"x" * 100_000)]).status_code == 413
    body = {"files": [{"path": "a" * 9_000_000, "size": 1}]}
    assert send(hub, "POST", f"/api/models/{repo}/preupload/main", json=body).status_code in (400, 413)


def test_parts_of_a_file_are_served_and_an_unchanged_file_is_not_sent(hub: Hub, repo: str) -> None:
    hub.client().create_commit(repo, [CommitOperationAdd("model.bin", CONTENT)], commit_message="x")
    url = f"/{repo}/resolve/main/model.bin"
    whole = send(hub, "HEAD", url)
    assert (whole.headers["content-length"], whole.headers["etag"]) == (str(len(CONTENT)), f'"{DIGEST}"')
    assert "content-encoding" not in send(hub, "GET", url, headers={"Accept-Encoding": "gzip, deflate"}).headers
    for asked, content in (
        ("bytes=10-19", CONTENT[10:20]),
        ("bytes=3100-", CONTENT[3100:]),
        ("bytes=-5", CONTENT[-5:]),
        ("bytes=0-99999", CONTENT),
    ):
        answer = send(hub, "GET", url, headers={"Range": asked})
        assert (answer.status_code, answer.content) == (206, content)
    assert (
        send(hub, "GET", url, headers={"Range": "bytes=10-19"}).headers["content-range"]
        == f"bytes 10-19/{len(CONTENT)}"
    )
    assert send(hub, "GET", url, headers={"Range": "bytes=9999-"}).status_code == 416
    assert send(hub, "GET", url, headers={"Range": "lines=1-2"}).status_code == 200
    stale = send(hub, "GET", url, headers={"Range": "bytes=10-19", "If-Range": '"another"'})
    assert (stale.status_code, stale.content) == (200, CONTENT)
    assert send(hub, "GET", url, headers={"If-None-Match": f'"{DIGEST}"'}).status_code == 304
    head = hub.client().model_info(repo).sha
    assert "immutable" in send(hub, "HEAD", f"/{repo}/resolve/{head}/model.bin").headers["cache-control"]
    assert "cache-control" not in whole.headers


def test_a_token_expires(hub: Hub, repo: str) -> None:
    expired = issue_token(hub.store, "acme", "read", ["acme"], lifetime_s=-1)
    answer = send(hub, "GET", f"/api/models/{repo}", expired)
    assert (answer.status_code, answer.headers["x-error-message"]) == (
        401,
        "Invalid credentials in Authorization header",
    )


def test_no_token_lies_in_the_database(hub: Hub) -> None:
    stored = b"".join(path.read_bytes() for path in hub.folder.glob("hub.sqlite*"))
    for token in (hub.writer, hub.reader, hub.stranger):
        assert token.encode() not in stored
        assert hashlib.sha256(token.encode()).hexdigest().encode() in stored


def test_names_that_our_own_paths_use_are_refused(hub: Hub) -> None:
    for name in ("a..b", "-a", "a.git", "a/b/c", "", "x" * 97, "a--b"):
        answer = send(hub, "POST", "/api/repos/create", json={"name": name, "organization": "acme"})
        assert answer.status_code == 400, name
    with pytest.raises(ValueError, match="name"):
        issue_token(hub.store, "api", "write", ["api"])


def test_xet_is_refused_with_the_way_out(hub: Hub, repo: str) -> None:
    answer = send(hub, "GET", f"/api/models/{repo}/xet-write-token/main")
    assert answer.status_code == 404
    assert "HF_HUB_DISABLE_XET" in answer.headers["x-error-message"]
    assert send(hub, "GET", "/api/agent-harnesses").status_code == 404


def test_page_links_lead_to_the_configured_address_not_to_the_host_header(hub: Hub, repo: str) -> None:
    operations = [CommitOperationAdd(f"sub dir/{number}.txt", b"%d" % number) for number in range(25)]
    hub.client().create_commit(repo, operations, commit_message="x")
    path = f"/api/models/{repo}/tree/main/sub%20dir?recursive=true"
    link = send(hub, "GET", path, headers={"Host": "evil.example"}).headers["link"]
    assert link == f'<{hub.url}/api/models/{repo}/tree/main/sub%20dir?recursive=true&cursor=20>; rel="next"'
    assert len(send(hub, "GET", link[1 : link.index(">")]).json()) == 5


def test_two_uploads_of_one_file_at_once_do_not_mix(hub: Hub, repo: str) -> None:
    errors: list[BaseException] = []

    def upload(name: str) -> None:
        try:
            hub.client().create_commit(repo, [CommitOperationAdd(name, CONTENT * 30)], commit_message=name)
        except BaseException as error:
            errors.append(error)

    threads = [threading.Thread(target=upload, args=(f"{number}.bin",)) for number in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert errors == []
    for number in range(3):
        assert send(hub, "GET", f"/{repo}/resolve/main/{number}.bin").content == CONTENT * 30


@pytest.mark.skipif(shutil.which("git") is None, reason="git is not installed")
def test_a_repo_leaves_for_git_and_git_finds_nothing_wrong(hub: Hub, repo: str, tmp_path: Path) -> None:
    api = hub.client()
    first = [CommitOperationAdd(path, path.encode()) for path in ("a.txt", "a/b.txt", "a-b", "sub/deep/ä.txt", "empty")]
    api.create_commit(repo, [*first[:1], *first[2:]], commit_message="One", commit_description="More\n\nwords")
    api.create_commit(
        repo,
        [CommitOperationDelete("a.txt"), first[1], CommitOperationAdd("model.bin", CONTENT)],
        commit_message="Two",
    )
    folder = tmp_path / "export"
    subprocess.run(["git", "init", "-q", "--bare", folder], check=True)
    found = api.repo_info(repo)
    for kind, body in git_objects(hub, repo):
        content = f"{kind} {len(body)}\0".encode() + body
        oid = hashlib.sha1(content).hexdigest()
        path = folder / "objects" / oid[:2] / oid[2:]
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(zlib.compress(content))
    (folder / "HEAD").write_text("ref: refs/heads/main\n")
    (folder / "refs" / "heads" / "main").write_text(f"{found.sha}\n")
    git = ["git", "--git-dir", str(folder)]
    done = subprocess.run([*git, "fsck", "--full", "--strict"], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    listed = subprocess.run([*git, "ls-tree", "-r", "-z", "--name-only", "main"], capture_output=True, check=True)
    assert set(listed.stdout.decode().rstrip("\0").split("\0")) == set(api.list_repo_files(repo))
    subjects = subprocess.run([*git, "log", "--format=%s|%an", "main"], capture_output=True, text=True, check=True)
    assert subjects.stdout.splitlines() == ["Two|acme", "One|acme", "Initial commit|acme"]
