"""A clip and its text have to fit each other."""

import numpy as np
import pytest
from tests.hostile.audio_families import speechlike

from projectone.server.corpus.validation import examine

CLIP = speechlike(np.random.default_rng(0), 0.5)


@pytest.mark.parametrize(
    ("samples", "text", "reason"),
    [
        (CLIP, "seven", None),
        (CLIP, "twenty two", None),
        (CLIP, "  ", "text-empty"),
        (CLIP, "a whole sentence that nobody can say in half a second", "text-rate"),
        (np.zeros(8000, np.float32), "seven", "silence"),
        (CLIP[:800], "seven", "too-short"),
    ],
)
def test_a_sample_is_let_through_or_gets_its_reason(samples: np.ndarray, text: str, reason: str | None) -> None:
    assert examine(samples, text) == reason
