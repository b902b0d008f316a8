"""The questions that the gate asks, one a file."""

from projectone.server.evaluation.checks.clips import Clips
from projectone.server.evaluation.checks.general import GeneralSpeech
from projectone.server.evaluation.checks.improvement import Improvement
from projectone.server.evaluation.checks.protocol import Check, Evidence, Pair, Resampling
from projectone.server.evaluation.checks.silence import Silence
from projectone.server.evaluation.checks.slices import Slices
from projectone.server.evaluation.checks.texts import Texts

__all__ = ["ALL_CHECKS", "Check", "Evidence", "Pair", "Resampling"]

ALL_CHECKS: tuple[Check, ...] = (Silence(), Texts(), Clips(), Slices(), GeneralSpeech(), Improvement())
"""In the order in which their objections are told."""
