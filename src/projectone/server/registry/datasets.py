"""`DatasetHub`: exports of the corpus in a private dataset repository of a Hub, through the real client."""

from __future__ import annotations

import warnings
from pathlib import Path

from huggingface_hub import CommitOperationAdd, CommitOperationDelete, HfApi

from projectone.errors import RegistryError
from projectone.server.registry.client import PUBLIC_ENDPOINT, is_listed_as, set_up_client, translated
from projectone.server.registry.contents import git_blob_id
from projectone.server.registry.protocol import ATTRIBUTES_NAME, FileDigest
from projectone.storage.files import digest_of

_KIND = "dataset"
_EXPORT_MARK = "Export-Id: "


class DatasetHub:
    """One private dataset repository.

    Args:
        endpoint: The Hub's address; None for huggingface.co.
        token: May write to the repository's namespace.
        repo_id: Namespace and name.
    """

    def __init__(self, endpoint: str | None, token: str | None, repo_id: str) -> None:
        self.endpoint = (endpoint or PUBLIC_ENDPOINT).rstrip("/")
        self.repo_id = repo_id
        self._api = HfApi(endpoint=self.endpoint, token=token if token is not None else False)

    def push(self, folder: Path, *, export_id: str) -> str:
        """Put the files of `folder`, and nothing else, at the head of the repository; gives the commit.

        One commit, compared file by file afterwards. What an earlier export left there goes; its commits stay in the
        history until the owner removes them. Repeat it freely after any failure.

        Raises:
            RegistryError: if the repository is public, or holds something else than was sent.
            TransportError: if the Hub could not be reached.
        """
        set_up_client(self.endpoint)
        files = {path.relative_to(folder).as_posix(): path for path in sorted(folder.rglob("*")) if path.is_file()}
        with translated(f"{self.repo_id}: pushing an export"):
            self._api.create_repo(self.repo_id, repo_type=_KIND, private=True, exist_ok=True)
            head = self._api.dataset_info(self.repo_id)
            if not head.private:
                raise RegistryError(f"{self.repo_id}: expected a private dataset, got a public one; make it private")
            commit = self._landed(export_id)
            if commit is None:
                stale = {item.rfilename for item in head.siblings or ()} - files.keys() - {ATTRIBUTES_NAME}
                operations: list[CommitOperationAdd | CommitOperationDelete] = [
                    CommitOperationAdd(name, path) for name, path in files.items()
                ]
                operations += [CommitOperationDelete(name) for name in sorted(stale)]
                with warnings.catch_warnings():
                    # huggingface_hub 2.4 uploads with an argument that its own HTTP library warns about.
                    warnings.filterwarnings("ignore", "Use 'content=", DeprecationWarning)
                    done = self._api.create_commit(
                        self.repo_id,
                        operations,
                        commit_message="Export a snapshot",
                        commit_description=f"{_EXPORT_MARK}{export_id}",
                        repo_type=_KIND,
                        parent_commit=head.sha,
                    )
                commit = str(done.oid)
            self._check(commit, files)
        return commit

    def _landed(self, export_id: str) -> str | None:
        for item in self._api.list_repo_commits(self.repo_id, repo_type=_KIND):
            if f"{_EXPORT_MARK}{export_id}" in item.message.splitlines():
                return str(item.commit_id)
        return None

    def _check(self, commit: str, files: dict[str, Path]) -> None:
        found = self._api.dataset_info(self.repo_id, revision=commit, files_metadata=True).siblings or ()
        listed = {item.rfilename: item for item in found if item.rfilename != ATTRIBUTES_NAME}
        if listed.keys() != files.keys():
            raise RegistryError(f"{self.repo_id}: commit {commit} holds {len(listed)} files, expected {len(files)}")
        for name, path in files.items():
            digest = FileDigest(sha256=digest_of(path), size_bytes=path.stat().st_size)
            if not is_listed_as(listed[name], digest, git_blob_id(path)):
                raise RegistryError(f"{self.repo_id}: {name!r} at {commit} is not what was sent")
