"""A piece as a Standard MIDI File, format 1: one track that says tempo, bars and key, and one for each voice."""

from __future__ import annotations

import io
from typing import Final

from projectone.assist.sound.composing import TICKS_PER_BEAT, Note, Piece
from projectone.assist.sound.scales import key_signature
from projectone.assist.sound.spec import BEATS_PER_BAR, Voice
from projectone.errors import SettingsError

# General MIDI: vibraphone, warm pad, acoustic bass; numbered from 0 in the file.
_PROGRAMS: Final[dict[Voice, int]] = {"melody": 11, "chords": 89, "bass": 32}
_CHANNELS: Final[dict[Voice, int]] = {"melody": 0, "chords": 1, "bass": 2}


def midi_bytes(piece: Piece) -> bytes:
    """The file. Every track ends exactly where the piece does, and nothing sounds there any more.

    Raises:
        SettingsError: if `mido` is not installed; the message says what to do.

    Source: Standard MIDI Files 1.0, RP-001 (MIDI Manufacturers Association).
    """
    try:
        # Imported here: to be heard, a piece needs none of it.
        import mido  # type: ignore[import-untyped,unused-ignore]
    except ImportError as error:
        raise SettingsError(f"MIDI files need pip install 'projectone[cues]' ({error})") from error
    spec = piece.spec
    signature = key_signature(spec.key, spec.mode)
    conductor = mido.MidiTrack(
        [
            mido.MetaMessage("track_name", name=f"{spec.key} {spec.mode.name}"),
            mido.MetaMessage("set_tempo", tempo=spec.us_per_beat),
            mido.MetaMessage("time_signature", numerator=BEATS_PER_BAR, denominator=4),
            mido.MetaMessage("key_signature", key=signature),
            mido.MetaMessage("end_of_track", time=piece.n_ticks),
        ]
    )
    tracks = [conductor]
    for voice in spec.voices:
        track = mido.MidiTrack(
            [
                mido.MetaMessage("track_name", name=voice),
                mido.Message("program_change", channel=_CHANNELS[voice], program=_PROGRAMS[voice]),
            ]
        )
        now = 0
        for tick, is_on, note in _events([note for note in piece.notes if note.voice == voice]):
            kind, velocity = ("note_on", note.velocity) if is_on else ("note_off", 0)
            track.append(
                mido.Message(kind, channel=_CHANNELS[voice], note=note.pitch, velocity=velocity, time=tick - now)
            )
            now = tick
        track.append(mido.MetaMessage("end_of_track", time=piece.n_ticks - now))
        tracks.append(track)
    content = io.BytesIO()
    mido.MidiFile(type=1, ticks_per_beat=TICKS_PER_BEAT, tracks=tracks).save(file=content)
    return content.getvalue()


def _events(notes: list[Note]) -> list[tuple[int, bool, Note]]:
    """When each note begins and ends; at one tick the ends come first, so that a note can be struck again."""
    events = [(note.start, True, note) for note in notes] + [(note.end, False, note) for note in notes]
    return sorted(events, key=lambda event: (event[0], event[1], event[2].pitch))
