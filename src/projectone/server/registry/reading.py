"""`HubReader`: what models there are on a Hub, and how they come from there, every byte checked.

The client checks nothing but sizes, so every digest is checked here against the bytes on disk.
"""

from __future__ import annotations

import re
import shutil
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from huggingface_hub import HfApi
from huggingface_hub.errors import EntryNotFoundError, RepositoryNotFoundError

from projectone.contracts.versions import ModelVersion
from projectone.errors import ArtifactError
from projectone.server.registry.client import PUBLIC_ENDPOINT, is_listed_as, set_up_client, translated
from projectone.server.registry.contents import check_folder, git_blob_id, read_manifest
from projectone.server.registry.protocol import (
    ATTRIBUTES_NAME,
    CARD_NAME,
    MANIFEST_NAME,
    WEIGHTS_NAME,
    FileDigest,
    ModelManifest,
    PublishedModel,
)
from projectone.server.registry.provenance import verify_folder
from projectone.storage.files import building_directory, digest_of

_VERSION_TAG = re.compile(r"v\d{1,6}\.\d{1,6}\.\d{1,6}")
# A foreign repository often holds the same weights for several libraries; these are the ones we read.
_FOREIGN_PATTERNS = ("*.json", "*.txt", WEIGHTS_NAME, CARD_NAME, "LICENSE*")


class HubReader:
    """One repository of a Hub.

    Args:
        endpoint: The Hub's address; None for huggingface.co.
        token: May read the repository; None for public reading.
        repo_id: Namespace and name.
    """

    def __init__(self, endpoint: str | None, token: str | None, repo_id: str) -> None:
        self.endpoint = (endpoint or PUBLIC_ENDPOINT).rstrip("/")
        self.repo_id = repo_id
        self._token: str | bool = token if token is not None else False
        self._api = HfApi(endpoint=self.endpoint, token=self._token)

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
            commit = self._download(revision, building, ignore_patterns=[ATTRIBUTES_NAME])
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

    def manifest_at(self, revision: str) -> tuple[str, ModelManifest]:
        """The commit that a tag, branch or commit id stands for, and what its model says of itself.

        Raises:
            ArtifactError: if that is not a model that we published.
            TransportError: if the Hub could not be reached; RegistryError if it refused.
        """
        set_up_client(self.endpoint)
        with translated(f"{self.repo_id}: reading the manifest at {revision}"):
            commit = str(self._api.model_info(self.repo_id, revision=revision).sha)
            return commit, self._manifest(commit)

    def _manifest(self, commit: str) -> ModelManifest:
        with tempfile.TemporaryDirectory() as folder:
            try:
                self._api.hf_hub_download(self.repo_id, MANIFEST_NAME, revision=commit, local_dir=folder)
            except EntryNotFoundError as error:
                raise ArtifactError(f"no {MANIFEST_NAME} at {commit}: this is not a model that we published") from error
            return read_manifest(Path(folder))

    def _published_at(self, commit: str) -> PublishedModel:
        return self._published(commit, self._manifest(commit))

    def _published(self, commit: str, manifest: ModelManifest) -> PublishedModel:
        return PublishedModel(
            repo_id=self.repo_id,
            commit=commit,
            tag=f"v{ModelVersion.parse(manifest.version)}",
            version=manifest.version,
            run_id=manifest.run_id,
            files=manifest.files,
        )
