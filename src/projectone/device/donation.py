"""Whether a recording of a script is worth giving, and if not, what to do about it: checked before it is kept.

Each limit lies beyond what 326 real recordings measure (six corpora; tests/unit/device/test_donation.py holds them to
at most 1 % of false alarms). The model is the last to judge: sentences are chosen because it mishears them, so a clip
passes too if what it heard is nearer to this script than to any other sentence of the sheet.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt

from projectone.contracts.audio import MAX_CLIP_S
from projectone.waveform.quality import RATE_HZ, measure_quality, why_unusable

Samples = npt.NDArray[np.float32]
Distance = Callable[[str, str], float]
"""Two texts to the errors between them, per word or character of the first; as a fraction."""

MAX_WER: Final = 0.5
_MIN_PEAK_DB = -32.0
_MAX_CLIPPED_SHARE = 0.01
_MIN_SPREAD_DB = 10.0
_MAX_CHARACTERS_PER_S = 30.0
_MIN_CHARACTERS_PER_S = 1.0

_ADVICE: Final[dict[str, str]] = {
    "too-long": f"longer than {MAX_CLIP_S:g} s: record one sentence at a time",
    "too-short": "nothing to speak of: press record, wait a moment, then read",
    "not-finite": "the file is damaged: record it again",
    "dc-offset": "the microphone's level is off centre: try another input",
    "silence": "nothing was recorded: is the microphone muted, or another one chosen?",
    "no-speech": "no voice was heard, only a steady sound: is the right microphone chosen?",
    "clipping": "too loud: move back, or turn the input down",
    "too-quiet": "too quiet: come closer to the microphone, or turn the input up",
    "noisy": "too noisy: close the window, or find a quieter room",
    "cut-off": "shorter than anybody can read this: was the end, or the beginning, cut off?",
    "slow": "mostly pauses: record only the sentence",
}


@dataclass(frozen=True)
class Finding:
    """One thing that is wrong with a recording: a word for programs, and what a person can do about it."""

    reason: str
    advice: str


def check_sound(samples: Samples, text: str) -> Finding | None:
    """What is wrong with the sound of a script that was read aloud: 16 kHz mono samples, shape (n,)."""
    duration_s = len(samples) / RATE_HZ
    reason = "too-long" if duration_s > MAX_CLIP_S else why_unusable(samples)
    if reason is None:
        quality = measure_quality(samples)
        faults = {
            "clipping": quality.clipped_share > _MAX_CLIPPED_SHARE,
            "too-quiet": quality.peak_db < _MIN_PEAK_DB,
            "noisy": quality.spread_db < _MIN_SPREAD_DB,
            "cut-off": len(text) > 5 + _MAX_CHARACTERS_PER_S * duration_s,
            "slow": len(text) < _MIN_CHARACTERS_PER_S * (duration_s - 2.0),
        }
        reason = next((fault for fault, is_so in faults.items() if is_so), None)
    return None if reason is None else Finding(reason, _ADVICE.get(reason, f"it cannot be used: {reason}"))


def check_words(
    heard: str, text: str, *, others: Iterable[str], word_distance: Distance, letter_distance: Distance
) -> Finding | None:
    """Whether something else was read than the script.

    Args:
        heard: What the model on this device made of the recording.
        text: The script.
        others: Other sentences that could have been read by mistake.
        word_distance: Errors per word.
        letter_distance: Errors per character.
    """
    if word_distance(text, heard) <= MAX_WER:
        return None
    distance = letter_distance(text, heard)
    is_nearest = all(distance < letter_distance(other, heard) for other in others if other != text)
    if heard.strip() and is_nearest and distance < 1.0:
        return None
    shown = heard.strip() or "nothing"
    return Finding(
        "other-words", f"heard {shown!r}: read the sentence as it stands, or --anyway if that is what you did"
    )
