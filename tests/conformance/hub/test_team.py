"""Proposals, squashed histories, files deleted for good, long listings: what a team does with a Hub besides pushing."""

from __future__ import annotations

import hashlib
import itertools
from collections.abc import Iterator
from pathlib import Path

import pytest
from huggingface_hub import CommitOperationAdd
from huggingface_hub.errors import EntryNotFoundError, HfHubHTTPError, RevisionNotFoundError
from tests.conformance.hub.running import Hub, running_hub

WEIGHTS = hashlib.sha256(b"voice").digest() * 4000
NAMES = (f"acme/team-{number}" for number in itertools.count())


@pytest.fixture(scope="module")
def hub(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Hub]:
    with running_hub(tmp_path_factory.mktemp("team"), "redirect", page_length=1000) as running:
        yield running


@pytest.fixture
def repo(hub: Hub) -> str:
    name = next(NAMES)
    hub.client().create_repo(name)
    return name


def push(hub: Hub, repo: str, title: str, revision: str = "main", **files: bytes) -> str:
    operations = [CommitOperationAdd(name.replace("__", "."), content) for name, content in files.items()]
    return str(hub.client().create_commit(repo, operations, commit_message=title, revision=revision).oid)


def titles(hub: Hub, repo: str, revision: str = "main") -> list[str]:
    return [commit.title for commit in hub.client().list_repo_commits(repo, revision=revision)]


def test_a_proposed_commit_leaves_the_branch_alone_and_grows_by_further_commits(hub: Hub, repo: str) -> None:
    api = hub.client()
    head = push(hub, repo, "First", a__txt=b"1")
    operation = CommitOperationAdd("a.txt", b"2")
    proposed = api.create_commit(repo, [operation], commit_message="Proposed", create_pr=True, parent_commit=head)
    assert (proposed.pr_num, proposed.pr_revision) == (1, "refs/pr/1")
    assert api.model_info(repo).sha == head
    push(hub, repo, "More of it", "refs/pr/1", b__bin=WEIGHTS)
    assert titles(hub, repo, "refs/pr/1")[:3] == ["More of it", "Proposed", "First"]
    path = api.hf_hub_download(repo, "a.txt", revision="refs/pr/1")
    assert Path(path).read_bytes() == b"2"
    second = api.create_commit(
        repo, [CommitOperationAdd("a.txt", b"3")], commit_message="Other", create_pr=True, revision="main"
    )
    assert second.pr_num == 2
    assert api.list_repo_refs(repo).pull_requests is None
    found = api.list_repo_refs(repo, include_pull_requests=True)
    assert [item.ref for item in found.pull_requests] == ["refs/pr/1", "refs/pr/2"]
    stale = CommitOperationAdd("a.txt", b"4")
    push(hub, repo, "Main moves", c__txt=b"1")
    with pytest.raises(HfHubHTTPError, match="412"):
        api.create_commit(repo, [stale], commit_message="Late", create_pr=True, parent_commit=head)


def test_a_squashed_branch_is_one_commit_of_the_same_files_and_tags_keep_theirs(hub: Hub, repo: str) -> None:
    api = hub.client()
    first = push(hub, repo, "First", a__bin=WEIGHTS)
    api.create_tag(repo, tag="v1")
    push(hub, repo, "Second", b__txt=b"b")
    before = set(api.list_repo_files(repo))
    with pytest.raises(HfHubHTTPError, match="role admin"):
        api.super_squash_history(repo)
    hub.client(hub.admin).super_squash_history(repo, commit_message="All that was")
    assert titles(hub, repo) == ["All that was"]
    assert set(api.list_repo_files(repo)) == before
    assert api.model_info(repo, revision="v1").sha == first
    with pytest.raises(RevisionNotFoundError):
        hub.client(hub.admin).super_squash_history(repo, branch="nowhere")


def test_large_files_are_listed_and_deleted_from_every_commit_and_from_the_disk(hub: Hub, repo: str) -> None:
    api = hub.client()
    old, new = WEIGHTS + repo.encode(), WEIGHTS[::-1] + repo.encode()
    first = push(hub, repo, "First", a__bin=old, keep__txt=b"k")
    api.create_tag(repo, tag="v1")
    push(hub, repo, "Second", a__bin=new)
    listed = {item.file_oid: item for item in api.list_lfs_files(repo)}
    digests = [hashlib.sha256(content).hexdigest() for content in (old, new)]
    assert set(listed) == set(digests)
    assert [(listed[d].filename, listed[d].ref, listed[d].size) for d in digests] == [
        ("a.bin", "refs/tags/v1", len(old)),
        ("a.bin", "refs/heads/main", len(new)),
    ]
    with pytest.raises(HfHubHTTPError, match="role admin"):
        api.permanently_delete_lfs_files(repo, [listed[digests[0]]])
    hub.client(hub.admin).permanently_delete_lfs_files(repo, [listed[digests[0]]])
    assert [item.file_oid for item in api.list_lfs_files(repo)] == [digests[1]]
    assert (hub.store.blobs.has(digests[0]), hub.store.blobs.has(digests[1])) == (False, True)
    # The history is another one without it; what else it held is there, and the old commit is no revision any more.
    assert titles(hub, repo) == ["Second", "First", "Initial commit"]
    assert set(api.list_repo_files(repo, revision="v1")) == {".gitattributes", "keep.txt"}
    with pytest.raises(RevisionNotFoundError):
        api.model_info(repo, revision=first)
    assert Path(api.hf_hub_download(repo, "a.bin")).read_bytes() == new


def test_a_file_deleted_without_rewriting_is_a_pointer_to_nothing_until_it_comes_again(hub: Hub, repo: str) -> None:
    api = hub.client()
    content = WEIGHTS + repo.encode()
    commit = push(hub, repo, "First", a__bin=content)
    hub.client(hub.admin).permanently_delete_lfs_files(repo, list(api.list_lfs_files(repo)), rewrite_history=False)
    assert (api.model_info(repo).sha, "a.bin" in api.list_repo_files(repo)) == (commit, True)
    with pytest.raises(EntryNotFoundError):
        api.hf_hub_download(repo, "a.bin", force_download=True)
    push(hub, repo, "Another file", b__txt=b"goes on")
    push(hub, repo, "Under another name", c__bin=content)
    assert Path(api.hf_hub_download(repo, "c.bin")).read_bytes() == content


def test_bytes_that_another_repository_holds_stay_with_it(hub: Hub, repo: str) -> None:
    api, other = hub.client(), f"{repo}-other"
    api.create_repo(other)
    content = WEIGHTS + repo.encode()
    for name in (repo, other):
        push(hub, name, "First", a__bin=content)
    hub.client(hub.admin).permanently_delete_lfs_files(repo, list(api.list_lfs_files(repo)))
    assert Path(api.hf_hub_download(other, "a.bin")).read_bytes() == content
    assert list(api.list_lfs_files(repo)) == []


def test_a_tree_of_1001_files_and_a_list_of_many_repositories_come_in_pages(hub: Hub, repo: str) -> None:
    api = hub.client()
    operations = [CommitOperationAdd(f"{number // 100}/{number}.txt", b"%d" % number) for number in range(1001)]
    api.create_commit(repo, operations, commit_message="Many")
    files = {item.path for item in api.list_repo_tree(repo, recursive=True) if hasattr(item, "size")}
    assert len(files) >= 1002
    assert len(api.list_repo_files(repo)) == 1002
    hub.app.state.settings = settings = hub.app.state.settings
    object.__setattr__(settings, "page_length", 2)
    try:
        assert len(list(api.list_models(author="acme"))) > 4
    finally:
        object.__setattr__(settings, "page_length", 1000)
