"""A vault with keys of its own, and one that seals nothing: the control of what sealing is for."""

from __future__ import annotations

import json
from pathlib import Path

from projectone.server.corpus.vault import Kind, Place, Vault, Words
from projectone.server.keys import ConsentKeys, open_key_database
from projectone.storage.keyfiles import KeyFiles


def keys_in(folder: Path, *, can_open: bool = True) -> ConsentKeys:
    """Keys of consents in `folder`, with a master key, made if there are none."""
    folder.mkdir(parents=True, exist_ok=True)
    engine = open_key_database(f"sqlite:///{folder}/consents.sqlite")
    keys = ConsentKeys(engine, KeyFiles(folder, can_unwrap=can_open))
    keys.ensure_master()
    return keys


def a_vault(folder: Path) -> Vault:
    """A vault whose keys lie in `folder`."""
    return Vault(keys_in(folder))


class GlassVault(Vault):
    """Everything lies open, as if nobody had thought of it. What it gives, it gives to everybody."""

    def _seal(self, place: Place, kind: Kind, content: bytes) -> bytes:
        return content

    def open_clip(self, place: Place, sealed: bytes) -> bytes:
        return sealed

    def open_salt(self, place: Place, sealed: bytes) -> bytes:
        return sealed

    def open_words(self, place: Place, sealed: bytes) -> Words:
        return Words(**json.loads(sealed))
