"""Accept a sample: everything checked, the canonical payload on the disk, then the row, then the receipt."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime

from projectone.contracts.base import sha256_hex
from projectone.contracts.corrections import Sample
from projectone.contracts.uploads import UploadReceipt
from projectone.errors import ConsentError, DataError, KeyRenewedError
from projectone.server.corpus.catalog import Catalog
from projectone.server.corpus.payloads import Decode, Given, Known, Payloads
from projectone.server.corpus.vault import Place
from projectone.storage.blobs import BlobStore


class Intake:
    """The one door through which a sample comes in.

    Args:
        catalog: Where its row goes.
        blobs: Where its payload goes.
        decode: From the sandbox.
        clock: Now, with its zone.
        knows: Which labels a corrected intent may have; none unless it is given.
    """

    def __init__(
        self,
        catalog: Catalog,
        blobs: BlobStore,
        decode: Decode,
        clock: Callable[[], datetime],
        knows: Known = lambda label: False,
    ) -> None:
        self._catalog = catalog
        self._blobs = blobs
        self._payloads = Payloads(decode, knows)
        self._clock = clock

    def accept(
        self, sample: Given, content: bytes, device_id: str, *, sha256: str | None = None
    ) -> tuple[UploadReceipt, bool]:
        """The receipt of a sample, and whether it is new. When this returns, payload and row are on the disk.

        Only the canonical payload is kept, sealed with the key of the consent: nothing of the file that was sent
        survives, and the same clip or sentence twice is two blobs that nobody can tell to be the same.

        Args:
            sample: What is said of the payload.
            content: The body as it came.
            device_id: Who sent it.
            sha256: Digest of `content`, if the caller has just computed it.

        Raises:
            DataError: the payload or a text cannot be used, or the id is taken (`sample-conflict`) or gone (`erased`).
            ConsentError: if no consent of this person covers the sample at the moment of the commit.
            StorageError: if it could not be kept; nothing was acknowledged.
        """
        self._payloads.check(sample, content, sha256 or sha256_hex(content))
        if (known := self._catalog.receipt_of(sample)) is not None:
            return known, False
        self._payloads.check_words(sample)
        payload, duration_s = self._payloads.canonical(sample, content)
        # Before a key is made for it: nobody fills the store of keys with consents that do not exist.
        self._catalog.require_consent(sample)
        try:
            return self._keep(sample, payload, duration_s, device_id)
        except KeyRenewedError:  # the last sample of this consent went just now, and its key with it
            return self._keep(sample, payload, duration_s, device_id)

    def _keep(self, sample: Sample, payload: bytes, duration_s: float, device_id: str) -> tuple[UploadReceipt, bool]:
        vault, receipt_id = self._catalog.vault, sample.consent_receipt_id
        place = Place(sample.sample_id, sample.contributor_id, receipt_id)
        key = vault.sealing_key(receipt_id)
        sealed = vault.seal_clip(place, payload)
        clip_sha256 = self._blobs.put([sealed])

        def keep_clip() -> None:
            vault.require_key(receipt_id, key)
            if not self._blobs.has(clip_sha256):
                self._blobs.put([sealed])

        try:
            receipt, is_new = self._catalog.add(
                sample,
                clip_sha256=clip_sha256,
                duration_s=duration_s,
                device_id=device_id,
                now=self._clock(),
                keep_clip=keep_clip,
            )
        except (ConsentError, DataError, KeyRenewedError):
            self._blobs.delete(clip_sha256)
            raise
        if not is_new:  # the same sample came twice at once, and the other one's payload is the one that counts
            self._blobs.delete(clip_sha256)
        return receipt, is_new
