"""Joins what the classifier of intents needs on a device: the same rooms as the speech model, in a second line."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from pathlib import Path

from projectone.device.assistant import AskedRows, Assistant, Meanings, load_intents
from projectone.device.installed import Installed
from projectone.device.memory import has_room_for
from projectone.device.offers import Offers
from projectone.device.outbox import Outbox
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
    database: Database,
    home: Path,
    recordings: Recordings,
    outbox: Outbox,
    offers: Offers,
    clock: Callable[[], datetime],
) -> Assistant:
    """What says what a text means."""
    installed = installed_intents(home)
    asked = AskedRows(database)
    meanings = Meanings(database, asked, recordings, outbox, offers, clock=clock)
    return Assistant(installed, load_intents, asked, meanings, recordings, clock=clock, has_room=has_room_for)
