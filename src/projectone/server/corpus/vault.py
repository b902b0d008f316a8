"""What people sent, sealed: words and sound open with the key of their consent, and in their place only."""

from __future__ import annotations

import hashlib
import hmac
import json
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Literal
from uuid import UUID

from projectone.contracts.base import canonical_json
from projectone.server.keys import ConsentKeys
from projectone.storage.sealed import seal, unseal

Kind = Literal["clip", "words", "salt"]


@dataclass(frozen=True)
class Place:
    """Where sealed bytes belong. Moved to another sample, another person or another consent, they do not open."""

    sample_id: UUID
    contributor_id: str
    receipt_id: UUID

    def context(self, kind: Kind) -> bytes:
        """What is bound into the seal."""
        return canonical_json(
            {
                "kind": kind,
                "sample": str(self.sample_id),
                "contributor": self.contributor_id,
                "receipt": str(self.receipt_id),
            }
        )


@dataclass(frozen=True, kw_only=True)
class Words:
    """What is said of a clip and by which device: everything about a sample that tells of the person."""

    device_id: str
    text: str
    heard: str | None = None
    heard_by: str | None = None
    accent: str | None = None
    script_id: str | None = None


class Vault:
    """Seals and opens with the keys of consents. Sealing needs no secret; a process may be built that only seals."""

    def __init__(self, keys: ConsentKeys) -> None:
        self._keys = keys

    def seal_clip(self, place: Place, clip: bytes) -> bytes:
        """A clip for the disk; every call gives other bytes, so no two samples ever share them.

        Raises:
            KeyDestroyedError: if the consent was withdrawn.
        """
        return self._seal(place, "clip", clip)

    def open_clip(self, place: Place, sealed: bytes) -> bytes:
        """The clip again.

        Raises:
            SealError: if the bytes were changed or belong elsewhere.
            KeyDestroyedError: if the consent was withdrawn.
            KeyMissingError: if the store of keys is not the one that sealed.
        """
        return unseal(sealed, self._keys.for_opening(place.receipt_id), context=place.context("clip"))

    def seal_words(self, place: Place, words: Words) -> bytes:
        """Words for a row.

        Raises:
            KeyDestroyedError: if the consent was withdrawn.
        """
        return self._seal(place, "words", canonical_json(asdict(words)))

    def open_words(self, place: Place, sealed: bytes) -> Words:
        """The words again.

        Raises:
            SealError, KeyDestroyedError, KeyMissingError: as `open_clip`.
        """
        content = unseal(sealed, self._keys.for_opening(place.receipt_id), context=place.context("words"))
        return Words(**json.loads(content))

    def seal_salt(self, place: Place, salt: bytes) -> bytes:
        """What keeps a commitment to a sample from being guessed, for a row.

        Raises:
            KeyDestroyedError: if the consent was withdrawn.
        """
        return self._seal(place, "salt", salt)

    def open_salt(self, place: Place, sealed: bytes) -> bytes:
        """The salt again.

        Raises:
            SealError, KeyDestroyedError, KeyMissingError: as `open_clip`.
        """
        return unseal(sealed, self._keys.for_opening(place.receipt_id), context=place.context("salt"))

    def mac(self, receipt_id: UUID, content: str) -> str:
        """What stands for a digest where a digest would tell: the same for the same, and says nothing without the key.

        64 hexadecimal digits of HMAC-SHA256 under the key of a consent. Whoever has the clip or guesses the text cannot
        find it by this, and after a withdrawal nobody can.
        """
        key = self._keys.for_sealing(receipt_id).mac_key
        return hmac.new(key, content.encode(), hashlib.sha256).hexdigest()

    def shred(self, receipt_ids: Iterable[UUID]) -> int:
        """Destroy the keys of consents; gives how many were alive. What they sealed is unreadable in every copy."""
        return self._keys.destroy(receipt_ids)

    def sealing_key(self, receipt_id: UUID) -> bytes:
        """The public half that seals what comes under a consent now: ask `require_key` for it once all is sealed.

        Raises:
            KeyDestroyedError: if the consent was withdrawn.
        """
        return self._keys.for_sealing(receipt_id).public_key

    def require_key(self, receipt_id: UUID, public_key: bytes) -> None:
        """Refuse to keep what was sealed with a key that has been destroyed since.

        Raises:
            KeyRenewedError: if it has: seal it again.
        """
        self._keys.require(receipt_id, public_key)

    def end(self, receipt_id: UUID) -> bool:
        """Destroy the key of a consent under which nothing is left, if it has one. What comes next gets another."""
        return self._keys.end(receipt_id)

    def alive(self) -> set[UUID]:
        """Consents that have a key."""
        return self._keys.alive()

    def shredded(self) -> set[UUID]:
        """Consents whose keys went with a withdrawal."""
        return self._keys.destroyed()

    def note_deleted(self, sample_id: UUID, contributor_id: str) -> datetime:
        """Remember, beside the keys, that a person took a sample back; gives since when."""
        return self._keys.note_deleted(sample_id, contributor_id)

    def noted_deleted(self) -> list[tuple[UUID, str, datetime]]:
        """Every sample that a person took back: its id, the person, and when."""
        return self._keys.noted_deleted()

    def _seal(self, place: Place, kind: Kind, content: bytes) -> bytes:
        return seal(content, self._keys.for_sealing(place.receipt_id).public_key, context=place.context(kind))
