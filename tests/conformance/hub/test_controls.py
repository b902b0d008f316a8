"""Each defence once without itself: if these stop failing in the old way, the other tests have stopped proving much."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest
from huggingface_hub import CommitOperationAdd
from huggingface_hub.errors import FileMetadataError
from tests.conformance.hub.running import running_hub

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
