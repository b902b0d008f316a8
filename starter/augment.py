"""Makes one recording sound like many: speed, throat, room, microphone, telephone band, noise, cut edges, silence."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

SAMPLE_RATE = 16_000
Sound = npt.NDArray[np.float32]
Mel = npt.NDArray[np.float32]


@dataclass(frozen=True)
class Strength:
    """How hard an example is changed.

    Attributes:
        telephone: How often the band ends where a telephone's does.
        hard_cut: How often a single word, if trimmed at all, loses its weak edges too.
        worn: How often the line is coarse or clips.
        colour_db: The most that the microphone's bands spread, one standard deviation.
        throat: How often, and by how much at most, the speaker's formants move.
        speed: How much faster or slower at most.
    """

    telephone: float = 0.45
    hard_cut: float = 0.45
    worn: float = 0.0
    colour_db: float = 4.0
    throat: tuple[float, float] = (0.35, 0.10)
    speed: float = 0.15


GENTLE = Strength()
# A single word has no neighbours to tell the speaker and the line by: it must be known from anybody, on any.
HARSH = Strength(telephone=0.7, hard_cut=0.5, worn=0.2, colour_db=6.0, throat=(0.7, 0.15), speed=0.22)


def trim_edges(sound: Sound, rng: np.random.Generator, *, is_hard: bool = False) -> tuple[Sound, int]:
    """Cut the quiet before and after the speech, down to a random small margin; gives the samples cut in front.

    The hard way leaves no margin and takes weak consonants along, as clips of single words often are cut.
    """
    frame = 160
    n_frames = sound.size // frame
    if n_frames < 8:
        return sound, 0
    level = np.abs(sound[: n_frames * frame]).reshape(n_frames, frame).max(axis=1)
    if not level.any():
        return sound, 0
    threshold, most_s = (rng.uniform(0.06, 0.25), 0.02) if is_hard else (rng.uniform(0.02, 0.08), 0.12)
    loud = np.flatnonzero(level > level.max() * threshold)
    margins = rng.uniform(0.0, most_s, size=2) * SAMPLE_RATE
    start = max(0, int(loud[0] * frame - margins[0]))
    end = min(sound.size, int((loud[-1] + 1) * frame + margins[1]))
    return (sound[start:end], start) if end - start > 1600 else (sound, 0)


def change_speed(sound: Sound, rng: np.random.Generator, *, most: float = 0.15) -> tuple[Sound, float]:
    """Play it faster or slower: pitch and tempo move together; gives the factor."""
    factor = rng.uniform(1 - most, 1 + most)
    positions = np.arange(0, sound.size - 1, factor)
    return np.interp(positions, np.arange(sound.size), sound).astype(np.float32), factor


def place(sound: Sound, rng: np.random.Generator, *, room: int) -> tuple[Sound, int]:
    """Put up to half a second of silence before and after it, within `room` samples; gives the offset too."""
    before, after = (int(SAMPLE_RATE * rng.uniform(0, 0.5)) if rng.random() < 0.4 else 0 for _ in range(2))
    spare = max(0, room - sound.size)
    before = min(before, spare)
    after = min(after, spare - before)
    return np.pad(sound, (before, after)), before


def _microphone(n_bins: int, rng: np.random.Generator, colour_db: float) -> npt.NDArray[np.float64]:
    """A smooth random frequency response, sometimes without the lowest bass."""
    hz = np.linspace(0, SAMPLE_RATE / 2, n_bins)
    knots_hz = np.geomspace(60, 8000, 9)
    gains_db = rng.normal(0, rng.uniform(0, colour_db), size=9)
    response = 10 ** (np.interp(hz, knots_hz, gains_db) / 20)
    if rng.random() < 0.2:
        response *= 1 / (1 + (rng.uniform(60, 350) / np.maximum(hz, 1.0)) ** 4)
    return response


def _telephone(n_bins: int, top_hz: float, rng: np.random.Generator) -> npt.NDArray[np.float64]:
    """All below `top_hz`, nothing above, and a slope between that may be steep."""
    hz = np.linspace(0, SAMPLE_RATE / 2, n_bins)
    width_hz = rng.uniform(50, 500)
    return np.clip((top_hz - hz) / width_hz, 0.0, 1.0)


def _room(n_fft: int, rng: np.random.Generator) -> npt.NDArray[np.complex64]:
    """The spectrum of a direct sound and a decaying tail."""
    n_tail = int(SAMPLE_RATE * rng.uniform(0.05, 0.3))
    tail = rng.standard_normal(n_tail, dtype=np.float32) * np.exp(-6.9 * np.arange(n_tail) / n_tail)
    tail *= rng.uniform(0.1, 0.9) / np.sqrt(np.sum(tail**2))
    tail[0] = 1.0
    return np.fft.rfft(tail.astype(np.float32), n_fft).astype(np.complex64)


def _noise(n_bins: int, rng: np.random.Generator) -> npt.NDArray[np.complex64]:
    """Noise of a random colour, as a spectrum."""
    slope = rng.uniform(0.0, 1.1)
    parts = rng.standard_normal((2, n_bins), dtype=np.float32)
    colour = (np.arange(1, n_bins + 1, dtype=np.float32) / n_bins) ** -slope
    spectrum: npt.NDArray[np.complex64] = ((parts[0] + 1j * parts[1]) * colour).astype(np.complex64)
    return spectrum


def _wear(sound: Sound, rng: np.random.Generator) -> Sound:
    """What a poor line does to loud and to faint sounds: it clips, or it counts in few or in logarithmic steps."""
    peak = float(np.max(np.abs(sound))) or 1.0
    even = sound / peak
    kind = rng.random()
    if kind < 0.35:
        worn = np.clip(even, *(np.array([-1, 1]) * rng.uniform(0.3, 0.8)))
    elif kind < 0.65:
        n_steps = 2.0 ** rng.uniform(6, 9)
        worn = np.round(even * n_steps) / n_steps
    else:
        squeezed = np.sign(even) * np.log1p(255 * np.abs(even)) / np.log(256)
        squeezed = np.round(squeezed * 127) / 127
        worn = np.sign(squeezed) * np.expm1(np.abs(squeezed) * np.log(256)) / 255
    out: Sound = (worn * peak).astype(np.float32)
    return out


def record(sound: Sound, rng: np.random.Generator, strength: Strength = GENTLE) -> tuple[Sound, float]:
    """The same sound through another room, microphone and line, with noise; peak between 0.05 and 1.

    Returns:
        The sound, and the frequency in Hz above which it is empty.
    """
    if rng.random() < strength.worn:
        sound = _wear(sound, rng)
    n_fft = 1 << int(np.ceil(np.log2(max(sound.size, 2048))))
    spectrum = np.fft.rfft(sound, n_fft).astype(np.complex64)
    spectrum *= _microphone(spectrum.size, rng, strength.colour_db)
    if rng.random() < 0.2:
        spectrum *= _room(n_fft, rng)
    if rng.random() < 0.6:
        noise = _noise(spectrum.size, rng)
        # Speech fills only part of the transform, so its power is that of the loud part, not of the whole.
        share = max(0.2, sound.size / n_fft)
        power = np.sum(np.abs(spectrum) ** 2) / share
        noise *= np.sqrt(power / np.sum(np.abs(noise) ** 2) * 10 ** (-rng.uniform(12, 45) / 10))
        spectrum += noise
    top_hz = SAMPLE_RATE / 2
    if rng.random() < strength.telephone:
        top_hz = rng.uniform(3600, 4050)
        spectrum *= _telephone(spectrum.size, top_hz, rng)
    out = np.fft.irfft(spectrum, n_fft)[: sound.size]
    peak = float(np.max(np.abs(out))) or 1.0
    scaled: Sound = (out * (10 ** rng.uniform(-1.3, 0.0) / peak)).astype(np.float32)
    return scaled, top_hz


def _to_mel(hz: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """Slaney's scale, as the spectrogram's: linear below 1 kHz, logarithmic above."""
    return np.where(hz < 1000, hz * 0.015, 15 + 27 * np.log(np.maximum(hz, 1000) / 1000) / np.log(6.4))


def _to_hz(mel: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    return np.where(mel < 15, mel / 0.015, 1000 * 6.4 ** ((mel - 15) / 27))


def change_throat(mel: Mel, rng: np.random.Generator, *, top_hz: float, most: float) -> Mel:
    """The same words from a longer or shorter throat: formants move, the tempo and the band's end stay.

    Args:
        mel: Log-mel frames, (frames, mels).
        rng: Decides how far.
        top_hz: Where the sound's band ends.
        most: The largest factor, less one.
    """
    factor = float(np.exp(rng.uniform(-1, 1) * np.log1p(most)))
    n_mels = mel.shape[1]
    scale = float(_to_mel(np.array(SAMPLE_RATE / 2))) / (n_mels + 1)
    hz = _to_hz(np.arange(1, n_mels + 1) * scale)
    # Up to the knee all is multiplied; the rest is squeezed or spread so that the end stays.
    knee_hz = 0.8 * top_hz / max(1.0, factor)
    source_hz = np.interp(hz, [0, knee_hz, top_hz, SAMPLE_RATE / 2], [0, knee_hz * factor, top_hz, SAMPLE_RATE / 2])
    source = np.clip(_to_mel(source_hz) / scale - 1, 0, n_mels - 1)
    below = np.minimum(source.astype(np.int64), n_mels - 2)
    share = (source - below).astype(np.float32)
    warped: Mel = mel[:, below] * (1 - share) + mel[:, below + 1] * share
    return warped


def hide(mel: npt.NDArray[np.float32], n_real: int, rng: np.random.Generator) -> None:
    """SpecAugment, in place: up to two bands and two stretches of time take the mean value."""
    mean = float(mel[:n_real].mean())
    for _ in range(2):
        width = int(rng.integers(0, 11))
        start = int(rng.integers(0, mel.shape[1] - width))
        mel[:n_real, start : start + width] = mean
    for _ in range(2):
        width = int(rng.integers(0, max(1, min(20, n_real // 10))))
        start = int(rng.integers(0, max(1, n_real - width)))
        mel[start : start + width] = mean
