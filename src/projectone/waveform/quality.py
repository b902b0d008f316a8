"""Whether a clip can teach anything: a reason, not a boolean.

    not-finite   NaN or infinity
    too-short    less than 0.1 s
    silence      hardly louder than the noise of a microphone
    dc-offset    the whole clip sits beside zero
    clipping     much of it was cut off at full scale
    no-speech    one steady sound from end to end (noise, hum, a tone), a click in silence, or noise of any loudness

Each threshold is far from what real recordings measure (tests/unit/waveform/test_quality.py holds them to at most 1 %
of false refusals), because a refused correction is lost for the person who made it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt

from projectone.waveform.voice import HALVES, MIN_MOVEMENT_DB, Voice, measure_voice, quantile
from projectone.waveform.wav import Sound, scale_of, to_floats

RATE_HZ = 16_000
MIN_DURATION_S = 0.1

# A 16-bit microphone at rest measures about -75 dB; whispered speech from a metre away still peaks over -50 dB.
_MAX_SILENT_PEAK_DB = -55.0
_MAX_SILENT_LEVEL_DB = -70.0
_MAX_DC_OFFSET = 0.2
# Shouted speech clips a few per cent of its samples; a square wave nearly all.
_MAX_CLIPPED_SHARE = 0.25
_CLIPPED_FROM = 0.99
# Loudness of speech moves by 20 dB and more between syllables; steady sounds move by their measuring error.
_MIN_LEVEL_SPREAD_DB = 3.0
# The shortest trimmed digit in our data is loud for 0.11 s; a click or a knock is loud for 0.03 s.
_MIN_SPEECH_S = 0.05
_FRAME = 400  # 25 ms
_HOP = 160  # 10 ms
_BLOCK = 80
_AT_ONCE = 64_000  # 256 kB
_LEVEL_FLOOR = 1e-10
_LOUD_SHARE = 10 ** (-25.0 / 10)
# What is summed of each 320 values: four blocks, and the two halves of a window. A product is the quickest sum of rows.
_ROW, _IN_BLOCKS = HALVES.shape[0], HALVES.shape[0] // _BLOCK
_SUMMING: Final = np.hstack([np.repeat(np.eye(_IN_BLOCKS, dtype=np.float32), _BLOCK, axis=0), HALVES])
_SUMMED: Final = _SUMMING.sum(axis=0)
# What its square rounds away from a sum of 32 bits is far below the floor of levels.
_SMALL_OFFSET = 0.002

Float32 = npt.NDArray[np.float32]

WHY: Final[dict[str, str]] = {
    "not-finite": "holds NaN or infinity",
    "too-short": f"lasts less than {MIN_DURATION_S:g} s",
    "silence": f"peaks below {_MAX_SILENT_PEAK_DB:g} dB, or is below {_MAX_SILENT_LEVEL_DB:g} dB on average",
    "dc-offset": f"sits more than {_MAX_DC_OFFSET:g} beside zero",
    "clipping": f"has over {_MAX_CLIPPED_SHARE:.0%} of its samples at full scale",
    "no-speech": f"moves by less than {_MIN_LEVEL_SPREAD_DB:g} dB, is loud for less than {_MIN_SPEECH_S:g} s, or has "
    f"neither pitch nor tone and a colour that moves by less than {MIN_MOVEMENT_DB:g} dB",
}
"""Each reason in words for a person: what is wrong with such a clip, and from which figure on."""


@dataclass(frozen=True)
class Quality:
    """What was measured. Levels are in dB of full scale.

    Attributes:
        duration_s: Length.
        peak_db: The loudest sample, without the offset.
        level_db: Mean power, without the offset.
        dc_offset: Mean of the samples.
        clipped_share: Samples at full scale, as a fraction.
        spread_db: Between the loud (90 %) and the quiet (10 %) frames of 25 ms; 0 for less than two frames.
        speech_s: Frames within 25 dB of the loudest, in seconds.
        voice: Pitch, change of colour, and what follows from them.
    """

    duration_s: float
    peak_db: float
    level_db: float
    dc_offset: float
    clipped_share: float
    spread_db: float
    speech_s: float
    voice: Voice


def measure_quality(samples: Sound, *, closely: bool = False) -> Quality:
    """The figures of a clip of 16 kHz mono samples, shape (n,), finite and not empty.

    Args:
        samples: The clip.
        closely: Whether to look for voices in more frames than it takes to know that there is one.
    """
    scale = float(scale_of(samples))
    highest, lowest = scale * float(samples.max()), scale * float(samples.min())
    energies = _measure_energies(samples)
    offset = energies.offset
    powers = _frame_powers(energies)
    return Quality(
        duration_s=len(samples) / RATE_HZ,
        peak_db=_decibels(max(highest - offset, offset - lowest) ** 2),
        level_db=_decibels(energies.mean),
        dc_offset=offset,
        clipped_share=_clipped_share(samples) if max(highest, -lowest) >= _CLIPPED_FROM else 0.0,
        spread_db=_spread_db(powers),
        speech_s=float(np.count_nonzero(powers > _threshold(powers[-1]))) * _HOP / RATE_HZ,
        voice=measure_voice(samples, offset, energies.under_window, closely=closely),
    )


def level_spread_db(samples: Sound) -> float:
    """How far loud frames (90 %) of 16 kHz mono samples stand over quiet ones (10 %): speech over its noise."""
    return _spread_db(_frame_powers(_measure_energies(samples)))


def why_unusable(samples: Sound) -> str | None:
    """The reason against a clip of 16 kHz mono samples, shape (n,); None if there is none."""
    return why_unmeasurable(samples) or judge_quality(measure_quality(samples))


def why_unmeasurable(samples: Sound) -> str | None:
    """The reason why a clip cannot even be measured; None if it can."""
    # What is not finite makes the sum of squares so, which is quicker to see; a sum may overflow, too. Integers are.
    is_float = samples.dtype != np.int16
    if is_float and not np.isfinite(samples @ samples) and not np.isfinite(samples).all():
        return "not-finite"
    return "too-short" if len(samples) < MIN_DURATION_S * RATE_HZ else None


def judge_quality(quality: Quality) -> str | None:
    """The reason that the figures of a clip give against it; None if there is none."""
    if abs(quality.dc_offset) > _MAX_DC_OFFSET:
        return "dc-offset"
    if quality.peak_db < _MAX_SILENT_PEAK_DB or quality.level_db < _MAX_SILENT_LEVEL_DB:
        return "silence"
    if quality.clipped_share > _MAX_CLIPPED_SHARE:
        return "clipping"
    if quality.spread_db < _MIN_LEVEL_SPREAD_DB or quality.speech_s < _MIN_SPEECH_S or quality.voice.is_noise:
        return "no-speech"
    return None


@dataclass(frozen=True)
class _Energies:
    """Of a clip.

    Attributes:
        offset: Mean of the samples.
        mean: Mean power without the offset.
        blocks: Sum of squares of each 80 samples without the offset, shape (n // 80,).
        under_window: What `measure_voice` needs, shape (n // 320, 2).
    """

    offset: float
    mean: float
    blocks: Float32
    under_window: Float32


def _measure_energies(samples: Sound) -> _Energies:
    """The offset is taken out of the sums, and out of the samples where it is so large that sums would lose digits."""
    n, n_rows, n_blocks = len(samples), len(samples) // _ROW, len(samples) // _BLOCK
    values, squares = _sums(samples, 0.0)
    n_each = _IN_BLOCKS
    offset = float(values[:, :n_each].sum(dtype=np.float64)) / n
    if abs(offset) > _SMALL_OFFSET:
        _, squares = _sums(samples, offset)
        mean = float(squares[:, :n_each].sum(dtype=np.float64)) / n
    else:
        mean = max(float(squares[:, :n_each].sum(dtype=np.float64)) / n - offset**2, 0.0)
        values *= np.float32(2 * offset)
        squares -= values
        squares += np.float32(offset**2) * _SUMMED
        np.maximum(squares, 0.0, out=squares)
    return _Energies(offset, mean, squares[:, :n_each].ravel()[:n_blocks], squares[:n_rows, n_each:])


def _sums(samples: Sound, offset: float) -> tuple[Float32, Float32]:
    """Of each 320 samples, and of their squares, the sums of each 80 and those under a window: (ceil(n / 320), 6) each.

    In pieces that stay in the processor's cache: each is read from memory once. The last row may have less samples, and
    zeros for the others.
    """
    scale = scale_of(samples)
    values, squares = [], []
    for start in range(0, len(samples), _AT_ONCE):
        piece = samples[start : start + _AT_ONCE].astype(np.float32)
        if offset:
            piece -= np.float32(offset) / scale
        if missing := -len(piece) % _ROW:
            piece = np.pad(piece, (0, missing))
        rows = piece.reshape(-1, _ROW)
        values.append(rows @ _SUMMING)
        np.square(rows, out=rows)
        squares.append(rows @ _SUMMING)
    return np.concatenate(values) * scale, np.concatenate(squares) * scale**2


def _clipped_share(samples: Sound) -> float:
    return float(np.count_nonzero(np.abs(to_floats(samples)) >= _CLIPPED_FROM)) / len(samples)


def _frame_powers(energies: _Energies) -> Float32:
    """Mean power of each frame, shape (n_frames,), ascending; less than a frame is one."""
    n_blocks = _FRAME // _BLOCK
    if len(energies.blocks) < n_blocks:
        return np.array([energies.mean], np.float32)
    # Frames overlap: each is the sum of five blocks of which the next one shares three.
    step = _HOP // _BLOCK
    stop = (len(energies.blocks) - n_blocks) // step * step + 1
    powers = energies.blocks[0:stop:step] + energies.blocks[1 : 1 + stop : step]
    for first in range(2, n_blocks):
        powers += energies.blocks[first : first + stop : step]
    powers /= _FRAME
    powers.sort()
    return powers


def _spread_db(powers: Float32) -> float:
    """Between the levels that 90 % and 10 % of the frames do not reach."""
    return _level_quantile(powers, 0.9) - _level_quantile(powers, 0.1)


def _level_quantile(powers: Float32, share: float) -> float:
    """`quantile` of the levels in dB, of which no others are computed."""
    place = share * (len(powers) - 1)
    return quantile(_levels(powers[int(place) : int(place) + 2]), place - int(place))


def _levels(powers: Float32) -> npt.NDArray[np.float64]:
    """In dB. The floor keeps digital silence between words from making the scale endless."""
    levels: npt.NDArray[np.float64] = 10.0 * np.log10(powers.astype(np.float64) + _LEVEL_FLOOR)
    return levels


def _threshold(power: np.float32) -> float:
    """The power whose level lies 25 dB below that of another."""
    return (float(power) + _LEVEL_FLOOR) * _LOUD_SHARE - _LEVEL_FLOOR


def _decibels(power: float) -> float:
    return 10.0 * float(np.log10(power + 1e-12))
