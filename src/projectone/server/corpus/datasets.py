"""A sealed list of samples: what one training run learned from, named by the digest of its bytes."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Literal

from projectone.contracts.base import canonical_json, sha256_hex
from projectone.errors import ConsentError, DataError
from projectone.server.corpus.catalog import Catalog
from projectone.storage.blobs import BlobStore

_SCHEMA_VERSION = 1


@dataclass(frozen=True, kw_only=True)
class DatasetItem:
    """One pair of a dataset. `is_new`: no released model has learned from it before."""

    sample_id: str
    clip_sha256: str
    text: str
    speaker: str
    duration_s: float
    is_new: bool
    split: Literal["train", "dev"] = "train"


@dataclass(frozen=True)
class SealedDataset:
    """A dataset on the disk, and how big it is."""

    sha256: str
    n_items: int
    n_new: int
    audio_s: float


def speaker_of(contributor_id: str) -> str:
    """A pseudonym of the pseudonym: datasets tell speakers apart and name nobody."""
    return hashlib.sha256(contributor_id.encode()).hexdigest()[:16]


def seal_dataset(catalog: Catalog, blobs: BlobStore, items: Sequence[DatasetItem]) -> SealedDataset:
    """Keep a list of samples as one blob of canonical JSON; the same items in any order give the same digest.

    Raises:
        ConsentError: if one of the samples has been erased meanwhile.
        DataError: ``dataset-duplicate`` if a sample is named twice.
    """
    ordered = sorted(items, key=lambda item: item.sample_id)
    if len({item.sample_id for item in ordered}) < len(ordered):
        raise DataError("dataset-duplicate", "dataset: expected each sample once")
    content = canonical_json({"schema_version": _SCHEMA_VERSION, "items": [asdict(item) for item in ordered]})
    # The rows first: they protect the blob from the sweep and tie it to its samples' consents.
    catalog.note_sealed(sha256_hex(content), [item.sample_id for item in ordered])
    sha256 = blobs.put([content])
    if catalog.is_withdrawn(sha256):  # between the rows and the bytes: the withdrawal looked for them too early
        catalog.remove_unnamed([sha256], blobs.delete)
        raise ConsentError(f"dataset {sha256}: a sample was withdrawn while it was sealed; seal it again")
    return SealedDataset(
        sha256, len(ordered), sum(item.is_new for item in ordered), sum(item.duration_s for item in ordered)
    )


def read_dataset(blobs: BlobStore, sha256: str) -> list[DatasetItem]:
    """The items of a sealed dataset, ordered by sample.

    Raises:
        DataError: ``dataset-withdrawn`` if it is gone, as it is after a withdrawal; ``dataset-version`` if other code
            wrote it.
        DigestMismatchError: if the disk gives other bytes.
    """
    if not blobs.has(sha256):
        raise DataError("dataset-withdrawn", f"dataset {sha256}: is gone; was a sample in it withdrawn? Seal a new one")
    document = json.loads(blobs.get(sha256))
    if document.get("schema_version") != _SCHEMA_VERSION:
        raise DataError("dataset-version", f"dataset {sha256}: expected version {_SCHEMA_VERSION}")
    return [DatasetItem(**item) for item in document["items"]]
