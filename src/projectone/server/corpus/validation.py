"""Whether a clip and its text can teach anything; used when a dataset is sealed."""

from __future__ import annotations

from typing import Final

import numpy as np
import numpy.typing as npt

from projectone.contracts.texts import MAX_MARKS_PER_BASE, MAX_TRANSCRIPT_CHARACTERS
from projectone.server.corpus.duplicates import SUPERSEDED
from projectone.waveform.quality import RATE_HZ, WHY, why_unusable

# The fastest of 3039 real clips (a trimmed digit) has 27.5 characters per second; reading aloud has 12 to 20. The
# allowance is for the ends of a tightly trimmed word.
_MAX_CHARACTERS_PER_S = 35.0
_ALLOWED_CHARACTERS = 5

EXPLAINED: Final[dict[str, str]] = {
    **{reason: f"the clip {what}" for reason, what in WHY.items()},
    "text-empty": "the text has no letter and no digit",
    "text-rate": f"the text has more than {_MAX_CHARACTERS_PER_S:g} characters for each second of sound",
    "text-too-long": f"the text has more than {MAX_TRANSCRIPT_CHARACTERS} characters",
    "text-characters": f"the text has an invisible character, or over {MAX_MARKS_PER_BASE} marks on one letter",
    "golden-overlap": "the recording is in the golden set, on which models are judged",
    SUPERSEDED: "the same person corrected the same recording again later; their newest text counts",
    "clip-damaged": "the disk gives other bytes than were stored",
    "clip-missing": "the clip is not in the store any more",
}
"""Why a sample is discarded, in words for a person, by the reason in its row."""


def examine(samples: npt.NDArray[np.float32], text: str) -> str | None:
    """The reason to discard a sample, or None.

    Args:
        samples: 16 kHz mono, shape (n,).
        text: What it is said to hold, as `clean_transcript` gives it.

    Returns:
        A reason of `projectone.waveform.quality`, ``text-empty``, or ``text-rate`` for more text than anybody can say
        in that time.
    """
    if not text.strip():
        return "text-empty"
    if (reason := why_unusable(samples)) is not None:
        return reason
    if len(text) > _ALLOWED_CHARACTERS + _MAX_CHARACTERS_PER_S * len(samples) / RATE_HZ:
        return "text-rate"
    return None
