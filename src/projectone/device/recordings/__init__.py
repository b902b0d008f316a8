"""The user's recordings, what was heard in them and what was really said. Nothing here leaves by itself.

records     a clip, a recording, a data point
rows        where they are kept
schema      the tables
"""

from projectone.device.recordings.records import Clip, FineTuningDataPoint, Recording
from projectone.device.recordings.rows import LAST, Recordings
from projectone.device.recordings.schema import M001_RECORDINGS, M008_WORDS, M015_REMOVED_SOUNDS, M017_INTENTS

__all__ = [
    "LAST",
    "M001_RECORDINGS",
    "M008_WORDS",
    "M015_REMOVED_SOUNDS",
    "M017_INTENTS",
    "Clip",
    "FineTuningDataPoint",
    "Recording",
    "Recordings",
]
