"""What must go when a person takes back a consent, and what a crash left behind."""

from __future__ import annotations

from datetime import datetime
from uuid import UUID

from projectone.contracts.consent import ConsentReceipt
from projectone.server.corpus.catalog import Catalog
from projectone.storage.blobs import FileBlobs
from projectone.storage.files import sweep_temporary


def withdraw(
    catalog: Catalog, blobs: FileBlobs, receipt_id: UUID, *, contributor_id: str, now: datetime
) -> ConsentReceipt | None:
    """End a consent and erase what was sent under it; gives the receipt, or None if this person has no such consent.

    The rows are emptied in one transaction with the withdrawal. Then the clips go, unless someone else sent the same
    clip, and with them every sealed dataset that names an erased sample, because it holds the text. A crash in between
    leaves bytes that nothing names; the sweep at the next start, or the same request again, takes them.
    """
    erased = catalog.withdraw(receipt_id, contributor_id, now)
    if erased is None:
        return None
    catalog.remove_unnamed({*erased.clip_sha256s, *erased.dataset_sha256s}, blobs.delete)
    return erased.receipt


def sweep(catalog: Catalog, blobs: FileBlobs) -> int:
    """Remove what interrupted uploads and withdrawals left in the store; gives how many. Call it only at start."""
    n_temporary = sweep_temporary(blobs.folder)
    return n_temporary + catalog.remove_unnamed(list(blobs.keys()), blobs.delete)
