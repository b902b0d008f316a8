import hashlib

import numpy as np

from projectone.contracts.base import is_name
from projectone.server.evaluation.probes import PROBE_S, probes
from projectone.waveform.quality import measure_quality


def test_there_is_every_kind_of_sound_without_speech() -> None:
    made = probes()
    names = " ".join(one.name for one in made)
    for kind in ("silence", "white", "pink", "brown", "hum", "babble", "tone", "chord", "melody", "drums"):
        assert kind in names
    assert len({one.name for one in made}) == len({hashlib.sha256(one.samples).digest() for one in made}) == len(made)
    assert {one.name for one in made if one.is_silent} == {"silence", "faint-dither"}
    for one in made:
        assert is_name(one.name)
        assert one.samples.shape == (round(PROBE_S * 16_000),)
        assert np.isfinite(one.samples).all()
        assert np.abs(one.samples).max() <= 1


def test_sounds_are_as_loud_as_they_say() -> None:
    loudness = {one.name: float(np.sqrt(np.mean(one.samples**2))) for one in probes()}
    assert loudness["silence"] == 0
    assert loudness["faint-dither"] < loudness["audible-dither"] < 0.001 < loudness["white-noise-low"] < 0.01
    assert 0.05 < loudness["babble-1"] < 0.2
    assert measure_quality(probes()[0].samples).spread_db == 0


def test_each_colour_of_noise_falls_by_its_own_slope() -> None:
    """Power of the octave above 1 kHz against that above 4 kHz: -3 dB, 0 and +3 dB a twofold band for the three."""
    ratios = {}
    for one in probes():
        if one.name.endswith("noise-high"):
            power = np.abs(np.fft.rfft(one.samples)) ** 2
            ratios[one.name] = power[2000:4000].sum() / power[8000:16000].sum()
    assert ratios["white-noise-high"] < 0.4 < ratios["pink-noise-high"] < 2 < ratios["brown-noise-high"]
