"""What is wanted of a piece."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Literal, get_args

from projectone.assist.sound.scales import Mode, mode_of, pitch_class

Voice = Literal["melody", "chords", "bass"]
Contour = Literal["arch", "rising", "falling"]

BEATS_PER_BAR: Final = 4
MAX_BEATS: Final = 256
MAX_DURATION_S: Final = 300.0
MIN_TEMPO_BPM, MAX_TEMPO_BPM = 30.0, 240.0
_US_PER_MINUTE: Final = 60_000_000


@dataclass(frozen=True, kw_only=True)
class SoundSpec:
    """A piece, said in numbers. The same numbers give the same piece.

    Valence and arousal are the two axes of J. A. Russell's circumplex model of affect (1980).

    Attributes:
        valence: From -1, sad, to 1, glad: which mode, and how high.
        arousal: From -1, asleep, to 1, awake: how high, how loud, how short the notes, how fine the rhythm.
        tempo_bpm: Quarter notes in a minute, 30 to 240.
        key: The first note of the scale: ``"D"``, ``"F#"``, ``"Bb"``.
        density: From 0 to 1, the share of the places for a note of the melody that have one.
        n_beats: Length in quarter notes; four make a bar.
        seed: Which piece of all that fit.
        is_loop: Whether the end leads to the beginning. A loop is made of whole bars.
        contour: Where the melody goes.
        voices: Who plays.
    """

    valence: float = 0.0
    arousal: float = 0.0
    tempo_bpm: float = 70.0
    key: str = "C"
    density: float = 0.5
    n_beats: int = 8 * BEATS_PER_BAR
    seed: int = 0
    is_loop: bool = True
    contour: Contour = "arch"
    voices: tuple[Voice, ...] = get_args(Voice)

    def __post_init__(self) -> None:
        for name, low, high in (
            ("valence", -1.0, 1.0),
            ("arousal", -1.0, 1.0),
            ("density", 0.0, 1.0),
            ("tempo_bpm", MIN_TEMPO_BPM, MAX_TEMPO_BPM),
            ("n_beats", 1, MAX_BEATS),
        ):
            value = getattr(self, name)
            if not low <= value <= high:  # also false for what is not a number
                raise ValueError(f"{name}: expected {low:g} to {high:g}, got {value!r}")
        pitch_class(self.key)
        if self.is_loop and self.n_beats % BEATS_PER_BAR:
            raise ValueError(f"n_beats: expected whole bars of {BEATS_PER_BAR} for a loop, got {self.n_beats}")
        if self.duration_s > MAX_DURATION_S:
            raise ValueError(f"n_beats: expected at most {MAX_DURATION_S:g} s in all, got {self.duration_s:g} s")
        if not self.voices or set(self.voices) - set(get_args(Voice)) or self.contour not in get_args(Contour):
            raise ValueError(f"expected voices and contour of {Voice} and {Contour}, got {self.voices} {self.contour}")

    @property
    def us_per_beat(self) -> int:
        """Microseconds of a quarter note: a MIDI file keeps whole ones, and what is heard goes by the file."""
        return round(_US_PER_MINUTE / self.tempo_bpm)

    @property
    def duration_s(self) -> float:
        """Length in seconds, by the tempo that the file keeps."""
        return self.n_beats * self.us_per_beat / 1e6

    @property
    def mode(self) -> Mode:
        """Which notes there are."""
        return mode_of(self.valence)
