"""Prints what the exploration of power cuts finds on the device, with and without each seeded bug.

    python -m tests.faults.crash_figures

One JSON line each: how many different disks a power cut could leave, and how many of them break a promise.
"""

from __future__ import annotations

import json
import os
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import tests.faults.test_device_crash_states as installs
import tests.faults.test_device_store_crashes as stores

Bug = Callable[[pytest.MonkeyPatch], None]
INSTALL_BUGS: tuple[Bug, ...] = (
    installs.no_fsync_of_files,
    installs.no_fsync_of_folders,
    installs.state_written_in_place,
    installs.live_folder_overwritten,
)
STORE_BUGS: tuple[Bug, ...] = (
    stores.no_fsync_of_files,
    stores.no_fsync_of_folders,
    stores.a_log_that_is_not_flushed,
    stores.a_row_before_its_sound,
    stores.sent_before_the_answer,
    stores.what_was_being_sent_is_forgotten,
    stores.changes_in_pieces,
    stores.sound_that_is_called_safe_too_early,
)


@contextmanager
def _folder() -> Iterator[Path]:
    with tempfile.TemporaryDirectory(dir="/dev/shm" if os.access("/dev/shm", os.W_OK) else None) as made:
        yield Path(made)


def of_install(bug: Bug | None) -> dict[str, object]:
    """Two updates, one after the other."""
    with _folder() as folder, pytest.MonkeyPatch.context() as patch:
        if bug is not None:
            bug(patch)
        n_images, violations = installs.explore(
            folder, first=installs.OLD, then=(installs.NEW, installs.NEWER), allowed={"old", "new", "newer"}
        )
    return {"what": "install", "bug": _name(bug), "disks": n_images, "broken": len(violations)}


def of_store(bug: Bug | None) -> dict[str, object]:
    """A day of recording, correcting, sending and withdrawing."""
    with _folder() as folder, pytest.MonkeyPatch.context() as patch:
        if bug is not None:
            bug(patch)
        is_short = bug is stores.a_log_that_is_not_flushed
        tears = stores.TEARS if bug is None else (0.5,)
        states, server = stores.states_of(folder, patch, tears, is_short=is_short)
        violations = stores.explore(states, server, folder, patch)
    return {"what": "store and outbox", "bug": _name(bug), "disks": len(states), "broken": len(violations)}


def _name(bug: Bug | None) -> str | None:
    return None if bug is None else bug.__name__.replace("_", " ")


def main() -> None:
    """Print all of it."""
    for bug in (None, *INSTALL_BUGS):
        print(json.dumps(of_install(bug)), flush=True)
    for bug in (None, *STORE_BUGS):
        print(json.dumps(of_store(bug)), flush=True)


if __name__ == "__main__":
    main()
