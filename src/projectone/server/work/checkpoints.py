"""Signed checkpoints of the audit log: made by the worker every hour, kept where the database is not."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from pathlib import Path

from projectone.contracts.checkpoints import AuditCheckpoint, SignedCheckpoint
from projectone.contracts.signatures import verify_checkpoint
from projectone.errors import ContractError, SignatureError, StorageError
from projectone.server.audit import AuditLog
from projectone.server.database import open_engine
from projectone.server.delivery.signing import load_signer
from projectone.server.home import NEWEST_CHECKPOINT, RELEASE_KEY
from projectone.server.settings import ServerSettings
from projectone.storage.files import make_folder, write_atomically


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
        signed = signer.sign_checkpoint(log.checkpoint(now))
    finally:
        engine.dispose()
    try:
        make_folder(settings.checkpoints, mode=0o755)
        for path in (settings.checkpoints / f"{found.n_entries:010}.json", settings.home / NEWEST_CHECKPOINT):
            write_atomically(path, signed.to_bytes())
            path.chmod(0o644)  # ids and digests of nothing a person said: for everybody to keep
    except OSError as error:
        raise StorageError(f"checkpoint: {settings.checkpoints}: could not be written: {error}") from error
    return signed


def kept_checkpoints(folder: Path, trusted: Mapping[str, str]) -> dict[Path, AuditCheckpoint]:
    """Every checkpoint in a folder; of none, none.

    Raises:
        StorageError: if one cannot be read.
        SignatureError, ContractError: if one is not what the server signed.
    """
    return {path: read_checkpoint(path, trusted) for path in sorted(folder.glob("*.json"))}


def read_checkpoint(path: Path, trusted: Mapping[str, str]) -> AuditCheckpoint:
    """One checkpoint, its signature checked; errors as `kept_checkpoints`, naming the file."""
    try:
        return verify_checkpoint(trusted, SignedCheckpoint.from_bytes(path.read_bytes()))
    except OSError as error:
        raise StorageError(f"checkpoint {path.name!r}: could not be read: {error}") from error
    except (SignatureError, ContractError) as error:
        raise type(error)(f"checkpoint {path.name!r}: {error}") from error
