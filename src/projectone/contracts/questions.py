"""What a device may be asked about its models: histograms of eight classes, some for each family of models.

Names and edges are fixed. A change of what one means, or another one, is a new version of the edges; reports say which
version they mean, so that what was said under an earlier one stays what it was.
"""

from __future__ import annotations

from collections.abc import Mapping
from itertools import pairwise
from typing import Final, Literal, get_args

from projectone.contracts.versions import FAMILIES, Family

SpeechHistogram = Literal[
    "log_probability", "compression", "no_speech", "duration", "signal_to_noise", "edit_rate", "real_time"
]
IntentHistogram = Literal[
    "fit", "probability", "sketch", "outcome", "corrected", "first_reply", "answered", "judging_time"
]
SafetyHistogram = Literal["alarm", "warned", "alarm_probability", "reading_time"]
Histogram = Literal[SpeechHistogram, IntentHistogram, SafetyHistogram]
"""What is counted."""

HISTOGRAMS_OF: Final[Mapping[Family, tuple[Histogram, ...]]] = {
    "speech": get_args(SpeechHistogram),
    "intents": get_args(IntentHistogram),
    "safety": get_args(SafetyHistogram),
}
"""The questions about each family's models. A family's rate of false alarms is shared out over its own."""

ASKED_FAMILIES: Final[tuple[Family, ...]] = tuple(family for family in FAMILIES if HISTOGRAMS_OF[family])
"""Those about whose models anything is asked."""

HISTOGRAMS: Final[tuple[Histogram, ...]] = tuple(name for family in FAMILIES for name in HISTOGRAMS_OF[family])
N_BINS: Final = 8

EDGES: Final[Mapping[Histogram, tuple[float, ...]]] = {
    "log_probability": (-5.0, -1.0, -0.5, -0.25, -0.15, -0.1, -0.08),
    "compression": (0.5, 0.65, 0.75, 0.85, 1.0, 1.5, 2.4),
    "no_speech": (0.001, 0.01, 0.1, 0.3, 0.6, 0.8, 0.95),
    "duration": (1.0, 2.0, 2.5, 3.5, 5.0, 10.0, 30.0),
    "signal_to_noise": (10.0, 16.0, 22.0, 28.0, 34.0, 38.0, 43.0),
    "edit_rate": (0.01, 0.1, 0.2, 0.35, 0.5, 0.75, 1.0),
    "real_time": (0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0),
    "fit": (0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.78),
    "probability": (0.2, 0.4, 0.6, 0.8, 0.9, 0.97, 0.995),
    "judging_time": (0.001, 0.002, 0.004, 0.008, 0.016, 0.032, 0.1),
    "corrected": (0.01, 0.04, 0.08, 0.12, 0.2, 0.35, 0.6),
    "alarm_probability": (0.02, 0.05, 0.1, 0.2, 0.4, 0.7, 0.9),
    "reading_time": (0.001, 0.002, 0.004, 0.008, 0.016, 0.032, 0.1),
    "warned": (0.01, 0.04, 0.08, 0.12, 0.2, 0.35, 0.6),
}
"""Where one class ends and the next begins (it holds its lower edge); of questions whose classes are not named.

Those about speech were chosen once, from 400 clips of AN4, Kathleen's Arctic and other English under the starter model,
so that ordinary speech falls into several classes and the ends are left for what goes wrong; -1, 2.4 and 0.6 are
Whisper's own limits. Nats per token; characters per compressed byte; a probability; seconds; decibels between loud and
quiet frames; changed words per word; seconds of computing per second of sound. Those about classifiers were chosen in
the same way, from 2,400 sentences of CLINC150 under a classifier of its intents. A cosine; a probability; seconds. A
week in which ten sentences were understood and one was corrected lies in the fourth class of `corrected`. Those about
safety classifiers: from 400 comments of a toxicity set and 400 sentences of CLINC150 under a classifier of toxicity; a
week in which one of ten texts raised the alarm lies in the fourth class of `warned`.
"""

_DRAWN: Final = "only by the coin"

CLASS_NAMES: Final[Mapping[Histogram, tuple[str, ...]]] = {
    "sketch": tuple(f"part {place}" for place in range(1, N_BINS + 1)),
    "outcome": (
        "said to be right",
        "understood",
        "none of these",
        "another was meant",
        "none was meant",
        "one was meant after all",
        _DRAWN,
        _DRAWN,
    ),
    "first_reply": (
        "for its intent",
        "for its intent, again",
        "by a near example",
        "by a near one, again",
        "no policy applies",
        "the safety check",
        _DRAWN,
        _DRAWN,
    ),
    "answered": (
        "kept from before",
        "a model here",
        "a model elsewhere",
        "template, no model set",
        "template, too late",
        "template, server down",
        "template, unfit answer",
        "template, not allowed",
    ),
    "alarm": ("not warned of", "warned of", _DRAWN, _DRAWN, _DRAWN, _DRAWN, _DRAWN, _DRAWN),
}
"""The classes of questions that have no numbers, where there is an order the better first."""

OUTCOMES: Final = ("right", "understood", "none", "another", "should-be-none", "should-be-one")
"""What became of a sentence, in the order of its classes: the classifier's answer, and each correction of one."""

REPLIES: Final = ("intent", "intent-again", "example", "example-again", "otherwise", "unsafe")
"""Why a first reply was chosen, in the order of its classes."""

ANSWERERS: Final = ("kept", "local", "hosted", "no-model", "late", "down", "unfit", "not-allowed")
"""Who answered, and where only the template did, why nobody else: in the order of its classes."""

TITLES: Final[Mapping[Histogram, str]] = {
    "log_probability": "how sure the model was",
    "compression": "how much the text repeats itself",
    "no_speech": "how likely nobody spoke",
    "duration": "how long a recording was",
    "signal_to_noise": "how far speech stands out from noise",
    "edit_rate": "how many words a correction changed",
    "real_time": "how long transcribing took",
    "fit": "how well the nearest intent fits",
    "probability": "how sure the classifier was",
    "sketch": "in which part of all sentences one lies",
    "outcome": "what became of what was understood",
    "corrected": "how much of a week was understood wrongly",
    "first_reply": "why a first reply was chosen",
    "answered": "who answered, and why not others",
    "judging_time": "how long understanding took",
    "alarm": "whether a text was warned of",
    "warned": "how much of a week was warned of",
    "alarm_probability": "how likely a text was harmful to the classifier",
    "reading_time": "how long reading for safety took",
}
UNITS: Final[Mapping[Histogram, str]] = {
    "log_probability": "nats per token",
    "compression": "characters per compressed byte",
    "no_speech": "probability",
    "duration": "s",
    "signal_to_noise": "dB",
    "edit_rate": "share of words",
    "real_time": "s of computing per s of sound",
    "fit": "cosine",
    "probability": "probability",
    "sketch": "",
    "outcome": "",
    "corrected": "corrections per sentence",
    "first_reply": "",
    "answered": "",
    "judging_time": "s",
    "alarm": "",
    "warned": "warnings per text",
    "alarm_probability": "probability",
    "reading_time": "s",
}
"""Empty where classes have names."""

WORSE: Final[Mapping[Histogram, int]] = {
    "log_probability": -1,
    "compression": 1,
    "no_speech": 1,
    "duration": 0,
    "signal_to_noise": 0,
    "edit_rate": 1,
    "real_time": 1,
    "fit": -1,
    "probability": -1,
    "sketch": 0,
    "outcome": 1,
    "corrected": 1,
    "first_reply": 1,
    "answered": 0,
    "judging_time": 1,
    "alarm": 1,
    "warned": 1,
    "alarm_probability": 1,
    "reading_time": 1,
}
"""On which side a model is worse: lower (-1) or higher (1) classes; 0 where what comes decides, and no model."""

OF_ONE_MODEL: Final[frozenset[Histogram]] = frozenset({"sketch"})
"""Questions whose classes mean something else to the next model: they are held against its own first weeks alone."""


def family_asked(histogram: Histogram) -> Family:
    """Whose models a question is about."""
    return next(family for family in FAMILIES if histogram in HISTOGRAMS_OF[family])


def edges_version(histogram: Histogram) -> Literal[1, 2, 3, 4]:
    """The version with which a question came; none changed another.

    2 added those about classifiers, 3 `corrected`, 4 those about safety classifiers.
    """
    if histogram in HISTOGRAMS_OF["speech"]:
        return 1
    if histogram in HISTOGRAMS_OF["safety"]:
        return 4
    return 3 if histogram == "corrected" else 2


def bin_of(histogram: Histogram, value: float) -> int:
    """The class of a value, 0 to 7; of a question that has numbers."""
    return sum(value >= edge for edge in EDGES[histogram])


def class_names(histogram: Histogram) -> tuple[str, ...]:
    """Each class in words, in order."""
    if histogram in CLASS_NAMES:
        return CLASS_NAMES[histogram]
    edges = EDGES[histogram]
    middle = (f"{low:g} to {high:g}" for low, high in pairwise(edges))
    return (f"under {edges[0]:g}", *middle, f"{edges[-1]:g} or more")
