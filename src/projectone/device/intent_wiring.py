"""Joins what the classifier of intents needs on a device: the same rooms as the speech model, in a second line."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from pathlib import Path

from projectone.device.assistant import AskedRows, Assistant, load_intents
from projectone.device.installed import Installed
from projectone.device.memory import has_room_for
from projectone.device.recordings import Recordings
from projectone.storage.database import Database


def installed_intents(home: Path) -> Installed:
    """The classifiers in a home, brought back to order after any interruption.

    Raises:
        StorageError: if the disk refused.
    """
    installed = Installed(home / "intents", noun="classifier")
    installed.recover()
    return installed


def assistant(
    database: Database, installed: Installed, recordings: Recordings, clock: Callable[[], datetime]
) -> Assistant:
    """What says what a text means."""
    return Assistant(installed, load_intents, AskedRows(database), recordings, clock=clock, has_room=has_room_for)
