"""Where master keys lie: in files, in the system's keyring, in a key service; several at once while one takes over."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path

from projectone.storage.keyfiles import KeyFiles, MasterKeyKinds, MasterKeys, kind_of
from projectone.storage.keyrings import KeyringKeys
from projectone.storage.kms import KmsKeys

_KMS = "aws-kms:"


def open_master_keys(places: str, folder: Path, *, passphrase: str | None, can_unwrap: bool) -> MasterKeyKinds:
    """Master keys as the setting has them: the first place makes new ones, files and keyring are always looked into.

    Args:
        places: `file`, `keyring`, `aws-kms:REGION` or `aws-kms:REGION@URL`, several behind commas.
        folder: Where key files lie.
        passphrase: Locks those files.
        can_unwrap: Whether this process may unwrap.
    """
    in_files = partial(KeyFiles, folder, passphrase=passphrase, can_unwrap=can_unwrap)
    in_keyring = partial(KeyringKeys, folder, can_unwrap=can_unwrap)
    kinds: dict[str, Callable[[], MasterKeys]] = {}
    for place in [*places.split(","), "file", "keyring"]:
        if place.startswith(_KMS):
            region, _, endpoint = place.removeprefix(_KMS).partition("@")
            kinds.setdefault(KmsKeys.kind, partial(KmsKeys, region, endpoint=endpoint or None, can_unwrap=can_unwrap))
        else:
            kind, opening = (KeyFiles.kind, in_files) if place == "file" else (KeyringKeys.kind, in_keyring)
            kinds.setdefault(kind, opening)
    return MasterKeyKinds(kinds)


def name_of_place(master_id: str) -> str:
    """Where a master key lies, for people, by its id."""
    names = {KeyFiles.kind: "file", KeyringKeys.kind: "keyring", KmsKeys.kind: "aws-kms"}
    return names.get(kind_of(master_id), "unknown")
