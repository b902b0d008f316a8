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
    clip, and with them every sealed dataset that names an erased sample, because it holds the text. What a crash or a
    failing disk left in between, the same request again takes, or the worker, or the sweep at the next start.

    Raises:
        StorageError: if something could not be removed yet.
    """
    receipt = catalog.withdraw(receipt_id, contributor_id, now)
    if receipt is not None:
        catalog.remove_doomed(blobs.delete, receipt_id)
    return receipt


def sweep(catalog: Catalog, blobs: FileBlobs) -> int:
    """Remove what interrupted uploads and withdrawals left in the store; gives how many. Call it only at start."""
    n_removed = sweep_temporary(blobs.folder) + catalog.remove_doomed(blobs.delete)
    return n_removed + catalog.remove_unnamed(list(blobs.keys()), blobs.delete)
