"""What this device believes: a release that is for it, and what the server's key signed. No disk, no wire."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Iterable

from projectone.contracts.releases import DEFAULT_TIER, ReleaseOffer
from projectone.contracts.signatures import key_id_of, verify_uses
from projectone.contracts.signed_bytes import Document, Signed, SignedKind
from projectone.contracts.uses import SampleUses, SignedUses
from projectone.contracts.versions import ModelVersion
from projectone.errors import (
    ArtifactError,
    ContractError,
    RollbackError,
    SettingsError,
    SignatureError,
)

# One stolen signature must not be able to use up the numbers that are left.
MAX_SEQ_JUMP = 100_000
_KEY_BYTES = 32


class AppTooOldError(ArtifactError):
    """A release needs a newer app. Update the app; until then the model in use stays."""


class Trust:
    """The server's keys that this device believes, and the channel and tier it follows."""

    def __init__(self, release_keys: Iterable[str], *, channel: str, runtime: str, tier: str = DEFAULT_TIER) -> None:
        """Take base64 raw Ed25519 public keys: of receipts, sheets of sentences and whatever else is no release.

        Raises:
            SettingsError: if one of them is no key.
        """
        self._keys = {key_id_of(key): key for key in map(_checked_key, release_keys)}
        self.channel = channel
        self.tier = tier
        self._runtime = ModelVersion.parse(runtime)

    @property
    def key_ids(self) -> tuple[str, ...]:
        """The short names of the keys."""
        return tuple(sorted(self._keys))

    def judge(self, offer: ReleaseOffer, *, tier: str, floor: int) -> None:
        """Refuse a release that was signed, and yet is none for this device.

        Args:
            offer: What the signed list says of it.
            tier: The tier it was looked up for.
            floor: The highest `seq` that ever ran well on this device.

        Raises:
            ArtifactError: if it is for another channel or tier.
            AppTooOldError: if it needs a newer app.
            RollbackError: if it is older than what ran here, or its number is out of all proportion.
        """
        name = f"release {offer.seq}"
        if (offer.channel, offer.tier) != (self.channel, tier):
            raise ArtifactError(
                f"{name}: expected channel {self.channel!r} and tier {tier!r}, got {offer.channel!r}, {offer.tier!r}"
            )
        if offer.seq < floor:
            raise RollbackError(f"{name}: expected seq {floor} or higher; the model in use stays")
        if offer.seq > floor + MAX_SEQ_JUMP:
            raise RollbackError(f"{name}: expected seq at most {floor + MAX_SEQ_JUMP}; the model in use stays")
        try:
            needed = ModelVersion.parse(offer.min_runtime)
        except ValueError as error:
            raise ArtifactError(f"{name}: min_runtime: {error}") from error
        if self._runtime < needed:
            raise AppTooOldError(f"{name}: needs projectone {needed} or newer, this is {self._runtime}: update the app")

    def read(self, kind: SignedKind[Document, Signed], signed: Signed) -> Document:
        """The document inside, if our server signed it. Needs no network: anybody who knows the key can check it.

        Raises:
            SettingsError: if no release key is configured.
            SignatureError: if nobody we trust signed it, or it is no such document.
        """
        self._require_keys()
        try:
            return kind.verify(self._keys, signed)
        except ContractError as error:
            raise SignatureError(f"{kind.what}: what was signed is none: {error}") from error

    def read_uses(self, signed: SignedUses) -> tuple[SampleUses, tuple[bool | None, ...]]:
        """Which models learned from a sample, if our server signed it and every proof holds. Needs no network.

        Raises:
            SettingsError: if no release key is configured.
            SignatureError: if nobody we trust signed it, or a proof does not show what it says.
        """
        self._require_keys()
        try:
            return verify_uses(self._keys, signed)
        except ContractError as error:
            raise SignatureError(f"uses of a sample: {error}") from error

    def _require_keys(self) -> None:
        if not self._keys:
            raise SettingsError("no release key: set PROJECTONE_RELEASE_KEY to the public key that the server prints")


def _checked_key(text: str) -> str:
    try:
        raw = base64.b64decode(text, validate=True)
    except binascii.Error:
        raw = b""
    if len(raw) != _KEY_BYTES:
        raise SettingsError(f"release key: expected base64 of {_KEY_BYTES} bytes, got {text!r}")
    return text
