"""A local correction and a whole rewrite are told apart by figures; neither is refused for them."""

import numpy as np
import pytest
from tests.hostile.audio_families import speechlike

from projectone.server.corpus.locality import measure_edits
from projectone.server.corpus.validation import check_sample


@pytest.mark.parametrize(
    ("heard", "said", "share", "places", "span"),
    [
        ("take ten milligrams now", "Take ten milligrams, now!", 0.0, 0, 0.0),
        ("take ten kilograms of it now", "take ten milligrams of it now", 1 / 6, 1, 1 / 6),
        ("take ten of it", "take ten milligrams of it", 0.2, 1, 0.2),
        ("rake ten milligrams cow", "take ten milligrams now", 0.5, 2, 1.0),
        ("something else entirely", "take ten milligrams now", 1.0, 1, 1.0),
        ("", "take ten", 1.0, 1, 1.0),
        ("take ten", "", 1.0, 1, 1.0),
    ],
)
def test_edits_are_counted_located_and_spanned(heard: str, said: str, share: float, places: int, span: float) -> None:
    expected = {"edit_share": share, "edit_places": places, "edit_span": span}
    assert measure_edits(heard, said) == pytest.approx(expected, abs=1e-3)


def test_a_whole_rewrite_is_measured_and_neither_discarded_nor_held() -> None:
    clip = speechlike(np.random.default_rng(0), 2.0)
    found = check_sample(clip, "take ten milligrams now", heard="something else entirely")
    assert (found.discard, found.hold, found.measures["edit_share"]) == (None, (), 1.0)
    assert "edit_share" not in check_sample(clip, "take ten milligrams now").measures, "a donation was not heard"
