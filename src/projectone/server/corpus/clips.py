"""The payload of a sample, opened: from the store, against its digest and in its place."""

from __future__ import annotations

from projectone.errors import DataError, DigestMismatchError, KeyDestroyedError, SealError
from projectone.server.corpus.catalog import Catalog
from projectone.storage.blobs import BlobStore
from projectone.storage.sealed import is_sealed


def read_clip(catalog: Catalog, blobs: BlobStore, clip_sha256: str) -> bytes:
    """What a sample holds: a WAV file, 16 kHz mono, or a sentence in UTF-8.

    Args:
        catalog: Says which sample names the clip; another sample's clip under its name does not open.
        blobs: Where clips lie.
        clip_sha256: Digest of the bytes on the disk.

    Raises:
        DataError: ``clip-missing``; ``clip-damaged`` if the disk gives other bytes or another sample's.
        KeyMissingError: if the store of keys is not the one that sealed it; no fault of the clip.
    """
    place = catalog.place_of_clip(clip_sha256)
    if place is None or not blobs.has(clip_sha256):
        raise DataError("clip-missing", f"clip {clip_sha256}: expected it in the store, named by a sample")
    try:
        content = blobs.get(clip_sha256)
        # Clips from before there were seals lie open until `seal_what_lies_open` has come to them.
        return catalog.vault.open_clip(place, content) if is_sealed(content) else content
    except KeyDestroyedError as error:
        raise DataError("clip-missing", f"clip {clip_sha256}: its consent was withdrawn") from error
    except (DigestMismatchError, SealError) as error:
        raise DataError("clip-damaged", f"clip {clip_sha256}: {error}") from error


def read_sentence(catalog: Catalog, blobs: BlobStore, clip_sha256: str) -> str:
    """The sentence that a corrected intent holds; arguments and errors as `read_clip`."""
    try:
        return read_clip(catalog, blobs, clip_sha256).decode()
    except UnicodeDecodeError as error:
        raise DataError("clip-damaged", f"sentence {clip_sha256}: expected UTF-8") from error
