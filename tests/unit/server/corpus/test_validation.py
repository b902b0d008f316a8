"""A clip and its text have to fit each other."""

import inspect
import re

import numpy as np
import pytest
from tests.hostile.audio_families import speechlike

from projectone.contracts.texts import clean_transcript
from projectone.server.corpus.clips import read_clip
from projectone.server.corpus.validation import EXPLAINED, check_sample, examine
from projectone.server.pipeline.ingest import look_at
from projectone.waveform.quality import judge_quality, why_unmeasurable

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


def test_every_reason_that_a_sample_can_get_is_explained() -> None:
    sources = "".join(
        map(inspect.getsource, (why_unmeasurable, judge_quality, check_sample, clean_transcript, look_at, read_clip))
    )
    reasons = set(re.findall(r'"((?:text|clip|golden|not|too|dc|no|foreign)-[a-z-]+|silence|clipping)"', sources))
    assert len(reasons) >= 12
    assert reasons - set(EXPLAINED) == set()


def test_a_doubt_holds_a_sample_and_discards_nothing_and_the_figures_are_kept() -> None:
    found = check_sample(CLIP, "\u0455even")  # begins with a Cyrillic letter
    assert (found.discard, found.hold) == (None, ("foreign-letters",))
    assert found.measures["duration_s"] == 0.5
    assert found.measures["characters_per_s"] == 10
    assert check_sample(CLIP, "семь", language="ru").hold == ()
