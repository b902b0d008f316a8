"""Whether a clip and its text can teach anything; used when a dataset is sealed."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from projectone.waveform.quality import RATE_HZ, why_unusable

# The fastest of 3039 real clips (a trimmed digit) has 27.5 characters per second; reading aloud has 12 to 20. The
# allowance is for the ends of a tightly trimmed word.
_MAX_CHARACTERS_PER_S = 35.0
_ALLOWED_CHARACTERS = 5


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
