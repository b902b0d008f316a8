"""The questions that the gate asks, by what they are about."""

from projectone.server.evaluation.checks.clips import Clips
from projectone.server.evaluation.checks.cost import Size, Speed
from projectone.server.evaluation.checks.files import Files, Vocabulary
from projectone.server.evaluation.checks.general import GeneralSpeech
from projectone.server.evaluation.checks.improvement import Improvement
from projectone.server.evaluation.checks.lessons import CoveredWords, KnownRecordings
from projectone.server.evaluation.checks.memorisation import Memorisation
from projectone.server.evaluation.checks.numerics import Numerics
from projectone.server.evaluation.checks.protocol import Check, Evidence, Pair, Resampling
from projectone.server.evaluation.checks.silence import Silence
from projectone.server.evaluation.checks.slices import Slices
from projectone.server.evaluation.checks.style import Style
from projectone.server.evaluation.checks.texts import Texts
from projectone.server.evaluation.checks.timestamps import Timestamps

__all__ = ["ALL_CHECKS", "Check", "Evidence", "Pair", "Resampling"]

ALL_CHECKS: tuple[Check, ...] = (
    Files(),
    Vocabulary(),
    Numerics(),
    Memorisation(),
    CoveredWords(),
    KnownRecordings(),
    Silence(),
    Texts(),
    Timestamps(),
    Style(),
    Clips(),
    Slices(),
    GeneralSpeech(),
    Improvement(),
    Speed(),
    Size(),
)
"""In the order in which their objections are told."""
