"""Joins the safety classifier of a device: the one that its server released, or the one that a setting names."""

from __future__ import annotations

import threading
from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from projectone.device.acceptance import HarmlessTrial, OnTrial
from projectone.device.adoption import ModelLine
from projectone.device.assistant import AskedRows, Guard, Harmless, load_guard
from projectone.device.in_use import MayGoOn
from projectone.device.installed import Installed, Slot
from projectone.device.memory import has_room_for
from projectone.device.quality import Quality
from projectone.device.settings import DeviceSettings
from projectone.errors import ArtifactError, GuardError, SettingsError
from projectone.storage.database import Database

if TYPE_CHECKING:
    from projectone.assist.safety import SafetyGuard, SafetyJudgement

NOUN = "safety classifier"
# What a second is to a recording, this is to a text that is read: as for intents.
_TEXT_S = 0.1
_NEWEST = 50


def installed_guards(home: Path) -> Installed:
    """The safety classifiers in a home, brought back to order after any interruption.

    Raises:
        StorageError: if the disk refused.
    """
    installed = Installed(home / "safety", noun=NOUN)
    installed.recover()
    return installed


class Safety(NamedTuple):
    """What reads texts on a device.

    Attributes:
        guard: With what is installed; it is closed at the end.
        flags: Whether a text raises the alarm: of the classifier that a setting names, else of the installed one.
        is_guarded: Whether there is one just now.
        harmless: The same of what this device's person asks, less what they said is harmless.
    """

    guard: Guard
    flags: Callable[[str], bool]
    is_guarded: Callable[[], bool]
    harmless: Harmless


def safety(
    settings: DeviceSettings, database: Database, line: ModelLine, quality: Quality, clock: Callable[[], datetime]
) -> Safety:
    """Everything that reads texts here.

    One that a setting names is counted nowhere: no release is behind it.

    Raises:
        SettingsError: if a setting names a folder without a classifier.
    """
    installed, named = guard(database, line, quality), flags(settings)
    if named is not None:
        return Safety(installed, named, lambda: True, Harmless(database, named, clock=clock))
    return Safety(installed, installed.flags, installed.is_here, Harmless(database, installed.flags, clock=clock))


def guard(database: Database, line: ModelLine, quality: Quality) -> Guard:
    """What reads texts with the safety classifier that is installed."""
    asked = AskedRows(database)

    def on_read(version: str, took_s: float, judgement: SafetyJudgement) -> None:
        # What is counted of speech as a transcript without words is a warning here: one that warns far more often than
        # the one before is gone back from, and a release of which many devices say so is stopped.
        line.windows.count_heard(_TEXT_S, took_s, judgement.is_flagged)
        line.uses.count_heard(version, is_empty=judgement.is_flagged)
        quality.count_read(version, took_s, judgement)

    def begin(slot: Slot, may_go_on: MayGoOn) -> HarmlessTrial:
        own = [item.text for item in asked.newest(_NEWEST)]
        return HarmlessTrial(own, OnTrial(slot.seq, slot.version, NOUN, may_go_on))

    return Guard(
        line.installed,
        load_guard,
        begin_trial=begin,
        was_any=line.uses.was_any,
        has_room=has_room_for,
        watch=line.uses,
        on_read=on_read,
    )


def flags(settings: DeviceSettings) -> Callable[[str], bool] | None:
    """Whether a text raises the alarm of the classifier that a setting names; None where none is named.

    It is read when it is first asked.

    Raises:
        SettingsError: if there is no classifier in the folder. One that cannot be read raises `GuardError` when it is
            asked: nothing is answered unread.
    """
    folder = settings.safety_model
    if folder is None:
        return None
    if not (folder / "classifier.json").is_file():
        raise SettingsError(f"PROJECTONE_SAFETY_MODEL: expected the folder of a classifier, got {str(folder)!r}")
    lock = threading.Lock()
    named: SafetyGuard | None = None

    def flagged(text: str) -> bool:
        nonlocal named
        with lock:
            if named is None:
                # Imported where it is asked for: it loads a BLAS.
                from projectone.assist.safety import load_safety

                try:
                    named = load_safety(folder, numerics=settings.numerics)
                except (ArtifactError, OSError) as error:
                    raise GuardError(f"PROJECTONE_SAFETY_MODEL: {error}") from error
        return named.flags(text)

    return flagged
