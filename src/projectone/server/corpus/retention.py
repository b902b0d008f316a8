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

    The key goes first: from then on nobody reads the words and clips that it sealed, here or in any copy. Then the rows
    are emptied in one transaction with the withdrawal, the clips go, and every sealed dataset that names an erased
    sample. What a crash or a failing disk left in between, the same request again takes, or the worker, or the next
    start.

    Raises:
        StorageError: if something could not be removed yet.
    """
    if not catalog.gave_consent(receipt_id, contributor_id):
        return None
    catalog.vault.shred([receipt_id])
    receipt = catalog.withdraw(receipt_id, contributor_id, now)
    if receipt is not None:
        catalog.remove_doomed(blobs.delete, receipt_id)
    return receipt


def delete_sample(catalog: Catalog, blobs: FileBlobs, sample_id: UUID, *, contributor_id: str) -> datetime:
    """Erase one sample of a person, who may not have sent it yet; the consent stays. Gives since when it is taken back.

    It is noted beside the keys first: whatever backup of the rows comes back, the sample does not. If it was the last
    one under its consent, the key goes, too; else that seals others, and a backup from before opens until it is gone.

    Raises:
        StorageError: if something could not be removed yet; the same again goes on.
    """
    noted_at = catalog.vault.note_deleted(sample_id, contributor_id)
    since, receipt_id = catalog.delete_sample(sample_id, contributor_id, noted_at)
    if receipt_id is not None:
        catalog.destroy_spent_keys(since, receipt_id=receipt_id)
        catalog.remove_doomed(blobs.delete, receipt_id)
    return since


def keep_withdrawals(catalog: Catalog, now: datetime) -> int:
    """Hold rows and keys to one another after a crash or a restored backup; gives how many consents were ended.

    Rows from before a withdrawal are emptied again, because the store of keys remembers it. A key from before it is
    destroyed again, because the rows remember it. The same with samples that were taken back one by one.
    """
    consents = catalog.consents()
    shredded = catalog.vault.shredded()
    catalog.vault.shred(
        consent.receipt_id
        for consent in consents
        if consent.withdrawn_at is not None and consent.receipt_id not in shredded
    )
    open_ones = [consent for consent in consents if consent.withdrawn_at is None and consent.receipt_id in shredded]
    for consent in open_ones:
        catalog.withdraw(consent.receipt_id, consent.contributor_id, now)
    noted, deleted = catalog.vault.noted_deleted(), catalog.deleted()
    for sample_id, contributor_id, moment in noted:
        if (sample_id, contributor_id) not in deleted:
            catalog.delete_sample(sample_id, contributor_id, moment)
    for sample_id, contributor_id in deleted - {item[:2] for item in noted}:
        catalog.vault.note_deleted(sample_id, contributor_id)
    catalog.destroy_spent_keys(now)
    return len(open_ones)


def sweep(catalog: Catalog, blobs: FileBlobs) -> int:
    """Remove what interrupted uploads and withdrawals left in the store; gives how many. Call it only at start."""
    n_removed = sweep_temporary(blobs.folder) + catalog.remove_doomed(blobs.delete)
    return n_removed + catalog.remove_unnamed(list(blobs.keys()), blobs.delete)
