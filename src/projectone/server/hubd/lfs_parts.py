"""Uploads in parts that were never completed."""

from __future__ import annotations

import shutil
import time

from projectone.server.hubd.repos import HubStore


def sweep_parts(store: HubStore, *, older_than_s: float, is_dry_run: bool = False) -> int:
    """Remove uploads that were never completed; gives how many."""
    before_s = time.time() - older_than_s
    folders = [folder for folder in store.parts_folder.glob("*") if folder.is_dir()]
    stale = [folder for folder in folders if folder.stat().st_mtime < before_s]
    for folder in () if is_dry_run else stale:
        shutil.rmtree(folder, ignore_errors=True)
    return len(stale)
