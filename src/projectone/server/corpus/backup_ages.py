"""Backups that are older than people were promised: found where the operator says that they lie."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Final, Literal

from projectone.contracts.consent import BACKUPS_DAYS, KEY_BACKUPS_DAYS

MANIFEST: Final = "backup.json"
_KEPT_DAYS: Final = {"home": BACKUPS_DAYS, "keys": KEY_BACKUPS_DAYS}
_PATTERNS: Final = (MANIFEST, f"*/{MANIFEST}", f"*/*/{MANIFEST}")
# A copy of the store of keys that no manifest lies beside, as cron and cp make it.
_KEY_STORES: Final = ("consents.sqlite*", "*/consents.sqlite*", "*/*/consents.sqlite*")


@dataclass(frozen=True)
class KeptBackup:
    """One half of a backup: everything but the keys, or the keys; `keep` is how long it may lie there."""

    folder: Path
    half: Literal["home", "keys"]
    made_at: datetime

    @property
    def keep(self) -> timedelta:
        """For how long people were promised that there is such a backup."""
        return timedelta(days=_KEPT_DAYS[self.half])


def kept_backups(folders: Iterable[Path]) -> list[KeptBackup]:
    """What lies in these folders and two levels below, the oldest first.

    A manifest says when its half was made. One that says nothing sensible, and a copied store of keys without one, are
    taken by the date of the file.
    """
    found: dict[Path, KeptBackup] = {}
    for folder in folders:
        for path in (path for pattern in _PATTERNS for path in folder.glob(pattern)):
            found[path.parent] = _read(path)
        for path in (path for pattern in _KEY_STORES for path in folder.glob(pattern)):
            if path.parent not in found and path.is_file():
                found[path.parent] = KeptBackup(path.parent, "keys", _written_at(path))
    return sorted(found.values(), key=lambda backup: (backup.made_at, str(backup.folder)))


def overdue(backups: Iterable[KeptBackup], now: datetime) -> list[KeptBackup]:
    """Those that should be gone."""
    return [backup for backup in backups if now - backup.made_at > backup.keep]


def told(backups: Sequence[KeptBackup], now: datetime) -> str:
    """Those that should be gone, a sentence each, for the operator."""
    why = {
        "home": "with today's keys it opens what expired or was taken back since",
        "keys": "it opens what was withdrawn since",
    }
    return "; ".join(
        f"{backup.folder} ({backup.half}) is {(now - backup.made_at).days} days old, promised were "
        f"{backup.keep.days}: delete it, {why[backup.half]}"
        for backup in backups
    )


def _read(manifest: Path) -> KeptBackup:
    try:
        plain: Any = json.loads(manifest.read_bytes())
        made_at = datetime.fromisoformat(plain["made_at"])
        half: Literal["home", "keys"] = "keys" if plain["half"] == "keys" else "home"
    except (OSError, ValueError, KeyError, TypeError):
        return KeptBackup(manifest.parent, "home", _written_at(manifest))
    return KeptBackup(manifest.parent, half, made_at if made_at.tzinfo else made_at.replace(tzinfo=UTC))


def _written_at(path: Path) -> datetime:
    return datetime.fromtimestamp(path.stat().st_mtime, UTC)
