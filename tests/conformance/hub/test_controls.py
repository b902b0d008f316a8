"""Each defence once without itself: if these stop failing in the old way, the other tests have stopped proving much.

And the suite against servers that are wrong in one way each: a test of it that passes there tests nothing.
"""

from __future__ import annotations

import contextlib
import dataclasses
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from huggingface_hub import CommitOperationAdd
from huggingface_hub.errors import FileMetadataError
from tests.conformance.hub import test_client as suite
from tests.conformance.hub.running import Hub, running_hub

from projectone.server.hubd import commits
from projectone.server.hubd.payloads import Payload, read_payload


def test_without_the_parent_check_a_stale_commit_lands(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def careless(*arguments: object) -> Payload:
        return dataclasses.replace(read_payload(*arguments), parent=None)  # type: ignore[arg-type]

    monkeypatch.setattr(commits, "read_payload", careless)
    with running_hub(tmp_path) as hub:
        api = hub.client()
        api.create_repo("acme/x")
        parent = api.model_info("acme/x").sha
        for number in range(2):
            operation = CommitOperationAdd("which.txt", b"%d" % number)
            api.create_commit("acme/x", [operation], commit_message=f"{number}", parent_commit=parent)
        assert len(list(api.list_repo_commits("acme/x"))) == 3


def test_without_another_origin_a_redirect_loses_the_metadata(tmp_path: Path) -> None:
    with running_hub(tmp_path) as hub:
        own = hub.url
        api = hub.client()
        api.create_repo("acme/x")
        api.create_commit("acme/x", [CommitOperationAdd("model.bin", b"weights")], commit_message="x")
        hub.app.state.settings = dataclasses.replace(hub.app.state.settings, cdn_url=own)
        with pytest.raises((FileMetadataError, OSError)):
            api.hf_hub_download("acme/x", "model.bin")


def test_without_the_upload_rows_a_digest_opens_a_strangers_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with running_hub(tmp_path) as hub:
        api, stranger = hub.client(), hub.client(hub.stranger)
        api.create_repo("acme/x")
        api.create_commit("acme/x", [CommitOperationAdd("secret.bin", b"weights")], commit_message="x")
        stranger.create_repo("mallory/x")
        # As if the pool were asked instead of the repository's own rows.
        everyones = lambda _rows, _repo_id, digests: {digest: len(b"weights") for digest in digests}  # noqa: E731
        monkeypatch.setattr("projectone.server.hubd.repos.Rows.claims", everyones)
        stranger.create_commit("mallory/x", [CommitOperationAdd("stolen.bin", b"weights")], commit_message="x")
        assert Path(stranger.hf_hub_download("mallory/x", "stolen.bin")).read_bytes() == b"weights"


def _tags_twice(app: Any) -> Any:
    """A server that answers 200 where a tag exists."""

    async def wrapped(scope: Any, receive: Any, send: Any) -> None:
        async def softened(message: Any) -> None:
            if message["type"] == "http.response.start" and message["status"] == 409 and b"/tag/" in scope["raw_path"]:
                message = {**message, "status": 200}
            await send(message)

        await app(scope, receive, softened)

    return wrapped


@contextlib.contextmanager
def _wrong_hub(fault: str, folder: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Hub]:
    if fault == "ignores parentCommit":
        without = lambda *given: dataclasses.replace(read_payload(*given), parent=None)  # noqa: E731
        monkeypatch.setattr(commits, "read_payload", without)
    with running_hub(folder, wrap=_tags_twice if fault == "takes a tag twice" else lambda app: app) as hub:
        if fault == "sends to itself":
            hub.app.state.settings = dataclasses.replace(hub.app.state.settings, cdn_url=hub.url)
        yield hub


def _fails(test: Callable[..., None], hub: Hub, *others: Any) -> bool:
    repo = f"acme/{test.__name__[:60].replace('_', '-')}"
    hub.client().create_repo(repo)
    operations = [suite.add("model.safetensors", suite.WEIGHTS), suite.add("config.json", b"{}")]
    hub.client().create_commit(repo, operations, commit_message="All at once")
    try:
        test(hub, repo, *others)
    except (Exception, pytest.fail.Exception):
        return True
    return False


@pytest.mark.parametrize("fault", ["ignores parentCommit", "takes a tag twice", "sends to itself"])
def test_the_suite_fails_on_a_server_that(
    fault: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest
) -> None:
    tests: dict[str, tuple[Callable[..., None], tuple[Any, ...]]] = {
        "ignores parentCommit": (suite.test_a_commit_on_a_parent_that_has_moved_is_refused, ()),
        "takes a tag twice": (suite.test_a_tag_is_set_once_and_never_moved, ()),
        "sends to itself": (suite.test_metadata_of_a_file_is_its_digest_size_and_commit, (request,)),
    }
    (tmp_path / "right").mkdir(), (tmp_path / "wrong").mkdir()
    with running_hub(tmp_path / "right") as hub:
        assert {name for name, (test, others) in tests.items() if _fails(test, hub, *others)} == set()
    with _wrong_hub(fault, tmp_path / "wrong", monkeypatch) as hub:
        assert {name for name, (test, others) in tests.items() if _fails(test, hub, *others)} == {fault}
