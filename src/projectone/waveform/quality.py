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

from projectone.waveform.voice import MIN_MOVEMENT_DB, Voice, halves_under_window, measure_voice, quantile

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
_ONES: Final = np.ones(_BLOCK, np.float32)

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


def measure_quality(samples: Float32, *, closely: bool = False) -> Quality:
    """The figures of a clip of 16 kHz mono samples, shape (n,), finite and not empty.

    Args:
        samples: The clip.
        closely: Whether to look for voices in more frames than it takes to know that there is one.
    """
    offset, highest, lowest = _mean(samples), float(samples.max()), float(samples.min())
    energies = _measure_energies(samples, offset)
    levels = _frame_levels(energies)
    return Quality(
        duration_s=len(samples) / RATE_HZ,
        peak_db=_decibels(max(highest - offset, offset - lowest) ** 2),
        level_db=_decibels(energies.mean),
        dc_offset=offset,
        clipped_share=_clipped_share(samples) if max(highest, -lowest) >= _CLIPPED_FROM else 0.0,
        spread_db=quantile(levels, 0.9) - quantile(levels, 0.1),
        speech_s=float(np.count_nonzero(levels > levels[-1] - 25.0)) * _HOP / RATE_HZ,
        voice=measure_voice(samples, offset, energies.under_window, closely=closely),
    )


def level_spread_db(samples: Float32) -> float:
    """How far loud frames (90 %) of 16 kHz mono samples stand over quiet ones (10 %): speech over its noise."""
    levels = _frame_levels(_measure_energies(samples, _mean(samples)))
    return quantile(levels, 0.9) - quantile(levels, 0.1)


def why_unusable(samples: Float32) -> str | None:
    """The reason against a clip of 16 kHz mono samples, shape (n,); None if there is none."""
    return why_unmeasurable(samples) or judge_quality(measure_quality(samples))


def why_unmeasurable(samples: Float32) -> str | None:
    """The reason why a clip cannot even be measured; None if it can."""
    # What is not finite makes the sum of squares so, which is quicker to see; a sum may overflow, too.
    if not np.isfinite(samples @ samples) and not np.isfinite(samples).all():
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
    """Of a clip without its offset.

    Attributes:
        mean: Mean power.
        blocks: Sum of squares of each 80 samples, shape (n // 80,).
        under_window: What `measure_voice` needs, shape (n // 320, 2).
    """

    mean: float
    blocks: Float32
    under_window: Float32


def _measure_energies(samples: Float32, offset: float) -> _Energies:
    """In pieces that stay in the processor's cache: each is read from memory once."""
    blocks, under_window, rest = [], [], 0.0
    for start in range(0, len(samples), _AT_ONCE):
        squares = samples[start : start + _AT_ONCE] - np.float32(offset)
        np.square(squares, out=squares)
        blocks.append(_block_sums(squares))
        under_window.append(halves_under_window(squares))
        rest = float(squares[len(squares) // _BLOCK * _BLOCK :].sum())
    sums = np.concatenate(blocks)
    mean = (float(sums.sum(dtype=np.float64)) + rest) / len(samples)
    return _Energies(mean, sums, np.concatenate(under_window))


def _mean(values: Float32) -> float:
    """The mean, from the sums of blocks: a third of the time of `np.mean`, and no less exact."""
    rest = values[len(values) // _BLOCK * _BLOCK :]
    return (float(_block_sums(values).sum(dtype=np.float64)) + float(rest.sum())) / len(values)


def _block_sums(values: Float32) -> Float32:
    """Of each 80 values, shape (n // 80,); a product is the quickest sum of rows."""
    sums: Float32 = values[: len(values) // _BLOCK * _BLOCK].reshape(-1, _BLOCK) @ _ONES
    return sums


def _clipped_share(samples: Float32) -> float:
    return float(np.count_nonzero(np.abs(samples) >= _CLIPPED_FROM)) / len(samples)


def _frame_levels(energies: _Energies) -> npt.NDArray[np.float64]:
    """Level of each frame in dB, shape (n_frames,), ascending; less than a frame is one."""
    n_blocks = _FRAME // _BLOCK
    if len(energies.blocks) < n_blocks:
        powers = np.array([energies.mean])
    else:
        # Frames overlap: each is the sum of five blocks of which the next one shares three.
        step = _HOP // _BLOCK
        stop = (len(energies.blocks) - n_blocks) // step * step + 1
        powers = np.zeros((stop + step - 1) // step, np.float32)
        for first in range(n_blocks):
            powers += energies.blocks[first : first + stop : step]
        powers /= _FRAME
    powers.sort()  # before they are logarithms: floats of 32 bits are sorted sooner
    # The floor keeps digital silence between words from making the scale endless.
    levels: npt.NDArray[np.float64] = 10.0 * np.log10(powers.astype(np.float64) + 1e-10)
    return levels


def _decibels(power: float) -> float:
    return 10.0 * float(np.log10(power + 1e-12))
