"""What the real client does against a public Hub works here too: the same answers, the same exceptions."""

from __future__ import annotations

import hashlib
import itertools
import threading
from collections.abc import Callable
from pathlib import Path

import pytest
from huggingface_hub import (
    CommitOperationAdd,
    CommitOperationDelete,
    HfApi,
    ModelCard,
    get_hf_file_metadata,
    hf_hub_url,
    snapshot_download,
)
from huggingface_hub.errors import (
    BadRequestError,
    EntryNotFoundError,
    HfHubHTTPError,
    RemoteEntryNotFoundError,
    RepositoryNotFoundError,
    RevisionNotFoundError,
)
from tests.conformance.hub.running import Hub

WEIGHTS = b"".join(hashlib.sha256(bytes([n])).digest() for n in range(256)) * 40  # 327,680 bytes that do not compress
NAMES = (f"acme/model-{number}" for number in itertools.count())


@pytest.fixture
def repo(hub: Hub) -> str:
    name = next(NAMES)
    hub.client().create_repo(name, private=True)
    return name


@pytest.fixture
def filled(hub: Hub, repo: str, tmp_path: Path) -> str:
    folder = tmp_path / "model"
    (folder / "sub folder").mkdir(parents=True)
    (folder / "model.safetensors").write_bytes(WEIGHTS)
    (folder / "config.json").write_text('{"a": 1}')
    (folder / "empty.txt").write_bytes(b"")
    (folder / "sub folder" / "100 % älter.txt").write_text("ä")
    hub.client().upload_folder(repo_id=repo, folder_path=folder, commit_message="All at once")
    return repo


def status_of(act: Callable[[], object]) -> int:
    with pytest.raises(HfHubHTTPError) as caught:
        act()
    return int(caught.value.response.status_code)


def add(path: str, content: bytes) -> CommitOperationAdd:
    return CommitOperationAdd(path_in_repo=path, path_or_fileobj=content)


def test_a_token_says_whose_it_is(hub: Hub) -> None:
    me = hub.client().whoami()
    assert (me["name"], me["auth"]["accessToken"]["role"]) == ("acme", "write")


def test_a_wrong_token_is_called_wrong_not_a_missing_repo(hub: Hub, repo: str) -> None:
    with pytest.raises(HfHubHTTPError, match="Invalid credentials") as caught:
        hub.client("hf_wrong").model_info(repo)
    assert not isinstance(caught.value, RepositoryNotFoundError)


def test_a_repo_is_created_once(hub: Hub, repo: str) -> None:
    api = hub.client()
    assert api.model_info(repo).private
    assert api.create_repo(repo, exist_ok=True).repo_id == repo
    assert status_of(lambda: api.create_repo(repo)) == 409
    assert status_of(lambda: api.create_repo(repo.upper().replace("ACME", "acme"))) == 409  # one folder on many disks


def test_a_folder_is_one_commit_and_comes_back_whole(hub: Hub, filled: str) -> None:
    api = hub.client()
    assert [commit.title for commit in api.list_repo_commits(filled)] == ["All at once", "Initial commit"]
    folder = Path(api.snapshot_download(filled))
    assert (folder / "model.safetensors").read_bytes() == WEIGHTS
    assert (folder / "empty.txt").read_bytes() == b""
    assert (folder / "sub folder" / "100 % älter.txt").read_text() == "ä"


def test_the_same_folder_again_makes_no_commit(hub: Hub, filled: str) -> None:
    api = hub.client()
    head = api.model_info(filled).sha
    done = api.create_commit(
        filled, [add("config.json", b'{"a": 1}'), add("model.safetensors", WEIGHTS)], commit_message="x"
    )
    assert done.oid == head
    assert api.model_info(filled).sha == head


def test_a_tag_is_set_once_and_never_moved(hub: Hub, filled: str) -> None:
    api = hub.client()
    first = api.model_info(filled).sha
    api.create_tag(filled, tag="v1.0.0", tag_message="first")
    api.create_commit(filled, [add("new.txt", b"new")], commit_message="Later")
    assert status_of(lambda: api.create_tag(filled, tag="v1.0.0")) == 409
    api.create_tag(filled, tag="v1.0.0", exist_ok=True)
    assert api.model_info(filled, revision="v1.0.0").sha == first
    api.delete_tag(filled, tag="v1.0.0")
    with pytest.raises(RevisionNotFoundError):
        api.delete_tag(filled, tag="v1.0.0")


def test_a_card_travels_and_a_bad_header_is_refused(hub: Hub, repo: str) -> None:
    text = "---\nlicense: apache-2.0\nlanguage:\n- en\n---\n# A model\n"
    api = hub.client()
    # `ModelCard.push_to_hub` knows the public Hub only, so the card travels as a file, as ours does.
    api.create_commit(repo, [add("README.md", text.encode())], commit_message="Card")
    assert ModelCard.load(api.hf_hub_download(repo, "README.md")).data.license == "apache-2.0"
    with pytest.raises(ValueError, match="not YAML"):
        api.create_commit(repo, [add("README.md", b"---\nlicense: [unclosed\n---\n")], commit_message="Bad card")
    assert ModelCard.load(api.hf_hub_download(repo, "README.md")).data.license == "apache-2.0"


def test_refs_commits_and_branches(hub: Hub, filled: str) -> None:
    api = hub.client()
    api.create_tag(filled, tag="v1")
    api.create_branch(filled, branch="try/it")
    api.create_commit(filled, [add("only-here.txt", b"1")], commit_message="On the branch", revision="try/it")
    assert status_of(lambda: api.create_branch(filled, branch="try/it")) == 409
    refs = api.list_repo_refs(filled, include_pull_requests=True)
    assert {branch.name for branch in refs.branches} == {"main", "try/it"}
    assert [tag.ref for tag in refs.tags] == ["refs/tags/v1"]
    assert not api.file_exists(filled, "only-here.txt")
    assert api.file_exists(filled, "only-here.txt", revision="try/it")
    api.create_tag(filled, tag="from-branch", revision="try/it")
    assert (
        api.model_info(filled, revision="from-branch").sha == api.model_info(filled, revision="refs/heads/try/it").sha
    )
    api.delete_branch(filled, branch="try/it")
    assert not api.revision_exists(filled, "try/it")
    assert api.revision_exists(filled, "from-branch")
    assert status_of(lambda: api.delete_branch(filled, branch="main")) == 403
    with pytest.raises(RevisionNotFoundError):
        api.model_info(filled, revision="refs/pr/1")


def test_the_tree_names_large_files_by_their_digest(hub: Hub, filled: str, request: pytest.FixtureRequest) -> None:
    api = hub.client()
    tree = {item.path: item for item in api.list_repo_tree(filled, recursive=True)}
    assert set(tree) == {
        ".gitattributes", "config.json", "empty.txt", "model.safetensors", "sub folder", "sub folder/100 % älter.txt",
    }  # fmt: skip
    assert {item.path for item in api.list_repo_tree(filled, "sub folder")} == {"sub folder/100 % älter.txt"}
    with pytest.raises(EntryNotFoundError):
        list(api.list_repo_tree(filled, "nowhere"))
    weights = tree["model.safetensors"]
    assert weights.size == len(WEIGHTS)
    if "regular" in request.node.name:
        body = b"blob %d\0" % len(WEIGHTS) + WEIGHTS
        assert (weights.lfs, weights.blob_id) == (None, hashlib.sha1(body).hexdigest())
    else:
        assert weights.lfs.sha256 == hashlib.sha256(WEIGHTS).hexdigest()


def test_file_sizes_and_digests_are_told_for_head_and_tag(hub: Hub, filled: str) -> None:
    api = hub.client()
    api.create_tag(filled, tag="v1")
    for revision in (None, "v1"):
        info = api.model_info(filled, revision=revision, files_metadata=True)
        sizes = {item.rfilename: item.size for item in info.siblings}
        assert sizes["model.safetensors"] == len(WEIGHTS)
        config = next(item for item in info.siblings if item.rfilename == "config.json")
        assert config.blob_id == hashlib.sha1(b'blob 8\0{"a": 1}').hexdigest()


def test_paths_that_are_missing_are_left_out(hub: Hub, filled: str) -> None:
    found = hub.client().get_paths_info(filled, ["config.json", "missing", "sub folder"])
    assert [item.path for item in found] == ["config.json", "sub folder"]


def test_metadata_of_a_file_is_its_digest_size_and_commit(
    hub: Hub, filled: str, request: pytest.FixtureRequest
) -> None:
    url = hf_hub_url(filled, "model.safetensors", endpoint=hub.url)
    metadata = get_hf_file_metadata(url, token=hub.writer, endpoint=hub.url)
    assert (metadata.size, metadata.commit_hash) == (len(WEIGHTS), hub.client().model_info(filled).sha)
    if "regular" not in request.node.name:
        assert metadata.etag == hashlib.sha256(WEIGHTS).hexdigest()
    assert metadata.location.startswith(hub.url) is ("redirect" not in request.node.name)


def test_a_snapshot_by_tag_is_found_again_offline(hub: Hub, filled: str, tmp_path: Path) -> None:
    hub.client().create_tag(filled, tag="v1")
    options = {"repo_id": filled, "revision": "v1", "endpoint": hub.url, "cache_dir": tmp_path / "c"}
    online = snapshot_download(**options, token=hub.writer)
    assert snapshot_download(**options, local_files_only=True) == online


def test_what_exists_and_what_does_not(hub: Hub, filled: str) -> None:
    api = hub.client()
    assert api.repo_exists(filled) and not api.repo_exists("acme/nothing")
    assert api.file_exists(filled, "config.json") and not api.file_exists(filled, "config.yaml")
    with pytest.raises(RemoteEntryNotFoundError):
        api.hf_hub_download(filled, "config.yaml")
    with pytest.raises(RevisionNotFoundError):
        api.hf_hub_download(filled, "config.json", revision="v9")
    with pytest.raises(RevisionNotFoundError):
        api.model_info(filled, revision="0" * 40)


def test_a_stranger_cannot_tell_a_private_repo_from_a_missing_one(hub: Hub, filled: str) -> None:
    for token, status in ((False, 401), (hub.stranger, 404)):
        api = hub.client(token)
        answers = []
        for name in (filled, "acme/nothing"):
            for act in (
                lambda api=api, name=name: api.model_info(name),
                lambda api=api, name=name: api.create_tag(name, tag="v1"),
                lambda api=api, name=name: api.create_commit(name, [add("x", b"")], commit_message="x"),
            ):
                with pytest.raises(RepositoryNotFoundError) as caught:
                    act()
                answers.append((caught.value.response.status_code, caught.value.response.text))
        assert {answer[0] for answer in answers} == {status}
        assert len({answer[1] for answer in answers}) == 1
        assert not api.repo_exists(filled)


def test_a_reader_reads_and_writes_nothing(hub: Hub, filled: str) -> None:
    api = hub.client(hub.reader)
    assert Path(api.hf_hub_download(filled, "config.json")).read_text() == '{"a": 1}'
    assert status_of(lambda: api.create_commit(filled, [add("x", b"1")], commit_message="x")) == 403
    assert status_of(lambda: api.create_repo("acme/readers-own")) == 403
    assert status_of(lambda: hub.client(hub.stranger).create_repo("acme/strangers-own")) == 403
    assert status_of(lambda: api.delete_repo(filled)) == 403


def test_a_shown_repo_is_read_without_a_token(hub: Hub, filled: str) -> None:
    assert status_of(lambda: hub.client().update_repo_settings(filled, visibility="public")) == 403
    hub.client(hub.admin).update_repo_settings(filled, visibility="public")
    anonymous = hub.client(False)
    assert not anonymous.model_info(filled).private
    assert status_of(lambda: anonymous.create_commit(filled, [add("x", b"1")], commit_message="x")) == 401
    assert status_of(lambda: hub.client(hub.stranger).create_tag(filled, tag="v1")) == 403


def test_files_and_folders_are_removed_in_the_commit_that_adds(hub: Hub, filled: str) -> None:
    api = hub.client()
    operations = [CommitOperationDelete("sub folder/"), CommitOperationDelete("config.json"), add("b.txt", b"b")]
    api.create_commit(filled, operations, commit_message="Tidy")
    assert set(api.list_repo_files(filled)) == {".gitattributes", "model.safetensors", "empty.txt", "b.txt"}
    with pytest.raises(EntryNotFoundError):
        api.create_commit(filled, [CommitOperationDelete("not there")], commit_message="Tidy again")


def test_a_commit_on_a_parent_that_has_moved_is_refused(hub: Hub, filled: str) -> None:
    api = hub.client()
    parent = api.model_info(filled).sha
    api.create_commit(filled, [add("a.txt", b"a")], commit_message="First", parent_commit=parent[:7])
    stale = lambda: api.create_commit(filled, [add("b.txt", b"b")], commit_message="Second", parent_commit=parent)  # noqa: E731
    assert status_of(stale) == 412
    assert not api.file_exists(filled, "b.txt")


def test_twelve_commits_at_once_all_land(hub: Hub, repo: str) -> None:
    errors: list[BaseException] = []

    def commit(number: int) -> None:
        try:
            content = b"%d" % number + WEIGHTS[:200_000]
            operations = [add(f"{number}.bin", content)]
            HfApi(endpoint=hub.url, token=hub.writer).create_commit(repo, operations, commit_message=f"No. {number}")
        except BaseException as error:
            errors.append(error)

    threads = [threading.Thread(target=commit, args=(number,)) for number in range(12)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert errors == []
    assert len(hub.client().list_repo_files(repo)) == 13
    assert len(list(hub.client().list_repo_commits(repo))) == 13


def test_of_twelve_commits_on_one_parent_one_lands(hub: Hub, repo: str) -> None:
    parent = hub.client().model_info(repo).sha
    outcomes: list[int] = []

    def commit(number: int) -> None:
        try:
            operations = [add("which.txt", b"%d" % number)]
            hub.client().create_commit(repo, operations, commit_message="Race", parent_commit=parent)
            outcomes.append(200)
        except HfHubHTTPError as error:
            outcomes.append(error.response.status_code)

    threads = [threading.Thread(target=commit, args=(number,)) for number in range(12)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(outcomes) == [200] + [412] * 11


def test_a_long_tree_and_a_long_history_come_page_by_page(hub: Hub, repo: str) -> None:
    api = hub.client()
    api.create_commit(repo, [add(f"many/{n:04d}.txt", b"%d" % n) for n in range(45)], commit_message="Many")
    assert len(list(api.list_repo_tree(repo, recursive=True))) == 47  # one folder, .gitattributes
    for number in range(21):
        api.create_commit(repo, [add("count.txt", b"%d" % number)], commit_message=f"{number}")
    assert len(list(api.list_repo_commits(repo))) == 23


def test_a_dataset_is_kept_apart_from_a_model_of_the_same_name(hub: Hub, filled: str) -> None:
    api = hub.client()
    api.create_repo(filled, repo_type="dataset", private=True)
    api.create_commit(filled, [add("rows.bin", WEIGHTS)], commit_message="Rows", repo_type="dataset")
    path = api.hf_hub_download(filled, "rows.bin", repo_type="dataset")
    assert Path(path).read_bytes() == WEIGHTS
    assert not api.file_exists(filled, "rows.bin")


def test_a_deleted_repo_is_gone_and_its_name_is_free_and_empty(hub: Hub, filled: str) -> None:
    assert status_of(lambda: hub.client().delete_repo(filled)) == 403
    api = hub.client(hub.admin)
    api.delete_repo(filled)
    assert not api.repo_exists(filled)
    with pytest.raises(RepositoryNotFoundError):
        api.delete_repo(filled)
    api.create_repo(filled)
    assert api.list_repo_files(filled) == [".gitattributes"]


def test_names_and_paths_that_lead_astray_are_refused(hub: Hub, repo: str) -> None:
    api = hub.client()
    for tag in ("a..b", "x.lock", "a b", "0" * 40):
        assert status_of(lambda tag=tag: api.create_tag(repo, tag=tag)) == 400
    for path in ("a/../b", "a//b", "a/.GIT/config", "back\\slash"):
        operation = add("fine", b"1")
        operation.path_in_repo = path
        with pytest.raises(BadRequestError):
            api.create_commit(repo, [operation], commit_message="Astray")
    with pytest.raises(BadRequestError, match="folder"):
        api.create_commit(repo, [add("a", b"1"), add("a/b", b"2")], commit_message="Both")
