"""What a team's Hub keeps in order: garbage, room, tokens, and the record of who did what."""

from __future__ import annotations

import hashlib
import itertools
import json
import os
import random
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from huggingface_hub import CommitOperationAdd, CommitOperationDelete
from huggingface_hub.errors import HfHubHTTPError, RepositoryNotFoundError
from sqlalchemy import text
from tests.conformance.hub.running import Hub, running_hub

from projectone.server.audit import AuditLog
from projectone.server.cli import main
from projectone.server.hubd import garbage, issue_token
from projectone.server.hubd.garbage import collect, remove_unused

CONTENT = hashlib.sha256(b"kept").digest() * 1000
NAMES = (f"acme/kept-{number}" for number in itertools.count())


@pytest.fixture
def hub(tmp_path: Path) -> Iterator[Hub]:
    with running_hub(tmp_path, "in-process") as running:
        yield running


@pytest.fixture
def repo(hub: Hub) -> str:
    name = next(NAMES)
    hub.client().create_repo(name)
    return name


def push(hub: Hub, repo: str, path: str, content: bytes, *others: CommitOperationDelete, branch: str = "main") -> str:
    operations = [CommitOperationAdd(path, content), *others]
    return str(hub.client().create_commit(repo, operations, commit_message=path, revision=branch).oid)


def age(hub: Hub, days: float = 2.0) -> None:
    """As if everything had come some days ago."""
    for key in set(hub.store.blobs.keys()):
        path = hub.store.blobs.path_of(key)
        os.utime(path, (path.stat().st_atime, path.stat().st_mtime - days * 86_400))
    with hub.store.writing() as rows:
        rows._connection.execute(
            text("UPDATE hub_uploads SET uploaded_at_s = uploaded_at_s - :s"), {"s": days * 86_400}
        )


def digest(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def test_what_no_reference_leads_to_goes_and_all_else_stays(hub: Hub, repo: str) -> None:
    api, admin = hub.client(), hub.client(hub.admin)
    kept = {name: CONTENT + name.encode() for name in ("main", "old", "tagged", "proposed")}
    push(hub, repo, "main.bin", kept["main"])
    push(hub, repo, "old.bin", kept["old"])
    push(hub, repo, "new.txt", b"plain", CommitOperationDelete("old.bin"))  # still in main's history
    api.create_branch(repo, branch="try")
    push(hub, repo, "lost.bin", b"lost" + CONTENT, branch="try")
    push(hub, repo, "lost.txt", b"lost and plain", branch="try")
    push(hub, repo, "tagged.bin", kept["tagged"], branch="try")
    api.create_tag(repo, tag="keep", revision="try")
    api.create_branch(repo, branch="gone")
    push(hub, repo, "gone.bin", b"gone" + CONTENT, branch="gone")
    push(hub, repo, "gone.txt", b"gone and plain", branch="gone")
    operation = CommitOperationAdd("proposed.bin", kept["proposed"])
    api.create_commit(repo, [operation], commit_message="p", create_pr=True)
    api.delete_branch(repo, branch="gone"), api.delete_branch(repo, branch="try")
    admin.create_repo("acme/deleted")
    push(hub, "acme/deleted", "deleted.bin", b"deleted" + CONTENT)
    admin.delete_repo("acme/deleted")
    before = set(hub.store.blobs.keys())
    assert collect(hub.store, older_than_s=86_400, by="ada").n_blobs == 0, "all of it is young"
    age(hub)
    seen = collect(hub.store, older_than_s=86_400, by="ada", is_dry_run=True)
    assert set(hub.store.blobs.keys()) == before
    done = collect(hub.store, older_than_s=86_400, by="ada")
    gone = before - set(hub.store.blobs.keys())
    expected = {digest(b"gone" + CONTENT), digest(b"gone and plain"), digest(b"deleted" + CONTENT)}
    assert (gone, done.n_blobs, seen.n_blobs, seen.n_bytes) == (expected, 3, 3, done.n_bytes)
    for path, revision in (("main.bin", "main"), ("tagged.bin", "keep"), ("lost.bin", "keep"), ("lost.txt", "keep")):
        assert Path(api.hf_hub_download(repo, path, revision=revision)).stat().st_size > 0
    assert Path(api.hf_hub_download(repo, "proposed.bin", revision="refs/pr/1")).read_bytes() == kept["proposed"]
    old = next(item.commit_id for item in api.list_repo_commits(repo) if item.title == "old.bin")
    assert Path(api.hf_hub_download(repo, "old.bin", revision=old)).read_bytes() == kept["old"]
    assert collect(hub.store, older_than_s=86_400, by="ada").n_blobs == 0


def test_after_a_squash_the_past_goes(hub: Hub, repo: str) -> None:
    push(hub, repo, "model.bin", CONTENT + b"1")
    push(hub, repo, "model.bin", CONTENT + b"2")
    hub.client(hub.admin).super_squash_history(repo)
    age(hub)
    found = collect(hub.store, older_than_s=86_400, by="ada")
    assert (hub.store.blobs.has(digest(CONTENT + b"1")), hub.store.blobs.has(digest(CONTENT + b"2"))) == (False, True)
    assert (found.n_objects > 0, found.n_uploads) == (True, 1)


def test_a_collection_beside_pushes_takes_nothing_that_was_pushed(hub: Hub, repo: str) -> None:
    api = hub.client()
    draw = random.Random(0)
    contents = [draw.randbytes(2000) for _ in range(3)]
    for number, content in enumerate(contents):  # the same bytes lie there, old and unused
        push(hub, repo, f"{number}.bin", content)
        push(hub, repo, f"{number}.txt", content[:500])
    hub.client(hub.admin).super_squash_history(repo)
    deletions = [CommitOperationDelete(f"{n}.{kind}") for n in range(3) for kind in ("bin", "txt")]
    api.create_commit(repo, deletions, commit_message="away")
    hub.client(hub.admin).super_squash_history(repo)
    age(hub)
    stop, errors, refused = threading.Event(), [], []

    def sweep() -> None:
        while not stop.wait(0.02):
            try:
                collect(hub.store, older_than_s=60, by="ada")
            except BaseException as error:
                errors.append(error)

    sweeper = threading.Thread(target=sweep)
    sweeper.start()
    for number, content in enumerate(contents):
        for path, piece in ((f"{number}.bin", content), (f"{number}.txt", content[:500])):
            for _ in range(5):
                try:
                    push(hub, repo, path, piece)
                    break
                except (HfHubHTTPError, ValueError) as error:  # told to send again
                    refused.append(error)
    stop.set()
    sweeper.join()
    assert errors == []
    for number, content in enumerate(contents):
        assert Path(api.hf_hub_download(repo, f"{number}.bin", force_download=True)).read_bytes() == content
        assert Path(api.hf_hub_download(repo, f"{number}.txt", force_download=True)).read_bytes() == content[:500]


def test_bytes_that_go_between_upload_and_commit_are_asked_for_again_not_committed(
    hub: Hub, repo: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And the control: without the question a commit names bytes that are gone."""
    for asks in (True, False):
        content = CONTENT[:1000] + str(asks).encode()
        put = hub.store.blobs.put

        def and_lose(pieces: Any, content: bytes = content, put: Any = put, **options: Any) -> str:
            key: str = put(pieces, **options)
            if key == digest(content):
                remove_unused(hub.store, {key})
            return key

        monkeypatch.setattr(hub.store.blobs, "put", and_lose)
        if not asks:
            monkeypatch.setattr("projectone.server.hubd.commits._refuse_collected", lambda *_: None)
        try:
            push(hub, repo, f"{asks}.txt", content)
            was_taken = True
        except HfHubHTTPError as error:
            assert error.response.status_code == 503
            was_taken = False
        monkeypatch.setattr(hub.store.blobs, "put", put)
        assert (was_taken, hub.store.blobs.has(digest(content))) == (not asks, False)


def test_by_age_alone_a_push_would_lose_its_file(hub: Hub, repo: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The control of the sweep: were the rows not asked, what is old goes, used or not."""
    push(hub, repo, "model.bin", CONTENT)
    age(hub)
    monkeypatch.setattr("projectone.server.hubd.repos.Rows.in_use", lambda self, digests: set())
    collect(hub.store, older_than_s=86_400, by="ada")
    assert not hub.store.blobs.has(digest(CONTENT))


def test_a_namespace_holds_what_it_may_and_what_is_there_twice_counts_once(hub: Hub, repo: str) -> None:
    object.__setattr__(hub.app.state.settings, "quota_bytes", 3 * len(CONTENT))
    push(hub, repo, "1.bin", CONTENT)
    push(hub, repo, "2.bin", CONTENT)
    other = f"{repo}-other"
    hub.client().create_repo(other)
    push(hub, other, "1.bin", CONTENT)
    push(hub, repo, "3.bin", CONTENT[::-1])
    head = hub.client().model_info(repo).sha
    with pytest.raises(ValueError, match="may hold"):
        push(hub, repo, "4.bin", CONTENT[1:] + b"4")
    with pytest.raises(HfHubHTTPError, match="413"):
        push(hub, repo, "4.txt", CONTENT[1:] + b"5")
    assert hub.client().model_info(repo).sha == head
    stranger = hub.client(hub.stranger)
    stranger.create_repo("mallory/own")
    stranger.create_commit("mallory/own", [CommitOperationAdd("1.bin", CONTENT[2:])], commit_message="x")


def test_a_token_for_one_repository_opens_no_other(hub: Hub, repo: str) -> None:
    narrow = hub.client(issue_token(hub.store, "ci", "write", [repo]))
    hub.client().create_repo(f"{repo}-secret")
    narrow.create_commit(repo, [CommitOperationAdd("a.txt", b"1")], commit_message="x")
    with pytest.raises(RepositoryNotFoundError):
        narrow.model_info(f"{repo}-secret")
    with pytest.raises(HfHubHTTPError, match="403"):
        narrow.create_repo(f"{repo}-third")
    assert [model.id for model in narrow.list_models()] == [repo]
    with pytest.raises(ValueError, match="name"):
        issue_token(hub.store, "ci", "write", ["acme/a/b"])


def test_every_push_deletion_and_token_is_on_record_and_no_word_of_anybody(hub: Hub, repo: str) -> None:
    push(hub, repo, "a.bin", CONTENT)
    hub.client().create_tag(repo, tag="möhre")
    hub.client().delete_tag(repo, tag="möhre")
    hub.client(hub.admin).super_squash_history(repo, commit_message="somebody's words")
    hub.client(hub.admin).permanently_delete_lfs_files(repo, list(hub.client().list_lfs_files(repo)))
    hub.client(hub.admin).delete_repo(repo)
    log = AuditLog(hub.store._engine)
    entries = log.newest(100)[::-1]
    assert [(entry.act, entry.actor) for entry in entries[4:]] == [
        ("hub-repo-created", "acme"),
        ("hub-pushed", "acme"),
        ("hub-ref-set", "acme"),
        ("hub-ref-deleted", "acme"),
        ("hub-squashed", "owner"),
        ("hub-files-deleted", "owner"),
        ("hub-repo-deleted", "owner"),
    ]
    assert [entry.act for entry in entries[:4]] == ["hub-token-created"] * 4
    assert {entry.subject for entry in entries[4:]} == {f"models/{repo}"}
    assert "möhre" not in str(entries) and "words" not in str(entries)
    assert log.verify().is_sound
    head = len(entries)
    with pytest.raises(HfHubHTTPError):
        hub.client(hub.reader).create_repo("acme/refused")
    assert log.n_entries() == head, "what was refused was not done"


def test_an_operator_gives_tokens_out_takes_them_back_and_collects(
    hub: Hub, repo: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    home = hub.folder
    (home / "keys").mkdir()
    (home / "keys" / "release.key").write_bytes(b"no command of these opens it")
    monkeypatch.setenv("PROJECTONE_SERVER_HOME", str(home))
    monkeypatch.setenv("PROJECTONE_SERVER_DATABASE_URL", f"sqlite:///{home / 'hub.sqlite'}")
    monkeypatch.setattr("projectone.server.serve.hub.upgrade_database", lambda engine: None)  # the tables are there

    def run(*words: str) -> tuple[int, dict[str, Any]]:
        code = main(["hub", *words, "--json"])
        answer: dict[str, Any] = json.loads(capsys.readouterr().out)
        return code, answer

    code, made = run("tokens", "create", "ci", "--role", "write", "--scope", repo, "--days", "1")
    api = hub.client(made["token"])
    api.create_commit(repo, [CommitOperationAdd("a.bin", CONTENT)], commit_message="x")
    _, listed = run("tokens", "list")
    mine = [one for one in listed["tokens"] if one["name"] == "ci"]
    assert (code, [(one["role"], one["scopes"], one["is_valid"]) for one in mine]) == (0, [("write", [repo], True)])
    assert made["token"] not in json.dumps(listed)
    code, ended = run("tokens", "revoke", "ci")
    assert (code, ended["revoked"]) == (0, [mine[0]["token_id"]])
    with pytest.raises(HfHubHTTPError, match="Invalid credentials"):
        api.model_info(repo)
    assert run("tokens", "revoke", "ci")[1]["error"]["reason"] == "token-unknown"
    assert run("tokens", "create", "ci", "--role", "write", "--scope", repo, "--days", "nan")[0] == 2
    assert run("usage")[1]["namespaces"]["acme"] > len(CONTENT)
    assert run("gc", "--hours", "1")[0] == 2
    hub.client(hub.admin).delete_repo(repo)
    age(hub)
    assert run("gc", "--dry-run")[1]["n_blobs"] == run("gc")[1]["n_blobs"] > 0
    assert run("gc")[1]["n_blobs"] == 0
    acts = [entry.act for entry in AuditLog(hub.store._engine).newest(50)]
    assert acts.count("hub-collected") == 2 and acts.count("hub-token-revoked") == 1


def test_a_long_list_of_blobs_is_swept_in_pieces(hub: Hub, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(garbage, "_BATCH", 3)
    for number in range(10):
        hub.store.blobs.put([b"%d" % number])
    age(hub)
    assert collect(hub.store, older_than_s=86_400, by="ada").n_blobs == 10
