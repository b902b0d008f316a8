"""Lets a piece be heard: soft sine tones in numpy. A preview of a MIDI file, and what the app plays.

A tone begins and ends at nothing, along half a cosine, so that nothing clicks. In a loop what still sounds at the end
goes on at the beginning: the samples are those of a circle, and there is no seam in it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt

from projectone.assist.sound.composing import TICKS_PER_BEAT, Note, Piece
from projectone.assist.sound.spec import SoundSpec, Voice

RATE_HZ: Final = 24_000
TAIL_S: Final = 1.2

_PEAK: Final = 0.3
_FADE_S: Final = 0.25
# A room: when each echo comes, and how loud it is. Primes of milliseconds, so that no two fall together.
_ECHOES: Final = ((0.061, 0.22), (0.113, 0.16), (0.197, 0.11), (0.307, 0.07), (0.433, 0.04))

Float64 = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Timbre:
    """How a voice sounds.

    Attributes:
        partials: How loud each multiple of the pitch is.
        attack_s: Until it is as loud as it gets.
        release_s: From when it is let go until it is gone.
        decay_s: Until it is down to a third while it is held; the higher a partial, the faster.
        loudness: Beside the other voices.
    """

    partials: tuple[float, ...]
    attack_s: float
    release_s: float
    decay_s: float
    loudness: float


TIMBRES: Final[dict[Voice, Timbre]] = {
    "melody": Timbre((1.0, 0.3, 0.06, 0.05), 0.012, 0.22, 0.9, 1.0),
    "chords": Timbre((1.0, 0.35, 0.15, 0.06), 0.30, 0.70, 20.0, 0.35),
    "bass": Timbre((1.0, 0.25), 0.05, 0.30, 3.0, 0.7),
}


def n_samples_of(spec: SoundSpec) -> int:
    """Length without a tail, to the nearest sample."""
    return round(spec.duration_s * RATE_HZ)


def render(piece: Piece, *, peak: float = _PEAK, tail_s: float = TAIL_S) -> npt.NDArray[np.float32]:
    """The sound of a piece: mono, `RATE_HZ` samples a second.

    A loop is exactly as long as its beats. Anything else has a tail, at the end of which there is silence.

    Args:
        piece: What is played.
        peak: The largest sample; full scale is 1.
        tail_s: How long a piece that is no loop may go on sounding after its last beat, a quarter of a second at least.

    Raises:
        ValueError: if the tail is shorter than the fade at its end.
    """
    if tail_s < _FADE_S:
        raise ValueError(f"tail_s: expected at least {_FADE_S} s, got {tail_s:g}")
    n_samples = n_samples_of(piece.spec)
    n_tail = 0 if piece.spec.is_loop else round(tail_s * RATE_HZ)
    sound = np.zeros(n_samples + n_tail)
    for note in piece.notes:
        start = round(note.start * piece.spec.us_per_beat * RATE_HZ / (TICKS_PER_BEAT * 1e6))
        _add(sound, start, _tone(note, piece.spec), is_circle=piece.spec.is_loop)
    dry = sound.copy()
    for delay_s, loudness in _ECHOES:
        _add(sound, round(delay_s * RATE_HZ), loudness * dry, is_circle=piece.spec.is_loop)
    if not piece.spec.is_loop:
        n_fade = round(_FADE_S * RATE_HZ)
        sound[-n_fade:] *= _half_cosine(n_fade)[::-1]
    loudest = np.abs(sound).max()
    return (sound * (peak / loudest) if loudest > 0 else sound).astype(np.float32)


def _tone(note: Note, spec: SoundSpec) -> Float64:
    timbre = TIMBRES[note.voice]
    held = max(1, round(note.length * spec.us_per_beat * RATE_HZ / (TICKS_PER_BEAT * 1e6)))
    n_release = round(timbre.release_s * RATE_HZ)
    time_s = np.arange(held + n_release) / RATE_HZ
    pitch_hz = 440.0 * 2.0 ** ((note.pitch - 69) / 12)
    tone = np.zeros(len(time_s))
    for number, loudness in enumerate(timbre.partials, start=1):
        # What is awake is brighter, too.
        share = loudness if number == 1 else loudness * (0.75 + 0.25 * spec.arousal)
        tone += share * np.sin(2 * np.pi * number * pitch_hz * time_s) * np.exp(-time_s * number / timbre.decay_s)
    envelope = np.ones(len(time_s))
    n_attack = min(held, round(timbre.attack_s * RATE_HZ))
    envelope[:n_attack] = _half_cosine(n_attack)
    envelope[held:] = _half_cosine(n_release)[::-1]
    return tone * envelope * (timbre.loudness * note.velocity / 127)


def _half_cosine(n_samples: int) -> Float64:
    """From 0 up to 1; the first sample is 0 and the last one 1."""
    steps: Float64 = (1 - np.cos(np.linspace(0, np.pi, n_samples))) / 2
    return steps


def _add(sound: Float64, start: int, tone: Float64, *, is_circle: bool) -> None:
    """Lay `tone` into `sound` from `start` on; what goes past the end begins again at 0, or is lost."""
    while len(tone):
        room = sound[start : start + len(tone)]
        room += tone[: len(room)]
        if not is_circle:
            return
        tone, start = tone[len(room) :], 0
