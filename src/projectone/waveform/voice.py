"""Whether a clip holds a voice: by its harmonics and by how its spectrum moves, never by its loudness alone.

Noise keeps its colour, however its loudness swells or bursts; speech changes its colour from sound to sound, and most
of its sounds have a pitch. A whisper has no pitch but moves; a held vowel hardly moves but has one. What has neither is
noise, unless it is a tone: those are not told from voices here.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt

RATE_HZ = 16_000
# Of 907 real clips one moves less and has no pitch (a digit of 0.2 s); of 200 noises whose loudness swells, bursts,
# fades or blows none moves more than 2.9 dB. Knocks move up to 3.2 dB.
MIN_MOVEMENT_DB = 3.0
MIN_VOICING = 0.5
# A tone that holds stands 9 times over the bins around it, the mean of a few frames of noise 1.7 times at most.
MIN_TONALITY = 4.0

_FRAME = 640  # 40 ms: two periods of the deepest voice
_HOP = 320
_N_FFT = 1024
_FRAMES_AT_ONCE = 512  # bounds the memory: 60 s of sound have 3000
_WINDOW: Final = np.hanning(_FRAME).astype(np.float32)
# Pitch is looked for from 60 to 400 Hz, in the harmonics up to 2.5 kHz.
_SHORTEST_LAG, _LONGEST_LAG = RATE_HZ // 400, RATE_HZ // 60
_N_PITCH_BINS = 160
_N_TONE_BINS = 256  # 4 kHz
_HALF_SMOOTHING_BINS = 12
_EDGES_HZ: Final = np.geomspace(120.0, 4000.0, 17)
_EDGES: Final = np.ceil(_EDGES_HZ * _N_FFT / RATE_HZ).astype(int)
_LOUD_DB = 25.0
_VOICED_FROM = 0.45
_REACH = 5  # frames: a consonant belongs to a vowel within 0.1 s
_MAX_SNR_DB = 60.0

Float32 = npt.NDArray[np.float32]
Float64 = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Voice:
    """What speaks for a voice.

    Attributes:
        movement_db: How far the colour of the loud frames moves: the standard deviation of 16 bands between 120 and
            4000 Hz around their mean, each frame's loudness taken out.
        voicing: The clearest pitch of any loud frame: 0 for none, 1 for a perfect one.
        tonality: How far the strongest line of the mean spectrum stands over its surroundings, as a factor.
        speech_ratio: Frames that are loud and near a pitch, as a fraction of all.
        snr_db: Mean power over that of the quietest tenth of the frames; a clip without a pause measures too low.
    """

    movement_db: float
    voicing: float
    tonality: float
    speech_ratio: float
    snr_db: float

    @property
    def is_noise(self) -> bool:
        """Whether there is neither a pitch nor a tone nor a change of colour."""
        return self.movement_db < MIN_MOVEMENT_DB and self.voicing < MIN_VOICING and self.tonality < MIN_TONALITY


def measure_voice(samples: Float32) -> Voice:
    """The figures of a clip of 16 kHz mono samples, shape (n,), finite and not empty, without an offset."""
    padded = np.pad(samples, (0, max(0, _FRAME - len(samples))))
    frames = np.lib.stride_tricks.sliding_window_view(padded, _FRAME)[::_HOP]
    parts = [_measure_frames(frames[at : at + _FRAMES_AT_ONCE]) for at in range(0, len(frames), _FRAMES_AT_ONCE)]
    power, bands, voicing, lines = (np.concatenate(part) for part in zip(*parts, strict=True))
    level = 10.0 * np.log10(power + 1e-12)
    is_loud = level > level.max() - _LOUD_DB
    colour = bands - bands.mean(axis=1, keepdims=True)
    is_voiced = is_loud & (voicing > _VOICED_FROM)
    near = np.convolve(is_voiced, np.ones(2 * _REACH + 1), mode="same")[: len(is_voiced)] > 0
    floor = float(np.percentile(power, 10)) + 1e-12
    excess = max(float(power.mean()) - floor, 1e-12)
    return Voice(
        movement_db=float(colour[is_loud].std(axis=0).mean()),
        voicing=float(voicing[is_loud].max()),
        tonality=float(lines[is_loud].mean(axis=0).max()),
        speech_ratio=float(np.mean(is_loud & near)),
        snr_db=float(np.clip(10.0 * np.log10(excess / floor), -_MAX_SNR_DB, _MAX_SNR_DB)),
    )


def _measure_frames(frames: Float32) -> tuple[Float64, Float64, Float64, Float64]:
    """Power, shape (n,); bands in dB, shape (n, 16); clearness of a pitch, shape (n,); lines, shape (n, 256)."""
    spectrum = np.fft.rfft(frames * _WINDOW, _N_FFT, axis=1)
    power = spectrum.real**2 + spectrum.imag**2
    sums = np.zeros((len(power), power.shape[1] + 1))
    np.cumsum(power, axis=1, out=sums[:, 1:])
    bands = sums[:, _EDGES[1:]] - sums[:, _EDGES[:-1]]
    # The floor keeps a band that a telephone took away from moving by its rounding errors.
    bands_db = 10.0 * np.log10(bands + 1e-9 * bands.max() + 1e-14)
    # Divided by its own smooth course the spectrum of a voice is a comb, that of noise of any colour is flat.
    bins = np.arange(_N_TONE_BINS)
    low, high = np.maximum(bins - _HALF_SMOOTHING_BINS, 0), bins + _HALF_SMOOTHING_BINS + 1
    lines = power[:, :_N_TONE_BINS] * (high - low) / (sums[:, high] - sums[:, low] + 1e-14)
    lines[:, :4] = 0.0  # below 60 Hz is hum
    comb = np.zeros((len(power), _N_FFT // 2 + 1))
    comb[:, :_N_PITCH_BINS] = lines[:, :_N_PITCH_BINS]
    echo = np.fft.irfft(comb, _N_FFT, axis=1)
    voicing = echo[:, _SHORTEST_LAG:_LONGEST_LAG].max(axis=1) / np.maximum(echo[:, 0], 1e-12)
    return sums[:, -1] / (_N_FFT * _FRAME), bands_db, voicing, lines
