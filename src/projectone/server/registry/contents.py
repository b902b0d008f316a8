"""The files of a model: what each one is, and whether a folder holds exactly those."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from projectone.contracts.base import sha256_hex
from projectone.errors import ArtifactError, ContractError, DigestMismatchError
from projectone.server.registry.lineage import ModelLineage
from projectone.server.registry.protocol import (
    CARD_NAME,
    MANIFEST_NAME,
    SIGNATURE_NAME,
    WEIGHTS_NAME,
    FileDigest,
    ModelManifest,
)
from projectone.storage.files import digest_of

_BLOCK_BYTES = 1024 * 1024


@dataclass(frozen=True)
class LocalFile:
    """A file to publish.

    Attributes:
        source: Where it lies, or its bytes.
        digest: What it must be wherever it arrives.
        git_id: What git calls it, which is how a Hub names the files it keeps in git.
    """

    source: Path | bytes
    digest: FileDigest
    git_id: str


def describe_folder(
    folder: Path, *, card: str, run_id: str, version: str, lineage: ModelLineage | None = None
) -> dict[str, LocalFile]:
    """Every file of a publication by path: those of `folder`, the card and the manifest.

    A card, a manifest or a signature that lies in `folder` belongs to an earlier publication and is left out.

    Raises:
        ArtifactError: if there are no weights, or a name or a link that a Hub would not keep.
    """
    files = {}
    for path in sorted(folder.rglob("*")):
        name = path.relative_to(folder).as_posix()
        if path.is_symlink() or any(part.startswith(".") for part in path.relative_to(folder).parts):
            raise ArtifactError(f"{name!r}: expected plain files without a leading dot in a model's folder")
        if path.is_file() and name not in (CARD_NAME, MANIFEST_NAME, SIGNATURE_NAME):
            digest = FileDigest(sha256=digest_of(path), size_bytes=path.stat().st_size)
            files[name] = LocalFile(path, digest, git_blob_id(path))
    if WEIGHTS_NAME not in files:
        raise ArtifactError(f"{folder.name!r}: expected {WEIGHTS_NAME!r}, found {sorted(files)}")
    files[CARD_NAME] = in_memory(card.encode())
    digests = {name: item.digest for name, item in files.items()}
    manifest = ModelManifest(run_id=run_id, version=version, files=digests, lineage=lineage)
    files[MANIFEST_NAME] = in_memory(manifest.to_bytes() + b"\n")
    return files


def read_manifest(folder: Path) -> ModelManifest:
    """The manifest of a downloaded model.

    Raises:
        ArtifactError: if it is missing or is not a manifest.
    """
    try:
        return ModelManifest.from_bytes((folder / MANIFEST_NAME).read_bytes())
    except FileNotFoundError as error:
        raise ArtifactError(f"no {MANIFEST_NAME}: this revision is not a model that we published") from error
    except ContractError as error:
        raise ArtifactError(f"{MANIFEST_NAME}: {error}") from error


def check_folder(folder: Path, expected: Mapping[str, FileDigest]) -> None:
    """That `folder` holds exactly the expected files, the manifest, and perhaps a signature.

    Raises:
        DigestMismatchError: if a file has other bytes.
        ArtifactError: if one is missing or too many.
    """
    found = {path.relative_to(folder).as_posix(): path for path in folder.rglob("*") if path.is_file()}
    names = found.keys() - {MANIFEST_NAME, SIGNATURE_NAME}
    if names != expected.keys():
        raise ArtifactError(f"expected the files {sorted(expected)}, got {sorted(names)}")
    for name, digest in expected.items():
        actual = digest_of(found[name])
        if actual != digest.sha256:
            raise DigestMismatchError(name, expected=digest.sha256, actual=actual)


def git_blob_id(path: Path) -> str:
    """What git calls this file."""
    with path.open("rb") as stream:
        return _git_blob_id(stream, path.stat().st_size)


def _git_blob_id(stream: IO[bytes], size_bytes: int) -> str:
    digest = hashlib.sha1(f"blob {size_bytes}\0".encode(), usedforsecurity=False)
    while block := stream.read(_BLOCK_BYTES):
        digest.update(block)
    return digest.hexdigest()


def in_memory(content: bytes) -> LocalFile:
    """A file to publish that lies on no disk."""
    git_id = hashlib.sha1(f"blob {len(content)}\0".encode() + content, usedforsecurity=False).hexdigest()
    return LocalFile(content, FileDigest(sha256=sha256_hex(content), size_bytes=len(content)), git_id)
