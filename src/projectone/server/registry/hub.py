"""`HubRegistry`: models on a Hugging Face Hub, ours or the public one, through the real client.

The client checks nothing but sizes, so after a commit every digest is compared with what the Hub says it holds.
"""

from __future__ import annotations

import tempfile
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from huggingface_hub import CommitOperationAdd, CommitOperationDelete
from huggingface_hub.errors import HfHubHTTPError, RepositoryNotFoundError

from projectone.contracts.versions import ModelVersion
from projectone.errors import RegistryError, SignatureError
from projectone.server.registry.client import is_listed_as, set_up_client, status_of, translated
from projectone.server.registry.contents import LocalFile, describe_folder, in_memory
from projectone.server.registry.lineage import ModelLineage
from projectone.server.registry.protocol import ATTRIBUTES_NAME, MANIFEST_NAME, SIGNATURE_NAME, PublishedModel
from projectone.server.registry.provenance import Provenance
from projectone.server.registry.reading import HubReader

_RUN_MARK = "Run-Id: "
_MAX_ATTEMPTS = 3


class HubRegistry(HubReader):
    """A `Registry` in one repository of a Hub.

    Args:
        endpoint: The Hub's address; None for huggingface.co.
        token: May write to the repository's namespace if models are to be published; None for public reading.
        repo_id: Namespace and name.
        provenance: Signs what is published; None publishes without a signature.
    """

    def __init__(
        self, endpoint: str | None, token: str | None, repo_id: str, *, provenance: Provenance | None = None
    ) -> None:
        super().__init__(endpoint, token, repo_id)
        self._provenance = provenance

    def publish(
        self, folder: Path, *, card: str, run_id: str, version: str, lineage: ModelLineage | None = None
    ) -> PublishedModel:
        """Keep the model in `folder`: one commit, checked, then the tag. Repeat it freely after any failure.

        Args:
            folder: The files of the model, flat or in folders, with ``model.safetensors``. It is not changed.
            card: The text of ``README.md``.
            run_id: Names this publication; the same id is never published twice.
            version: Tagged as ``v<version>``.
            lineage: What it was made of; part of the manifest.

        Raises:
            TransportError: if the Hub could not be reached or failed; whether the commit landed is found out by the
                next attempt.
            RegistryError: if the Hub refused, holds other bytes than were sent, or has the tag on another commit.
        """
        tag = f"v{ModelVersion.parse(version)}"
        files = describe_folder(folder, card=card, run_id=run_id, version=version, lineage=lineage)
        set_up_client(self.endpoint)
        with translated(f"{self.repo_id}: publishing run {run_id}"):
            self._api.create_repo(self.repo_id, private=True, exist_ok=True)
            if not self._api.model_info(self.repo_id).private:
                raise RegistryError(f"{self.repo_id}: expected a private repository, got a public one; make it private")
            tagged = self._tags().get(tag)
            commit = self._commit_of_run(run_id)
            if tagged is not None and tagged != commit:
                raise RegistryError(f"{self.repo_id}: tag {tag} is on {tagged}, not on a commit of run {run_id}")
            if commit is None:
                commit = self._commit(self._signed(files), run_id=run_id, tag=tag)
            self._check_commit(commit, files)
            self._check_signature(commit, files)
            self._tag(tag, commit)
        return PublishedModel(
            repo_id=self.repo_id,
            commit=commit,
            tag=tag,
            version=version,
            run_id=run_id,
            files={path: item.digest for path, item in files.items() if path != MANIFEST_NAME},
        )

    def retract(self, *, run_id: str, version: str) -> str | None:
        """Remove the tag of a publication that must not be used; gives its commit, None if there is none.

        The commit stays in the repository's history, as every Hub keeps it, until its owner removes it there.

        Raises:
            TransportError: if the Hub could not be reached; RegistryError if it refused.
        """
        tag = f"v{ModelVersion.parse(version)}"
        set_up_client(self.endpoint)
        with translated(f"{self.repo_id}: retracting run {run_id}"):
            try:
                commit = self._commit_of_run(run_id)
            except RepositoryNotFoundError:
                return None
            if commit is not None and self._tags().get(tag) == commit:
                self._api.delete_tag(self.repo_id, tag=tag)
        return commit

    def erase(self, version: str) -> list[str]:
        """Delete a version's large files for good, with its tag; gives the digests of what is gone.

        Files that another tagged version has, too, stay. The history is left as it is, a pointer to nothing where the
        weights were: releases, aliases and signatures name other models by commits that must not change.

        Raises:
            TransportError: if the Hub could not be reached; RegistryError if it refused, as it does to a token that may
                only write.
        """
        tag = f"v{ModelVersion.parse(version)}"
        set_up_client(self.endpoint)
        with translated(f"{self.repo_id}: erasing {tag}"):
            tags = self._tags()
            if tag not in tags:
                return []
            kept = {file.sha256 for other, commit in tags.items() if other != tag for file in self._large(commit)}
            gone = {file.sha256 for file in self._large(tags[tag])} - kept
            files = [file for file in self._api.list_lfs_files(self.repo_id) if file.file_oid in gone]
            self._api.permanently_delete_lfs_files(self.repo_id, files, rewrite_history=False)
            self._api.delete_tag(self.repo_id, tag=tag)
        return sorted(gone)

    def _large(self, commit: str) -> list[Any]:
        return [item.lfs for item in self._files_at(commit) if item.lfs is not None]

    def _commit(self, files: Mapping[str, LocalFile], *, run_id: str, tag: str) -> str:
        """One commit with everything. The client sends it once; whether it landed is read from the history."""
        for _ in range(_MAX_ATTEMPTS):
            head = self._api.model_info(self.repo_id)
            stale = {item.rfilename for item in head.siblings or ()} - files.keys() - {ATTRIBUTES_NAME}
            # Made anew each time: an operation that was committed cannot be used again.
            operations: list[CommitOperationAdd | CommitOperationDelete] = [
                CommitOperationAdd(path, item.source) for path, item in sorted(files.items())
            ]
            operations += [CommitOperationDelete(path) for path in sorted(stale)]
            try:
                with warnings.catch_warnings():
                    # huggingface_hub 2.4 uploads with an argument that its own HTTP library warns about.
                    warnings.filterwarnings("ignore", "Use 'content=", DeprecationWarning)
                    done = self._api.create_commit(
                        self.repo_id,
                        operations,
                        commit_message=f"Publish {tag}",
                        commit_description=f"{_RUN_MARK}{run_id}",
                        parent_commit=head.sha,
                    )
                return str(done.oid)
            except Exception as error:
                # The answer may have been lost after the commit landed, so the history decides. If it cannot be read
                # either, that failure tells the caller to come again, and the next attempt looks first.
                landed = self._commit_of_run(run_id)
                if landed is not None:
                    return landed
                if status_of(error) != 412:
                    raise
        raise RegistryError(f"{self.repo_id}: others moved main {_MAX_ATTEMPTS} times while run {run_id} was published")

    def _commit_of_run(self, run_id: str) -> str | None:
        for item in self._api.list_repo_commits(self.repo_id):
            if f"{_RUN_MARK}{run_id}" in item.message.splitlines():
                return str(item.commit_id)
        return None

    def _signed(self, files: Mapping[str, LocalFile]) -> dict[str, LocalFile]:
        signature = {} if self._provenance is None else {SIGNATURE_NAME: in_memory(self._provenance.sign(files))}
        return {**files, **signature}

    def _check_commit(self, commit: str, files: Mapping[str, LocalFile]) -> None:
        """That the Hub holds at `commit` what we sent, and nothing else.

        Raises:
            RegistryError: naming the first file that differs. Nothing is tagged then.
        """
        listed = {item.rfilename: item for item in self._files_at(commit) if item.rfilename != ATTRIBUTES_NAME}
        expected = {*files} if self._provenance is None else {*files, SIGNATURE_NAME}
        if listed.keys() != expected:
            raise RegistryError(
                f"{self.repo_id}: commit {commit} holds {sorted(listed)}, expected {sorted(expected)}: not tagged"
            )
        for path, item in files.items():
            if not is_listed_as(listed[path], item.digest, item.git_id):
                raise RegistryError(f"{self.repo_id}: {path!r} at {commit} is not what was sent: not tagged")

    def _check_signature(self, commit: str, files: Mapping[str, LocalFile]) -> None:
        """That the signature in the Hub is ours. It is another one at each attempt, so no digest tells."""
        if self._provenance is None:
            return
        with tempfile.TemporaryDirectory() as folder:
            path = self._api.hf_hub_download(self.repo_id, SIGNATURE_NAME, revision=commit, local_dir=folder)
            try:
                self._provenance.check(files, Path(path).read_bytes())
            except SignatureError as error:
                raise RegistryError(f"{self.repo_id}: commit {commit}: {error}: not tagged") from error

    def _tag(self, tag: str, commit: str) -> None:
        try:
            self._api.create_tag(self.repo_id, tag=tag, revision=commit)
        except HfHubHTTPError as error:
            if error.response.status_code != 409:
                raise
            actual = self._tags().get(tag)
            if actual != commit:
                raise RegistryError(f"{self.repo_id}: tag {tag} is on {actual}, expected {commit}") from error
