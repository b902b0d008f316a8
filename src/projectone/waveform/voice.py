"""Whether a clip holds a voice: by its harmonics and by how its spectrum moves, never by its loudness alone.

Noise keeps its colour, however its loudness swells or bursts; speech changes its colour from sound to sound, and most
of its sounds have a pitch. A whisper has no pitch but moves; a held vowel hardly moves but has one. What has neither is
noise, unless it is a tone: those are not told from voices here.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt

from projectone.waveform.speakers import change_of_speaker, voice_figures

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
_SPECTRA_AT_ONCE = 128  # they stay in the processor's cache, and the memory flat
_WINDOW: Final = np.hanning(_FRAME).astype(np.float32)
_WEIGHTS: Final = np.square(_WINDOW).reshape(2, _HOP) / np.float32(2 * _FRAME)
# Pitch is looked for from 60 to 400 Hz, in the harmonics up to 2.5 kHz.
_SHORTEST_LAG, _LONGEST_LAG = RATE_HZ // 400, RATE_HZ // 60
_N_PITCH_BINS = 160
_N_TONE_BINS = 256  # 4 kHz
_N_HUM_BINS = 4  # below 60 Hz
_HALF_SMOOTHING_BINS = 12
_N_BINS = _N_TONE_BINS + _HALF_SMOOTHING_BINS
_EDGES_HZ: Final = np.geomspace(120.0, 4000.0, 17)
_EDGES: Final = np.ceil(_EDGES_HZ * _N_FFT / RATE_HZ).astype(int)
_LOUD_DB = 25.0
_VOICED_FROM = 0.45
_REACH = 5  # frames: a consonant belongs to a vowel within 0.1 s
# Two seconds of loud frames say what there is to say: of more, every second to fourth is looked at, which a vowel is
# longer than. What lies between two of them counts for the nearer one.
_ENOUGH_FRAMES = 100
_MAX_STEP = 4
_MAX_SNR_DB = 60.0

Float32 = npt.NDArray[np.float32]
Int = npt.NDArray[np.intp]


@dataclass(frozen=True)
class Voice:
    """What speaks for a voice.

    Attributes:
        movement_db: How far the colour of the loud frames moves: the standard deviation of 16 bands between 120 and
            4000 Hz around their mean, each frame's loudness taken out.
        voicing: The clearest pitch of any loud frame: 0 for none, 1 for a perfect one.
        tonality: How far the strongest line of the mean spectrum stands over its surroundings, as a factor.
        speech_ratio: Frames that are loud and near a pitch, as a fraction of all.
        speaker_change: Nats by which two people who take turns explain the clip better than one does.
        snr_db: Mean power over that of the quietest tenth of the frames; a clip without a pause measures too low.
    """

    movement_db: float
    voicing: float
    tonality: float
    speech_ratio: float
    snr_db: float
    speaker_change: float

    @property
    def is_noise(self) -> bool:
        """Whether there is neither a pitch nor a tone nor a change of colour."""
        return self.movement_db < MIN_MOVEMENT_DB and self.voicing < MIN_VOICING and self.tonality < MIN_TONALITY


def measure_voice(samples: Float32, squares: Float32 | None = None) -> Voice:
    """The figures of a clip.

    Args:
        samples: 16 kHz mono, shape (n,), finite and not empty, without an offset.
        squares: Of the samples, where somebody has them already.
    """
    padded = np.pad(samples, (0, _FRAME - len(samples))) if len(samples) < _FRAME else samples
    power = _frame_powers(np.square(padded) if squares is None or len(squares) < _FRAME else squares)
    level = 10.0 * np.log10(power + 1e-12)
    loud = np.flatnonzero(level > level.max() - _LOUD_DB)
    step = min(1 + len(loud) // _ENOUGH_FRAMES, _MAX_STEP)
    heard = loud[::step]
    halves = padded[: len(padded) // _HOP * _HOP].reshape(-1, _HOP)
    blocks = [heard[at : at + _SPECTRA_AT_ONCE] for at in range(0, len(heard), _SPECTRA_AT_ONCE)]
    bands, voicing, lags, lines = (
        np.concatenate(part) for part in zip(*(_measure_frames(halves, block) for block in blocks), strict=True)
    )
    # The floor keeps a band that a telephone took away from moving by its rounding errors.
    colour = 10.0 * np.log10(bands + 1e-9 * bands.max() + 1e-14)
    colour -= colour.mean(axis=1, keepdims=True)
    is_voiced = voicing > _VOICED_FROM
    floor = quantile(np.sort(power), 0.1) + 1e-12
    excess = max(float(power.mean()) - floor, 1e-12)
    return Voice(
        movement_db=float(colour.std(axis=0).mean()),
        voicing=float(voicing.max()),
        tonality=float(lines.mean(axis=0).max()),
        speech_ratio=_count_near(loud, heard[is_voiced], _REACH + step // 2) / len(power),
        snr_db=min(max(10.0 * math.log10(excess / floor), -_MAX_SNR_DB), _MAX_SNR_DB),
        speaker_change=change_of_speaker(voice_figures(colour[is_voiced], lags[is_voiced])),
    )


def quantile(ordered: npt.NDArray[np.floating], share: float) -> float:
    """The value below which a share of ascending values lies, between two of them if need be: `np.quantile`, sooner."""
    place = share * (len(ordered) - 1)
    below = int(place)
    above = min(below + 1, len(ordered) - 1)
    return float(ordered[below] + (ordered[above] - ordered[below]) * (place - below))


def _frame_powers(squares: Float32) -> Float32:
    """Power of each frame under the window, shape (n_frames,), from two products with its halves."""
    halves = squares[: len(squares) // _HOP * _HOP].reshape(-1, _HOP)
    power: Float32 = (halves[:-1] @ _WEIGHTS[0]) + (halves[1:] @ _WEIGHTS[1])
    return power


def _count_near(loud: Int, voiced: Int, reach: int) -> int:
    """How many of the loud frames have a voiced one at most so many frames away; both ascending."""
    if not len(voiced):
        return 0
    after = np.searchsorted(voiced, loud)
    to_next = voiced[np.minimum(after, len(voiced) - 1)] - loud
    to_last = loud - voiced[np.maximum(after - 1, 0)]
    return int(np.count_nonzero(np.minimum(np.abs(to_next), np.abs(to_last)) <= reach))


def _measure_frames(halves: Float32, heard: Int) -> tuple[Float32, Float32, Int, Float32]:
    """Energy of the bands, shape (n, 16); clearness and period of a pitch, each (n,); lines, shape (n, 256).

    Args:
        halves: Of frames that overlap by half, shape (n_frames + 1, 320).
        heard: Which frames, shape (n,).
    """
    frames = np.concatenate([halves[heard], halves[heard + 1]], axis=1)
    frames *= _WINDOW
    spectrum = np.fft.rfft(frames, _N_FFT, axis=1)[:, :_N_BINS]
    power = np.square(spectrum.real) + np.square(spectrum.imag)
    # Divided by its own smooth course the spectrum of a voice is a comb, that of noise of any colour is flat.
    lines = power[:, :_N_TONE_BINS] / (power @ _SMOOTHING + 1e-15)
    lines[:, :_N_HUM_BINS] = 0.0
    comb = lines[:, :_N_PITCH_BINS]
    echoes = comb @ _ECHOES
    lags = echoes.argmax(axis=1)
    voicing = echoes[np.arange(len(lags)), lags] / np.maximum(comb.sum(axis=1), 1e-12)
    return power @ _BANDS, voicing, lags + _SHORTEST_LAG, lines


def _smoothing() -> Float32:
    """Of a spectrum the mean around each bin, as a product, shape (268, 256)."""
    distance = np.abs(np.arange(_N_BINS)[:, None] - np.arange(_N_TONE_BINS)[None, :])
    is_near = distance <= _HALF_SMOOTHING_BINS
    means: Float32 = (is_near / is_near.sum(axis=0)).astype(np.float32)
    return means


def _bands() -> Float32:
    """Of a spectrum the sums of the bands, as a product, shape (268, 16)."""
    bins = np.arange(_N_BINS)[:, None]
    return ((bins >= _EDGES[:-1]) & (bins < _EDGES[1:])).astype(np.float32)


def _echoes() -> Float32:
    """Of a comb the echo at each lag of a pitch, as a product, shape (160, 226): the inverse transform, where asked."""
    lags = np.arange(_SHORTEST_LAG, _LONGEST_LAG)
    turns = np.arange(_N_PITCH_BINS)[:, None] * lags[None, :] / _N_FFT
    echoes: Float32 = np.cos(2 * np.pi * turns).astype(np.float32)
    return echoes


_SMOOTHING, _BANDS, _ECHOES = _smoothing(), _bands(), _echoes()
