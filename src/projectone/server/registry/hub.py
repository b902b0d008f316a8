"""`HubRegistry`: models on a Hugging Face Hub, ours or the public one, through the real client.

The client checks nothing but sizes, so every digest is checked here: after a commit against what the Hub says it
holds, after a download against the bytes on disk.
"""

from __future__ import annotations

import re
import shutil
import tempfile
import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from huggingface_hub import CommitOperationAdd, CommitOperationDelete, HfApi
from huggingface_hub.errors import HfHubHTTPError, RepositoryNotFoundError

from projectone.contracts.versions import ModelVersion
from projectone.errors import ArtifactError, RegistryError, SignatureError
from projectone.server.registry.client import PUBLIC_ENDPOINT, is_listed_as, set_up_client, status_of, translated
from projectone.server.registry.contents import (
    LocalFile,
    check_folder,
    describe_folder,
    git_blob_id,
    in_memory,
    read_manifest,
)
from projectone.server.registry.protocol import (
    CARD_NAME,
    MANIFEST_NAME,
    SIGNATURE_NAME,
    WEIGHTS_NAME,
    FileDigest,
    ModelManifest,
    PublishedModel,
)
from projectone.server.registry.provenance import Provenance, verify_folder
from projectone.storage.files import building_directory, digest_of

_ATTRIBUTES = ".gitattributes"  # the Hub's own file, in every repository
_RUN_MARK = "Run-Id: "
_VERSION_TAG = re.compile(r"v\d{1,6}\.\d{1,6}\.\d{1,6}")
_MAX_ATTEMPTS = 3
# A foreign repository often holds the same weights for several libraries; these are the ones we read.
_FOREIGN_PATTERNS = ("*.json", "*.txt", WEIGHTS_NAME, CARD_NAME, "LICENSE*")


class HubRegistry:
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
        self.endpoint = (endpoint or PUBLIC_ENDPOINT).rstrip("/")
        self._provenance = provenance
        self.repo_id = repo_id
        self._token: str | bool = token if token is not None else False
        self._api = HfApi(endpoint=self.endpoint, token=self._token)

    def publish(self, folder: Path, *, card: str, run_id: str, version: str) -> PublishedModel:
        """Keep the model in `folder`: one commit, checked, then the tag. Repeat it freely after any failure.

        Args:
            folder: The files of the model, flat or in folders, with ``model.safetensors``. It is not changed.
            card: The text of ``README.md``.
            run_id: Names this publication; the same id is never published twice.
            version: Tagged as ``v<version>``.

        Raises:
            TransportError: if the Hub could not be reached or failed; whether the commit landed is found out by the
                next attempt.
            RegistryError: if the Hub refused, holds other bytes than were sent, or has the tag on another commit.
        """
        tag = f"v{ModelVersion.parse(version)}"
        files = describe_folder(folder, card=card, run_id=run_id, version=version)
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

    def fetch(
        self,
        revision: str,
        into: Path,
        *,
        expected: Mapping[str, FileDigest] | None = None,
        public_key: Path | None = None,
    ) -> PublishedModel:
        """Bring a model that we published into the new folder `into`; it appears whole and checked, or not at all.

        Args:
            revision: A tag, a branch or a commit id.
            into: Must not exist.
            expected: Digests kept from `publish`. Without them the model's own manifest is believed, which shows
                damage but not a Hub that lies.
            public_key: Whose signature the model must bear.

        Raises:
            ArtifactError: if a file is missing, is not what it should be, or is one too many; SignatureError if the
                model bears no signature of `public_key`.
            TransportError: if the Hub could not be reached; RegistryError if it refused.
        """
        with building_directory(into) as building:
            commit = self._download(revision, building, ignore_patterns=[_ATTRIBUTES])
            manifest = read_manifest(building)
            check_folder(building, manifest.files)
            if expected is not None:
                check_folder(building, expected)
            if public_key is not None:
                verify_folder(building, public_key)
        return self._published(commit, manifest)

    def fetch_foreign(self, revision: str | None, into: Path) -> str:
        """Bring a model that others published (a base) into the new folder `into`; gives the commit id.

        Only the files we read are taken. Their digests are checked against what the Hub lists, which shows damage on
        the way; pin the commit id to get the same files again.

        Raises:
            ArtifactError: if a file is not what the Hub lists.
            TransportError: if the Hub could not be reached; RegistryError if it refused.
        """
        with building_directory(into) as building:
            commit = self._download(revision or "main", building, allow_patterns=_FOREIGN_PATTERNS)
            with translated(f"{self.repo_id}: listing {commit}"):
                listed = {item.rfilename: item for item in self._files_at(commit)}
            for path in sorted(item for item in building.rglob("*") if item.is_file()):
                name = path.relative_to(building).as_posix()
                digest = FileDigest(sha256=digest_of(path), size_bytes=path.stat().st_size)
                if name not in listed or not is_listed_as(listed[name], digest, git_blob_id(path)):
                    raise ArtifactError(f"{self.repo_id}: {name!r} at {commit} is not what the Hub lists; try again")
        return commit

    def current(self) -> PublishedModel | None:
        """The tagged model with the highest version; None if there is none."""
        with translated(f"{self.repo_id}: reading the newest model"):
            tags = self._tags()
            return self._published_at(tags[max(tags, key=ModelVersion.parse)]) if tags else None

    def list_models(self) -> list[PublishedModel]:
        """Every tagged model, oldest version first; nothing if the repository does not exist."""
        with translated(f"{self.repo_id}: reading the models"):
            tags = self._tags()
            return [self._published_at(tags[tag]) for tag in sorted(tags, key=ModelVersion.parse)]

    def _commit(self, files: Mapping[str, LocalFile], *, run_id: str, tag: str) -> str:
        """One commit with everything. The client sends it once; whether it landed is read from the history."""
        for _ in range(_MAX_ATTEMPTS):
            head = self._api.model_info(self.repo_id)
            stale = {item.rfilename for item in head.siblings or ()} - files.keys() - {_ATTRIBUTES}
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
        listed = {item.rfilename: item for item in self._files_at(commit) if item.rfilename != _ATTRIBUTES}
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

    def _tags(self) -> dict[str, str]:
        """Version tags and their commits; none if the repository does not exist."""
        try:
            refs = self._api.list_repo_refs(self.repo_id)
        except RepositoryNotFoundError:
            return {}
        return {tag.name: str(tag.target_commit) for tag in refs.tags if _VERSION_TAG.fullmatch(tag.name)}

    def _files_at(self, commit: str) -> list[Any]:
        return list(self._api.model_info(self.repo_id, revision=commit, files_metadata=True).siblings or ())

    def _download(
        self,
        revision: str,
        folder: Path,
        *,
        allow_patterns: Sequence[str] | None = None,
        ignore_patterns: Sequence[str] | None = None,
    ) -> str:
        set_up_client(self.endpoint)
        with translated(f"{self.repo_id}: fetching {revision}"):
            commit = str(self._api.model_info(self.repo_id, revision=revision).sha)
            # By commit id, so that a reference that moves meanwhile cannot mix two models.
            self._api.snapshot_download(
                self.repo_id,
                revision=commit,
                local_dir=folder,
                allow_patterns=None if allow_patterns is None else [*allow_patterns],
                ignore_patterns=None if ignore_patterns is None else [*ignore_patterns],
            )
        shutil.rmtree(folder / ".cache", ignore_errors=True)  # the client's own notes
        return commit

    def _published_at(self, commit: str) -> PublishedModel:
        with tempfile.TemporaryDirectory() as folder:
            self._api.hf_hub_download(self.repo_id, MANIFEST_NAME, revision=commit, local_dir=folder)
            return self._published(commit, read_manifest(Path(folder)))

    def _published(self, commit: str, manifest: ModelManifest) -> PublishedModel:
        return PublishedModel(
            repo_id=self.repo_id,
            commit=commit,
            tag=f"v{ModelVersion.parse(manifest.version)}",
            version=manifest.version,
            run_id=manifest.run_id,
            files=manifest.files,
        )
