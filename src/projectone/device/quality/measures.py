"""From one recording, or one correction, to classes."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import numpy.typing as npt

from projectone.contracts.questions import N_BINS, OUTCOMES, Histogram, bin_of
from projectone.device.heard import Heard
from projectone.waveform.quality import MIN_DURATION_S, RATE_HZ, level_spread_db

Bins = dict[Histogram, int]


def measure(heard: Heard, samples: npt.NDArray[np.float32]) -> Bins:
    """The classes of one transcription; those that it tells nothing about are left out.

    Args:
        heard: What the model heard, and how long that took.
        samples: The recording, 16 kHz mono.
    """
    duration_s = len(samples) / RATE_HZ
    values: dict[Histogram, float] = {"duration": duration_s}
    if duration_s >= MIN_DURATION_S:
        values["signal_to_noise"] = level_spread_db(samples)
        values["real_time"] = heard.computing_s / duration_s
    if not heard.text.strip():
        values["no_speech"] = 1.0  # the model wrote nothing: it says so more surely than by any probability
    elif heard.signals is not None:
        values["no_speech"] = heard.signals.no_speech_prob
        values["log_probability"] = heard.signals.avg_logprob
        values["compression"] = heard.signals.compression_ratio
    return {histogram: bin_of(histogram, value) for histogram, value in values.items()}


def measure_correction(heard: str, corrected: str, distance: Callable[[str, str], float]) -> Bins:
    """The class of a correction: the share of words that it changed, at most all of them.

    Args:
        heard: What the model wrote.
        corrected: What was said.
        distance: Words wrong per word said.
    """
    return {"edit_rate": bin_of("edit_rate", min(1.0, distance(corrected, heard)))}


def measure_reading(is_flagged: bool, probability: float, took_s: float) -> Bins:
    """The classes of one text that a safety classifier read.

    Args:
        is_flagged: Whether it raised the alarm.
        probability: That it is harmful, as the classifier sees it.
        took_s: How long that took.
    """
    return {
        "alarm": int(is_flagged),
        "alarm_probability": bin_of("alarm_probability", probability),
        "reading_time": bin_of("reading_time", took_s),
    }


def measure_warnings(alarms: Sequence[int]) -> dict[Histogram, tuple[int, ...]]:
    """What a whole week says at once: how many of its texts were warned of, as a count of one in one class.

    Args:
        alarms: Texts that were not warned of, and those that were. A week in which nothing was read says nothing.
    """
    n_read, n_warned = sum(alarms), alarms[1]
    class_ = None if not n_read else bin_of("warned", n_warned / n_read)
    return {"warned": tuple(int(place == class_) for place in range(N_BINS))}


def measure_week(outcomes: Sequence[int]) -> dict[Histogram, tuple[int, ...]]:
    """What a whole week says at once: how many of its sentences were corrected, as a count of one in one class.

    Args:
        outcomes: How often each of `OUTCOMES` was counted. A week in which nothing was asked says nothing.
    """
    n = dict(zip(OUTCOMES, outcomes, strict=False))
    n_judged = n["understood"] + n["none"]
    n_corrected = n["another"] + n["should-be-none"] + n["should-be-one"]
    if not n_judged:
        return {"corrected": (0,) * N_BINS}
    class_ = bin_of("corrected", min(1.0, n_corrected / n_judged))  # some of last week's may be among the corrections
    return {"corrected": tuple(int(place == class_) for place in range(N_BINS))}
