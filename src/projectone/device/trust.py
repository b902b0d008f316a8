"""Is this release ours, is it current, and may this device run it? No disk, no wire."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Iterable
from datetime import datetime

from projectone.contracts.erasures import ErasureReceipt, SignedErasure
from projectone.contracts.releases import LatestModelInfo, ReleaseManifest
from projectone.contracts.scripts import ScriptSheet, SignedScripts
from projectone.contracts.signatures import key_id_of, verify_erasure, verify_manifest, verify_scripts, verify_uses
from projectone.contracts.uses import SampleUses, SignedUses
from projectone.contracts.versions import ModelVersion
from projectone.errors import (
    ArtifactError,
    ContractError,
    ExpiredReleaseError,
    RollbackError,
    SettingsError,
    SignatureError,
)

# One stolen signature must not be able to use up the numbers that are left.
MAX_SEQ_JUMP = 100_000
_KEY_BYTES = 32


class Trust:
    """The release keys that this device believes, and the channel it follows."""

    def __init__(self, release_keys: Iterable[str], *, channel: str, runtime: str) -> None:
        """Take base64 raw Ed25519 public keys.

        Raises:
            SettingsError: if one of them is no key.
        """
        self._keys = {key_id_of(key): key for key in map(_checked_key, release_keys)}
        self.channel = channel
        self._runtime = ModelVersion.parse(runtime)

    @property
    def key_ids(self) -> tuple[str, ...]:
        """The short names of the keys."""
        return tuple(sorted(self._keys))

    def judge(self, info: LatestModelInfo, *, floor: int, now: datetime) -> ReleaseManifest:
        """The signed manifest inside a server's answer. Nothing else in the answer is believed.

        Args:
            info: What the server says is newest.
            floor: The highest `seq` that ever ran well on this device.
            now: The time.

        Raises:
            SettingsError: if no release key is configured.
            SignatureError: if nobody we trust signed it.
            ArtifactError: if it is for another channel, or needs a newer app.
            ExpiredReleaseError: if it was signed too long ago to act on.
            RollbackError: if it is older than what ran here, or its number is out of all proportion.
        """
        self._require_keys()
        try:
            manifest = verify_manifest(self._keys, info.signed)
        except ContractError as error:
            raise SignatureError(f"release: what was signed is no manifest: {error}") from error
        name = f"release {manifest.seq} ({manifest.version})"
        if manifest.channel != self.channel:
            raise ArtifactError(f"{name}: expected channel {self.channel!r}, got {manifest.channel!r}")
        if manifest.expires_at <= now:
            raise ExpiredReleaseError(
                f"{name}: its information expired at {manifest.expires_at.isoformat()}; the model in use stays"
            )
        if manifest.seq < floor:
            raise RollbackError(f"{name}: expected seq {floor} or higher; the model in use stays")
        if manifest.seq > floor + MAX_SEQ_JUMP:
            raise RollbackError(f"{name}: expected seq at most {floor + MAX_SEQ_JUMP}; the model in use stays")
        self._check_runtime(manifest, name)
        return manifest

    def read_erasure(self, signed: SignedErasure) -> ErasureReceipt:
        """The receipt inside, if our server signed it. Needs no network: anybody who knows the key can check it.

        Raises:
            SettingsError: if no release key is configured.
            SignatureError: if nobody we trust signed it.
        """
        self._require_keys()
        try:
            return verify_erasure(self._keys, signed)
        except ContractError as error:
            raise SignatureError(f"erasure receipt: what was signed is none: {error}") from error

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

    def read_scripts(self, signed: SignedScripts) -> ScriptSheet:
        """The sheet inside, if our server signed it.

        Raises:
            SettingsError: if no release key is configured.
            SignatureError: if nobody we trust signed it.
        """
        self._require_keys()
        try:
            return verify_scripts(self._keys, signed)
        except ContractError as error:
            raise SignatureError(f"scripts: what was signed is no sheet: {error}") from error

    def _require_keys(self) -> None:
        if not self._keys:
            raise SettingsError("no release key: set PROJECTONE_RELEASE_KEY to the public key that the server prints")

    def _check_runtime(self, manifest: ReleaseManifest, name: str) -> None:
        try:
            needed = ModelVersion.parse(manifest.min_runtime)
        except ValueError as error:
            raise ArtifactError(f"{name}: min_runtime: {error}") from error
        if self._runtime < needed:
            raise ArtifactError(f"{name}: needs projectone {needed} or newer, this is {self._runtime}: update the app")


def _checked_key(text: str) -> str:
    try:
        raw = base64.b64decode(text, validate=True)
    except binascii.Error:
        raw = b""
    if len(raw) != _KEY_BYTES:
        raise SettingsError(f"release key: expected base64 of {_KEY_BYTES} bytes, got {text!r}")
    return text
