"""Signed checkpoints of the audit log: made by the worker every hour, kept where the database is not."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from pathlib import Path
from typing import Literal
from uuid import UUID

from projectone.contracts.base import Contract
from projectone.contracts.checkpoints import AuditCheckpoint, SignedCheckpoint
from projectone.contracts.signatures import CHECKPOINT, verify_checkpoint
from projectone.errors import ContractError, SignatureError, StorageError
from projectone.server.audit import AuditLog
from projectone.server.corpus.consents import Consents
from projectone.server.corpus.deletions import Deletions
from projectone.server.database import Engine, open_engine
from projectone.server.delivery.signing import load_signer
from projectone.server.home import NEWEST_CHECKPOINT, RELEASE_KEY, open_keys
from projectone.server.settings import ServerSettings
from projectone.storage.files import make_folder, write_atomically

ERASED_LIST = "erased.list"
"""Beside the checkpoints: what a restored backup has to erase again, should rows and keys be lost together."""


class ErasedList(Contract):
    """What is unreadable for good.

    Attributes:
        consents: Those that were withdrawn.
        samples: Those that were taken back, with the pseudonym of whoever sent them.
        keys: Every other key that was destroyed, as of people whose memories were forgotten.
    """

    schema_version: Literal[1] = 1
    consents: tuple[UUID, ...]
    samples: tuple[tuple[UUID, str], ...]
    keys: tuple[UUID, ...] = ()

    @property
    def is_anything(self) -> bool:
        """Whether it names anything."""
        return bool(self.consents or self.samples or self.keys)

    def with_all_of(self, other: ErasedList) -> ErasedList:
        """What either list names."""
        return ErasedList(
            consents=tuple(dict.fromkeys((*self.consents, *other.consents))),
            samples=tuple(dict.fromkeys((*self.samples, *other.samples))),
            keys=tuple(dict.fromkeys((*self.keys, *other.keys))),
        )


def publish_checkpoint(settings: ServerSettings, now: datetime) -> SignedCheckpoint | None:
    """Sign the log as it is, if it has grown; None if it has not. What does not hold is not signed.

    The newest one is also what the API hands to everybody who asks: the more keep it, the fewer can be talked round.

    Raises:
        StorageError: if the log is not what was signed before, or the folder cannot be written to.
    """
    signer = load_signer(settings.keys_folder / RELEASE_KEY)
    engine = open_engine(settings.database_url)
    try:
        log = AuditLog(engine)
        known = kept_checkpoints(settings.checkpoints, signer.trusted)
        newest = max((item.n_entries for item in known.values()), default=0)
        found = log.verify(known.values())
        if not found.is_sound:
            more = f" and {len(found.problems) - 1} more" if len(found.problems) > 1 else ""
            raise StorageError(
                f"audit log: {found.problems[0]}{more}; history was changed: see `projectone-server audit verify`"
            )
        if found.n_entries == newest:
            return None
        signed = signer.sign(CHECKPOINT, log.checkpoint(now))
        erased = _erased(engine, _destroyed(settings))
    finally:
        engine.dispose()
    try:
        make_folder(settings.checkpoints, mode=0o755)
        for path in (settings.checkpoints / f"{found.n_entries:010}.json", settings.home / NEWEST_CHECKPOINT):
            write_atomically(path, signed.to_bytes())
            path.chmod(0o644)  # counts and digests of nothing a person said: for everybody to keep
        write_atomically(settings.checkpoints / ERASED_LIST, erased.to_bytes())
        (settings.checkpoints / ERASED_LIST).chmod(0o600)
    except OSError as error:
        raise StorageError(f"checkpoint: {settings.checkpoints}: could not be written: {error}") from error
    return signed


def _erased(engine: Engine, destroyed: set[UUID]) -> ErasedList:
    consents = {item.receipt_id for item in Consents(engine).consents() if item.withdrawn_at is not None}
    return ErasedList(
        consents=tuple(sorted(consents)),
        samples=tuple(sorted(Deletions(engine).deleted())),
        keys=tuple(sorted(destroyed - consents)),
    )


def _destroyed(settings: ServerSettings) -> set[UUID]:
    keys = open_keys(settings, can_open=False)
    try:
        return keys.destroyed()
    finally:
        keys.close()


def kept_checkpoints(folder: Path, trusted: Mapping[str, str]) -> dict[Path, AuditCheckpoint]:
    """Every checkpoint in a folder; of none, none.

    Raises:
        StorageError: if one cannot be read.
        SignatureError, ContractError: if one is not what the server signed.
    """
    return {path: read_checkpoint(path, trusted) for path in sorted(folder.glob("[0-9]*.json"))}


def read_checkpoint(path: Path, trusted: Mapping[str, str]) -> AuditCheckpoint:
    """One checkpoint, its signature checked; errors as `kept_checkpoints`, naming the file."""
    try:
        return verify_checkpoint(trusted, SignedCheckpoint.from_bytes(path.read_bytes()))
    except OSError as error:
        raise StorageError(f"checkpoint {path.name!r}: could not be read: {error}") from error
    except (SignatureError, ContractError) as error:
        raise type(error)(f"checkpoint {path.name!r}: {error}") from error
