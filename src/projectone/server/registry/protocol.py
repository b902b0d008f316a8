"""What a model registry does, and what it says about a model that it keeps."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Literal, Protocol

from pydantic import Field

from projectone.contracts.base import Contract, Sha256
from projectone.contracts.versions import ModelRef
from projectone.server.registry.lineage import ModelLineage

WEIGHTS_NAME = "model.safetensors"
MANIFEST_NAME = "manifest.json"
CARD_NAME = "README.md"
SIGNATURE_NAME = "model.sig"
ATTRIBUTES_NAME = ".gitattributes"
"""The Hub's own file, in every repository."""


class FileDigest(Contract):
    """What one file of a model must be."""

    sha256: Sha256
    size_bytes: int = Field(ge=0)


class ModelManifest(Contract):
    """Every file of a published model but this one and the signature: digests from our own files, never the Hub's."""

    schema_version: Literal[1] = 1
    run_id: str
    version: str
    files: dict[str, FileDigest]
    lineage: ModelLineage | None = None


class PublishedModel(Contract):
    """A model in the registry. The commit and the digests are what is believed; the tag is for people.

    `files` holds the digests of our own files, without ``manifest.json``.
    """

    repo_id: str
    commit: str = Field(pattern=r"^[0-9a-f]{40}$")
    tag: str
    version: str
    run_id: str
    files: dict[str, FileDigest]

    @property
    def weights_sha256(self) -> str:
        """SHA-256 of the weights."""
        return self.files[WEIGHTS_NAME].sha256

    def ref(self) -> ModelRef:
        """The short form that others keep."""
        return ModelRef(
            repo_id=self.repo_id, commit=self.commit, version=self.version, weights_sha256=self.weights_sha256
        )


class Registry(Protocol):
    """Keeps models. Every method may be repeated: the same run gives the same commit and tag."""

    def publish(
        self, folder: Path, *, card: str, run_id: str, version: str, lineage: ModelLineage | None = None
    ) -> PublishedModel:
        """Keep the model in `folder` with its card and where it comes from, tagged ``v<version>``."""
        ...

    def retract(self, *, run_id: str, version: str) -> str | None:
        """Remove the tag of a run's publication; gives the commit, None if there is none."""
        ...

    def fetch(
        self,
        revision: str,
        into: Path,
        *,
        expected: Mapping[str, FileDigest] | None = None,
        public_key: Path | None = None,
    ) -> PublishedModel:
        """Bring a model into the new folder `into`, every byte checked."""
        ...

    def current(self) -> PublishedModel | None:
        """The tagged model with the highest version."""
        ...

    def list_models(self) -> list[PublishedModel]:
        """Every tagged model, oldest version first."""
        ...
