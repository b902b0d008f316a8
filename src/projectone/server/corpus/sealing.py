"""Seals what lies open: samples from before there were seals, one by one, so that it may be killed and goes on."""

from __future__ import annotations

import json
from typing import Any

from projectone.errors import DigestMismatchError, KeyDestroyedError
from projectone.server.corpus.catalog import Catalog
from projectone.server.corpus.sample_words import place_of_row
from projectone.storage.blobs import FileBlobs

_AT_ONCE = 100
_OPEN_FORM = 1


def seal_what_lies_open(catalog: Catalog, blobs: FileBlobs) -> int:
    """Seal the words and clips of open samples, and remove the lists that hold texts; gives how many samples.

    For each sample the sealed clip is on the disk before its row names it, and the open clip goes after that: a kill at
    any moment leaves a sample whole, and at most one clip that nothing names, which the sweep takes. Costs one look
    where nothing lies open. Needs no secret key.

    Raises:
        StorageError: if the disk or a database refused.
    """
    n_sealed = 0
    if catalog.open_samples(1):
        _remove_open_lists(catalog, blobs)
    while rows := catalog.open_samples(_AT_ONCE):
        before = n_sealed
        for row in rows:
            n_sealed += _seal(catalog, blobs, row)
        if n_sealed == before:  # another process did these, or they were withdrawn
            break
    if n_sealed:
        catalog.forget_freed()
    return n_sealed


def _seal(catalog: Catalog, blobs: FileBlobs, row: Any) -> bool:  # noqa: ANN401 - a row of SAMPLES
    try:
        clip = _read_open(blobs, row.clip_sha256)
        # A clip that is lost or rotten is named as before, so that it is found missing or damaged as before.
        kept = row.clip_sha256 if clip is None else blobs.put([catalog.vault.seal_clip(place_of_row(row), clip)])
        is_done = catalog.seal_sample(row, kept)
    except KeyDestroyedError:
        return False
    unused = row.clip_sha256 if is_done else kept
    if unused is not None:
        catalog.remove_unnamed([unused], blobs.delete)
    return is_done


def _read_open(blobs: FileBlobs, clip_sha256: str | None) -> bytes | None:
    if clip_sha256 is None or not blobs.has(clip_sha256):
        return None
    try:
        return blobs.get(clip_sha256)
    except DigestMismatchError:
        return None


def _remove_open_lists(catalog: Catalog, blobs: FileBlobs) -> None:
    """Datasets of the first form hold texts. Their rows stay; a run that is at work seals its own anew."""
    for sha256 in catalog.dataset_sha256s():
        try:
            is_open = blobs.has(sha256) and json.loads(blobs.get(sha256)).get("schema_version") == _OPEN_FORM
        except DigestMismatchError:
            is_open = True
        if is_open:
            blobs.delete(sha256)
