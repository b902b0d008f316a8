"""Whether a clip holds a voice: by its harmonics and by how its spectrum moves, never by its loudness alone.

Noise keeps its colour, however its loudness swells or bursts; speech changes its colour from sound to sound, and most
of its sounds have a pitch. A whisper has no pitch but moves; a held vowel hardly moves but has one. What has neither is
noise, unless it is a tone: those are not told from voices here.

One clear pitch says that a clip is no noise, so a glance at some of the frames comes first. They are among those that
the full look takes, and are measured alike: what the glance lets through, the full look would let through, too. Only
the full look refuses.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt

from projectone.waveform.speakers import change_of_speaker, voice_figures
from projectone.waveform.wav import Sound, scale_of, to_floats

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
HALVES: Final = np.ascontiguousarray(np.square(_WINDOW).reshape(2, _HOP).T / (2 * _FRAME)).astype(np.float32)
"""The weights of a frame's first and second half of squares, shape (320, 2)."""

# Pitch is looked for from 60 to 400 Hz, in the harmonics up to 2.5 kHz.
_SHORTEST_LAG, _LONGEST_LAG = RATE_HZ // 400, RATE_HZ // 60
_N_PITCH_BINS = 160
_N_TONE_BINS = 256  # 4 kHz
_N_HUM_BINS = 4  # below 60 Hz
_HALF_SMOOTHING_BINS = 12
_N_BINS = _N_TONE_BINS + _HALF_SMOOTHING_BINS
_EDGES_HZ: Final = np.geomspace(120.0, 4000.0, 17)
_EDGES: Final = np.ceil(_EDGES_HZ * _N_FFT / RATE_HZ).astype(int)
_LOUD_SHARE = np.float32(10 ** (-25.0 / 10))
_LEAST_POWER = np.float32(1e-12)
_VOICED_FROM = 0.45
_REACH = 5  # frames: a consonant belongs to a vowel within 0.1 s
# Two seconds of loud frames say what there is to say: of more, every second to fourth is looked at, which a vowel is
# longer than. What lies between two of them counts for the nearer one.
_ENOUGH_FRAMES = 100
_MAX_STEP = 4
# A glance takes 20 to 39 of those that the full look takes, and is not worth it for less than twice as many.
_GLANCE_FRAMES = 20
_CLEAR_VOICING = MIN_VOICING + 0.01  # more than the last digits that another number of frames changes
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
        snr_db: Mean power over that of the quietest tenth of the frames; a clip without a pause measures too low.
        n_frames: Loud frames in which pitch, colour and lines were measured: fewer, if a glance was enough.
        speaker_change: Nats by which two people who take turns explain the clip better than one does; None if a glance
            was enough.
    """

    movement_db: float
    voicing: float
    tonality: float
    speech_ratio: float
    snr_db: float
    n_frames: int
    speaker_change: float | None = None

    @property
    def is_noise(self) -> bool:
        """Whether there is neither a pitch nor a tone nor a change of colour."""
        return self.movement_db < MIN_MOVEMENT_DB and self.voicing < MIN_VOICING and self.tonality < MIN_TONALITY


def measure_voice(
    samples: Sound, offset: float = 0.0, under_window: Float32 | None = None, *, closely: bool = True
) -> Voice:
    """The figures of a clip.

    Args:
        samples: 16 kHz mono, shape (n,), finite and not empty.
        offset: What is to be taken from each of them.
        under_window: `halves_under_window` of their squares without the offset, where somebody has them already.
        closely: Whether to take the full look even where a glance shows that the clip is no noise.
    """
    if under_window is None or len(samples) < _FRAME:
        centred: Float32 = np.zeros(max(len(samples), _FRAME), np.float32)
        np.subtract(to_floats(samples), np.float32(offset), out=centred[: len(samples)])
        samples, offset, under_window = centred, 0.0, halves_under_window(np.square(centred))
    power = under_window[:-1, 0] + under_window[1:, 1]
    clip = _Clip(samples, offset, power)
    loud = np.flatnonzero(power > (power.max() + _LEAST_POWER) * _LOUD_SHARE - _LEAST_POWER)
    step = min(1 + len(loud) // _ENOUGH_FRAMES, _MAX_STEP)
    wider = len(loud) // (step * _GLANCE_FRAMES)
    if not closely and wider > 1:
        voice = _look_at(clip, loud, step * wider, compares_speakers=False)
        if voice.voicing >= _CLEAR_VOICING:
            return voice
    return _look_at(clip, loud, step, compares_speakers=True)


def halves_under_window(squares: Float32) -> Float32:
    """Of each 320 squares their sums under both halves of a frame's window, shape (n // 320, 2).

    The power of a frame is that of its first half under the one, and of its second half under the other.
    """
    sums: Float32 = squares[: len(squares) // _HOP * _HOP].reshape(-1, _HOP) @ HALVES
    return sums


@dataclass(frozen=True)
class _Clip:
    """A clip in frames that overlap by half.

    Attributes:
        samples: As they came, shape (n,).
        offset: What is to be taken from each of them, on the scale of which 1 is full.
        power: Of each frame, shape (n_frames,).
    """

    samples: Sound
    offset: float
    power: Float32


def _look_at(clip: _Clip, loud: Int, step: int, *, compares_speakers: bool) -> Voice:
    """The figures, from every `step`-th of the loud frames.

    Args:
        clip: The frames.
        loud: Which of them are loud, ascending.
        step: Of so many loud ones one is looked at.
        compares_speakers: Whether to say, too, if one voice gives way to another.
    """
    heard, power = loud[::step], clip.power
    blocks = [heard[at : at + _SPECTRA_AT_ONCE] for at in range(0, len(heard), _SPECTRA_AT_ONCE)]
    found = [_measure_frames(clip, block) for block in blocks]
    bands, echoes, lines = found[0] if len(found) == 1 else map(np.concatenate, zip(*found, strict=True))
    voicing = echoes.max(axis=1)
    # The floor keeps a band that a telephone took away from moving by its rounding errors.
    colour = np.log10(bands + (1e-9 * bands.max() + 1e-14))
    colour *= 10.0
    colour -= _mean(colour, 1)[:, None]
    is_voiced = voicing > _VOICED_FROM
    floor = quantile(np.sort(power), 0.1) + 1e-12
    excess = max(float(_mean(power, 0)) - floor, 1e-12)
    figures = None
    if compares_speakers:
        figures = voice_figures(colour[is_voiced], echoes[is_voiced].argmax(axis=1) + _SHORTEST_LAG)
    return Voice(
        movement_db=float(_mean(np.sqrt(_mean(np.square(colour - _mean(colour, 0)), 0)), 0)),
        voicing=float(voicing.max()),
        tonality=float(_mean(lines, 0).max()),
        speech_ratio=_count_near(loud, heard[is_voiced], _REACH + step // 2) / len(power),
        snr_db=min(max(10.0 * math.log10(excess / floor), -_MAX_SNR_DB), _MAX_SNR_DB),
        n_frames=len(heard),
        speaker_change=None if figures is None else change_of_speaker(figures),
    )


def _mean(values: Float32, axis: int) -> Float32:
    """The mean along an axis: `np.mean` of so few values takes four times as long to begin."""
    mean: Float32 = np.add.reduce(values, axis) / np.float32(values.shape[axis])
    return mean


def quantile(ordered: npt.NDArray[np.floating], share: float) -> float:
    """The value below which a share of ascending values lies, between two of them if need be: `np.quantile`, sooner."""
    place = share * (len(ordered) - 1)
    below = int(place)
    above = min(below + 1, len(ordered) - 1)
    return float(ordered[below] + (ordered[above] - ordered[below]) * (place - below))


def _count_near(loud: Int, voiced: Int, reach: int) -> int:
    """How many of the loud frames have a voiced one at most so many frames away; both ascending."""
    if not len(voiced):
        return 0
    after = np.searchsorted(voiced, loud)
    to_next = voiced[np.minimum(after, len(voiced) - 1)] - loud
    to_last = loud - voiced[np.maximum(after - 1, 0)]
    return int(np.count_nonzero(np.minimum(np.abs(to_next), np.abs(to_last)) <= reach))


def _measure_frames(clip: _Clip, heard: Int) -> tuple[Float32, Float32, Float32]:
    """Energy of the bands, shape (n, 16); how clear a pitch of each lag is, shape (n, 226); lines, shape (n, 256).

    Args:
        clip: The frames.
        heard: Which of them, shape (n,).
    """
    # Of integers the scale is in the window. The offset goes first: behind the window it would leave the roundings of
    # products, which are all there is where nothing else is heard.
    scale = scale_of(clip.samples)
    frames = np.zeros((len(heard), _N_FFT), np.float32)  # a transform that has to pad them itself takes longer
    spoken = frames[:, :_FRAME]
    found = _frames_of(clip.samples)[heard].astype(np.float32)
    np.subtract(found, np.float32(clip.offset) / scale, out=spoken)
    spoken *= _WINDOW * (scale * np.float32(_N_FFT))
    # Only with a factor of 32 bits does NumPy transform in 32 bits, at less cost; 1024 is taken off again, exactly.
    spectrum = np.fft.rfft(frames, axis=1, norm="forward")[:, :_N_BINS]
    padded = np.zeros((len(heard), _HALF_SMOOTHING_BINS + _N_BINS), np.float32)
    power = padded[:, _HALF_SMOOTHING_BINS:]
    parts = np.square(spectrum.view(np.float32))
    np.add(parts[:, 0::2], parts[:, 1::2], out=power)
    # Divided by its own smooth course the spectrum of a voice is a comb, that of noise of any colour is flat.
    lines = _smooth(padded)
    lines += np.float32(1e-15)
    np.divide(power[:, :_N_TONE_BINS], lines, out=lines)
    lines[:, :_N_HUM_BINS] = 0.0
    comb = lines[:, :_N_PITCH_BINS]
    echoes = comb @ _ECHOES
    echoes /= np.maximum(np.add.reduce(comb, 1), np.float32(1e-12))[:, None]
    return power @ _BANDS, echoes, lines


def _frames_of(samples: npt.NDArray[np.float32 | np.int16]) -> npt.NDArray[np.float32 | np.int16]:
    """Every frame of a clip where it lies, shape (n_frames, 640)."""
    n_frames, step = len(samples) // _HOP - 1, samples.strides[0]
    # What `as_strided` does, without the ten microseconds that it takes to begin.
    return np.ndarray((n_frames, _FRAME), samples.dtype, samples, 0, (_HOP * step, step))


def _smooth(padded: Float32) -> Float32:
    """Of spectra the mean of the 25 bins around each, fewer where they begin, shape (n, 256).

    Sums of two, four and eight neighbours: a handful of additions instead of a product with as many weights as bins.

    Args:
        padded: The spectra behind twelve zeros, shape (n, 280).
    """
    n, wide = _N_TONE_BINS, padded
    for distance in (1, 2, 4):
        wide = wide[:, :-distance] + wide[:, distance:]
    means: Float32 = wide[:, :n] + wide[:, 8 : 8 + n]
    means += wide[:, 16 : 16 + n]
    means += padded[:, 24 : 24 + n]
    means *= _SHARES
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


_BANDS, _ECHOES = _bands(), _echoes()
_SHARES: Final = (1 / np.minimum(np.arange(_N_TONE_BINS) + 13, 25)).astype(np.float32)
