"""What was meant: a small classifier on this machine says it of a text or a recording. Nothing leaves the device.

engine      the classifier in a folder, loaded
asked       what was asked and what was answered, as rows
correcting  what the person says they meant
assistant   asks the classifier in use, whichever that is
guard       the same for the safety classifier: whether it warns of a text
harmless    what its person said is harmless all the same
"""

from __future__ import annotations

from projectone.device.assistant.asked import M016_ASKED, Asked, AskedRows
from projectone.device.assistant.assistant import Assistant, Understood
from projectone.device.assistant.correcting import Meanings
from projectone.device.assistant.engine import GuardEngine, IntentEngine, load_guard, load_intents
from projectone.device.assistant.guard import Guard
from projectone.device.assistant.harmless import FROM_NOW_ON, M024_HARMLESS, Harmless

__all__ = [
    "FROM_NOW_ON",
    "M016_ASKED",
    "M024_HARMLESS",
    "Asked",
    "AskedRows",
    "Assistant",
    "Guard",
    "GuardEngine",
    "Harmless",
    "IntentEngine",
    "Meanings",
    "Understood",
    "load_guard",
    "load_intents",
]
