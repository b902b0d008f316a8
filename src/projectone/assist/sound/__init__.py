"""Small pieces of calm sound, made from numbers: the same numbers, the same bytes.

`SoundSpec` says what is wanted, `compose` writes the notes, `midi_bytes` makes a Standard MIDI File of them and
`render` lets them be heard. `CUES` are the pieces that the app plays.
"""

from projectone.assist.sound.composing import Note, Piece, compose
from projectone.assist.sound.cues import CUES, Cue, CueName, cue_wav
from projectone.assist.sound.midi_files import midi_bytes
from projectone.assist.sound.spec import SoundSpec
from projectone.assist.sound.synth import RATE_HZ, render

__all__ = [
    "CUES",
    "RATE_HZ",
    "Cue",
    "CueName",
    "Note",
    "Piece",
    "SoundSpec",
    "compose",
    "cue_wav",
    "midi_bytes",
    "render",
]
