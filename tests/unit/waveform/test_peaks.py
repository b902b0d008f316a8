"""A sound as a picture."""

from __future__ import annotations

import numpy as np
import pytest

from projectone.waveform.peaks import peaks


def test_each_column_shows_its_loudest_sample_against_the_loudest_of_all() -> None:
    samples = np.array([0.0, 0.1, -0.2, 0.0, 0.4, 0.0], dtype=np.float32)
    assert peaks(samples, 3) == [25, 50, 100]


def test_silence_is_flat_and_a_short_sound_fills_every_column() -> None:
    assert peaks(np.zeros(10, dtype=np.float32), 4) == [0, 0, 0, 0]
    assert len(peaks(np.ones(2, dtype=np.float32), 5)) == 5


@pytest.mark.parametrize(("n_samples", "n_columns"), [(0, 3), (3, 0)])
def test_nothing_cannot_be_drawn(n_samples: int, n_columns: int) -> None:
    with pytest.raises(ValueError, match="expected"):
        peaks(np.zeros(n_samples, dtype=np.float32), n_columns)
