"""Tries a downloaded model on the user's own recordings before it is in use, here and for nobody else's eyes.

choosing    which recordings
smoke       sounds in which nobody speaks
trial       the old model hears them, then the new one
sentences   the same for a classifier of intents, on what the user said they meant
harmless    the same for a safety classifier, on what does no harm
judging     worse, or chance
outcome     how both end: judged, kept, refused
rows        what came of it, kept on this device
"""

from __future__ import annotations

from projectone.device.acceptance.choosing import OwnRecording
from projectone.device.acceptance.harmless import HarmlessTrial
from projectone.device.acceptance.outcome import OnTrial, WorseHereError
from projectone.device.acceptance.rows import M010_TRIALS, TRIALS_BY_FAMILY, Comparison, TrialRows
from projectone.device.acceptance.sentences import OwnSentence, SentenceAcceptance
from projectone.device.acceptance.trial import Acceptance, Trial

__all__ = [
    "M010_TRIALS",
    "TRIALS_BY_FAMILY",
    "Acceptance",
    "Comparison",
    "HarmlessTrial",
    "OnTrial",
    "OwnRecording",
    "OwnSentence",
    "SentenceAcceptance",
    "Trial",
    "TrialRows",
    "WorseHereError",
]
