"""Writes the notes: chords that lead home, a bass under them, a melody that walks in the scale and rests on the chords.

Every draw is made whether it is needed or not, so that a denser piece has the notes of a thinner one, and more.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from projectone.assist.sound.scales import SEMITONES, pitch_class
from projectone.assist.sound.spec import BEATS_PER_BAR, Contour, SoundSpec, Voice

TICKS_PER_BEAT: Final = 480

# MIDI numbers: 60 is the C in the middle of a piano.
_MELODY_CENTRE, _CHORDS_CENTRE, _BASS_CENTRE = 71, 58, 43
_MELODY_REACH: Final = 9
_UP_WITH_AROUSAL, _UP_WITH_VALENCE = 6, 4
_FINE_FROM_AROUSAL: Final = 0.4
# What leads back to the first chord, best first: the fifth degree, the fourth, the one below the first, the second.
_LEADING: Final = (4, 3, 6, 1)
_HOME: Final = 0


@dataclass(frozen=True)
class Note:
    """One note.

    Attributes:
        voice: Who plays it.
        pitch: MIDI number.
        start: In ticks from the beginning.
        length: In ticks.
        velocity: 1 to 127.
    """

    voice: Voice
    pitch: int
    start: int
    length: int
    velocity: int

    @property
    def end(self) -> int:
        """The tick at which it is let go."""
        return self.start + self.length


@dataclass(frozen=True)
class Piece:
    """A spec and its notes, in the order of their beginnings. None ends after the piece does."""

    spec: SoundSpec
    notes: tuple[Note, ...]

    @property
    def n_ticks(self) -> int:
        """Length, to the end of the last beat."""
        return self.spec.n_beats * TICKS_PER_BEAT


def compose(spec: SoundSpec) -> Piece:
    """The piece that these numbers stand for."""
    draw = random.Random(spec.seed).random  # of all draws, this one is the same in every version of Python
    degrees = _progression(spec, [draw() for _ in range(-(-spec.n_beats // BEATS_PER_BAR))])
    written: dict[Voice, list[Note]] = {
        "chords": _chords(spec, degrees),
        "bass": _bass(spec, degrees),
        "melody": _melody(spec, degrees, draw),
    }
    notes = [note for voice in spec.voices for note in written[voice]]
    return Piece(spec, tuple(sorted(notes, key=lambda note: (note.start, note.voice, note.pitch))))


def _progression(spec: SoundSpec, draws: list[float]) -> list[int]:
    """A chord for each bar: home first; a loop ends on what leads home, anything else at home."""
    stable = spec.mode.stable_degrees()
    degrees = [_HOME]
    for drawn in draws[1:]:
        others = [degree for degree in stable if degree != degrees[-1]]
        degrees.append(others[int(drawn * len(others))])
    if len(degrees) > 1:
        leading = next(degree for degree in _LEADING if degree in stable)
        degrees[-1] = leading if spec.is_loop else _HOME
    if len(degrees) > 2 and degrees[-2] == degrees[-1]:
        degrees[-2] = next(degree for degree in stable if degree not in (degrees[-3], degrees[-1]))
    return degrees


def _chords(spec: SoundSpec, degrees: list[int]) -> list[Note]:
    """Each chord held for its bar; every chord lies as near to the same middle as it can, so that little moves."""
    centre = _CHORDS_CENTRE + round(_UP_WITH_VALENCE * spec.valence)
    notes = []
    for bar, degree in enumerate(degrees):
        start, length = _span(spec, bar)
        for semitones in spec.mode.triad(degree):
            pitch = _nearest(pitch_class(spec.key) + semitones, centre)
            notes.append(Note("chords", pitch, start, length, _velocity(spec, -18)))
    return notes


def _bass(spec: SoundSpec, degrees: list[int]) -> list[Note]:
    notes = []
    for bar, degree in enumerate(degrees):
        start, length = _span(spec, bar)
        pitch = _nearest(pitch_class(spec.key) + spec.mode.triad(degree)[0], _BASS_CENTRE)
        notes.append(Note("bass", pitch, start, length, _velocity(spec, -10)))
    return notes


def _melody(spec: SoundSpec, degrees: list[int], draw: Callable[[], float]) -> list[Note]:
    """Steps in the scale, chord notes on the strong beats; where no note is drawn, the one before goes on."""
    n_per_beat = 2 if spec.arousal > _FINE_FROM_AROUSAL else 1
    slot = TICKS_PER_BEAT // n_per_beat
    n_slots = spec.n_beats * n_per_beat
    ladder = _ladder(spec)
    place = len(ladder) // 2 if spec.contour == "arch" else 0 if spec.contour == "rising" else len(ladder) - 1
    begun: list[tuple[int, int, bool]] = []
    for number in range(n_slots):
        is_there, turn = draw() < spec.density, draw()
        is_strong = number % (2 * n_per_beat) == 0
        chord = spec.mode.triad(degrees[number // (n_per_beat * BEATS_PER_BAR)])
        names = {(pitch_class(spec.key) + semitones) % SEMITONES for semitones in chord}
        place = _walk(ladder, place, _drift(spec.contour, number / n_slots), turn, names if is_strong else None)
        if is_there:
            begun.append((number, ladder[place], is_strong))
    if begun and not spec.is_loop:  # the last word is the first note of the scale
        begun[-1] = (begun[-1][0], _nearest(pitch_class(spec.key), begun[-1][1]), True)
    ends = [*(number for number, _, _ in begun), n_slots][1:]
    held = 0.95 - 0.35 * (spec.arousal + 1) / 2
    return [
        Note(
            "melody", pitch, number * slot, max(1, round((end - number) * slot * held)), _velocity(spec, 6 * is_strong)
        )
        for (number, pitch, is_strong), end in zip(begun, ends, strict=True)
    ]


def _ladder(spec: SoundSpec) -> list[int]:
    """Every note of the scale that the melody can reach, from the lowest up."""
    centre = _MELODY_CENTRE + round(_UP_WITH_AROUSAL * spec.arousal + _UP_WITH_VALENCE * spec.valence)
    names = {(pitch_class(spec.key) + step) % SEMITONES for step in spec.mode.steps}
    return [pitch for pitch in range(centre - _MELODY_REACH, centre + _MELODY_REACH + 1) if pitch % SEMITONES in names]


def _drift(contour: Contour, at: float) -> float:
    """How likely the next step is one up, at a place between 0 and 1 of the piece."""
    return {"arch": 0.65 if at < 0.5 else 0.35, "rising": 1.0, "falling": 0.0}[contour]


def _walk(ladder: list[int], place: int, drift: float, turn: float, chord: set[int] | None) -> int:
    """One step up or down the ladder, turned back at its ends; then on in the same direction to a note of `chord`."""
    step = 1 if turn < drift else -1
    for _ in range(len(ladder)):
        if not 0 <= place + step < len(ladder):
            step = -step
        place += step
        if chord is None or ladder[place] % SEMITONES in chord:
            return place
    raise AssertionError("a ladder of more than an octave has every note of a chord")


def _span(spec: SoundSpec, bar: int) -> tuple[int, int]:
    """Where a bar begins, and how long it is: the last one may be shorter."""
    n_beats = min(BEATS_PER_BAR, spec.n_beats - bar * BEATS_PER_BAR)
    return bar * BEATS_PER_BAR * TICKS_PER_BEAT, n_beats * TICKS_PER_BEAT


def _nearest(pitch: int, centre: int) -> int:
    """The note of this name that lies nearest to `centre`, the lower one of two."""
    return centre - SEMITONES // 2 + (pitch - centre + SEMITONES // 2) % SEMITONES


def _velocity(spec: SoundSpec, change: int) -> int:
    return max(1, min(127, round(66 + 22 * spec.arousal) + change))
