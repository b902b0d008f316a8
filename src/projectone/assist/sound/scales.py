"""Keys and modes: which notes belong to a piece.

The modes are the seven notes of a major scale, begun on another of them. Ordered by how bright they sound, each has one
note a semitone lower than the one before.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

SEMITONES: Final = 12
_LETTERS: Final = {"C": 0, "D": 2, "E": 4, "F": 5, "G": 7, "A": 9, "B": 11}
_SIGNS: Final = {"": 0, "#": 1, "b": -1}
# The names of major keys that a key signature may bear, by pitch class.
_FLAT_KEYS: Final = ("C", "Db", "D", "Eb", "E", "F", "Gb", "G", "Ab", "A", "Bb", "B")
_SHARP_KEYS: Final = {"Db": "C#", "Gb": "F#"}
_PERFECT_FIFTH: Final = 7


@dataclass(frozen=True)
class Mode:
    """A way to fill an octave.

    Attributes:
        name: As musicians call it.
        steps: Semitones above the first note.
        in_major: How far the first note lies above the first note of the major scale with the same notes.
    """

    name: str
    steps: tuple[int, ...]
    in_major: int

    def triad(self, degree: int) -> tuple[int, int, int]:
        """The chord on a degree: semitones above the first note of the mode, from the chord's own first note up."""
        low, middle, high = (self.steps[(degree + skip) % 7] + SEMITONES * ((degree + skip) // 7) for skip in (0, 2, 4))
        return low, middle, high

    def stable_degrees(self) -> tuple[int, ...]:
        """Degrees whose chord has a perfect fifth: all but the diminished one."""
        return tuple(degree for degree in range(7) if self.triad(degree)[2] - self.triad(degree)[0] == _PERFECT_FIFTH)


MODES: Final = (
    Mode("phrygian", (0, 1, 3, 5, 7, 8, 10), 4),
    Mode("aeolian", (0, 2, 3, 5, 7, 8, 10), 9),
    Mode("dorian", (0, 2, 3, 5, 7, 9, 10), 2),
    Mode("mixolydian", (0, 2, 4, 5, 7, 9, 10), 7),
    Mode("ionian", (0, 2, 4, 5, 7, 9, 11), 0),
    Mode("lydian", (0, 2, 4, 6, 7, 9, 11), 5),
)
"""From the darkest to the brightest. Locrian is left out: its own chord is not stable."""


def mode_of(valence: float) -> Mode:
    """The mode for a valence between -1 and 1: six equal parts, from the darkest to the brightest."""
    return MODES[min(len(MODES) - 1, int((valence + 1) / 2 * len(MODES)))]


def pitch_class(key: str) -> int:
    """Semitones of a key's first note above C.

    Raises:
        ValueError: if it is not A to G, with # or b after it or nothing.
    """
    letter, sign = key[:1], key[1:]
    if letter not in _LETTERS or sign not in _SIGNS:
        raise ValueError(f"key: expected a note such as 'D', 'F#' or 'Bb', got {key!r}")
    return (_LETTERS[letter] + _SIGNS[sign]) % SEMITONES


def key_signature(key: str, mode: Mode) -> str:
    """The major key that has the same notes: what a key signature can say."""
    name = _FLAT_KEYS[(pitch_class(key) - mode.in_major) % SEMITONES]
    return _SHARP_KEYS.get(name, name) if key.endswith("#") else name
