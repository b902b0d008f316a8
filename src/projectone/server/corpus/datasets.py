"""A sealed list of samples: what one training run learned from, named by the digest of its bytes.

The list holds no words: it pins each text by its `Vault.mac`, and the text stays in the sealed row of its sample. So a
copy of the list tells nobody what was said, and after a withdrawal no copy of it ever can.
"""

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

_SCHEMA_VERSION = 2  # 1 held the texts


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


@dataclass(frozen=True, kw_only=True)
class ListItem:
    """The same pair as the list has it: `text_mac` stands for the text."""

    sample_id: str
    clip_sha256: str
    text_mac: str
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
    places = catalog.places([item.sample_id for item in items])
    if gone := [item.sample_id for item in items if item.sample_id not in places]:
        raise ConsentError(f"{len(gone)} samples of a dataset were withdrawn or are unknown; seal it again")
    macs = [catalog.vault.mac(places[item.sample_id].receipt_id, item.text) for item in items]
    return seal_list(catalog, blobs, [_listed(item, mac) for item, mac in zip(items, macs, strict=True)])


def seal_list(catalog: Catalog, blobs: BlobStore, items: Sequence[ListItem]) -> SealedDataset:
    """The same for items whose words are not known here.

    Raises:
        ConsentError, DataError: as `seal_dataset`.
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


def read_dataset(catalog: Catalog, blobs: BlobStore, sha256: str) -> list[DatasetItem]:
    """The items of a sealed dataset, ordered by sample, with the texts as they were sealed.

    Raises:
        DataError: ``dataset-withdrawn`` if it is gone, as it is after a withdrawal; ``dataset-version`` if other code
            wrote it; ``dataset-changed`` if a sample says something else now.
        DigestMismatchError: if the disk gives other bytes.
    """
    if not blobs.has(sha256):
        raise DataError("dataset-withdrawn", f"dataset {sha256}: is gone; was a sample in it withdrawn? Seal a new one")
    document = json.loads(blobs.get(sha256))
    if document.get("schema_version") != _SCHEMA_VERSION:
        raise DataError("dataset-version", f"dataset {sha256}: expected version {_SCHEMA_VERSION}")
    texts = catalog.texts([item["sample_id"] for item in document["items"]])
    items = []
    for plain in document["items"]:
        if plain["sample_id"] not in texts:
            raise DataError("dataset-withdrawn", f"dataset {sha256}: a sample in it was withdrawn; seal a new one")
        place, text = texts[plain["sample_id"]]
        if catalog.vault.mac(place.receipt_id, text) != plain.pop("text_mac"):
            raise DataError("dataset-changed", f"dataset {sha256}: sample {plain['sample_id']} says something else now")
        items.append(DatasetItem(**plain, text=text))
    return items


def _listed(item: DatasetItem, text_mac: str) -> ListItem:
    plain = asdict(item)
    del plain["text"]
    return ListItem(**plain, text_mac=text_mac)
