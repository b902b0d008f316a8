"""What others read in the file: tempo, bars, key, and that every note that begins also ends."""

from __future__ import annotations

import io
import sys

import mido
import pytest

from projectone.assist.sound import SoundSpec, compose, midi_bytes
from projectone.assist.sound.cues import CUES
from projectone.errors import SettingsError

SPECS = [
    SoundSpec(valence=0.5, arousal=0.2, tempo_bpm=70, key="D"),
    SoundSpec(valence=-0.8, arousal=0.9, tempo_bpm=133, key="F#", density=1, seed=4),
    SoundSpec(valence=-0.3, arousal=-0.9, tempo_bpm=30, key="Bb", density=0, n_beats=4),
    *(cue.spec for cue in CUES.values()),
]
_MAJOR = {
    "C": 0,
    "Db": 1,
    "D": 2,
    "Eb": 3,
    "E": 4,
    "F": 5,
    "F#": 6,
    "Gb": 6,
    "G": 7,
    "Ab": 8,
    "A": 9,
    "Bb": 10,
    "B": 11,
}


def read(spec: SoundSpec) -> mido.MidiFile:
    return mido.MidiFile(file=io.BytesIO(midi_bytes(compose(spec))))


def said(file: mido.MidiFile, kind: str) -> mido.MetaMessage:
    (message,) = [message for message in file.tracks[0] if message.type == kind]
    return message


@pytest.mark.parametrize("spec", SPECS)
def test_a_reader_finds_the_tempo_and_the_length_that_were_asked_for(spec: SoundSpec) -> None:
    file = read(spec)
    assert mido.tempo2bpm(said(file, "set_tempo").tempo) == pytest.approx(spec.tempo_bpm, rel=1e-6)
    assert (said(file, "time_signature").numerator, said(file, "time_signature").denominator) == (4, 4)
    assert file.length == pytest.approx(spec.duration_s, abs=1e-9)
    assert {sum(message.time for message in track) for track in file.tracks} == {spec.n_beats * file.ticks_per_beat}


@pytest.mark.parametrize("spec", SPECS)
def test_every_note_that_begins_ends_and_nothing_sounds_at_the_end(spec: SoundSpec) -> None:
    n_begun = 0
    for track in read(spec).tracks:
        sounding: set[int] = set()
        for message in track:
            if message.type == "note_on":
                assert message.velocity > 0 and message.note not in sounding
                sounding.add(message.note)
                n_begun += 1
            elif message.type == "note_off":
                sounding.remove(message.note)
        assert sounding == set()
    assert n_begun == len(compose(spec).notes) > 0


@pytest.mark.parametrize("spec", SPECS)
def test_every_note_lies_in_the_key_that_the_file_names(spec: SoundSpec) -> None:
    file = read(spec)
    allowed = {(_MAJOR[said(file, "key_signature").key] + step) % 12 for step in (0, 2, 4, 5, 7, 9, 11)}
    notes = {message.note % 12 for track in file.tracks for message in track if message.type == "note_on"}
    assert notes <= allowed


def test_the_same_numbers_give_the_same_bytes() -> None:
    spec = SoundSpec(seed=12)
    assert midi_bytes(compose(spec)) == midi_bytes(compose(spec))
    assert midi_bytes(compose(spec)) != midi_bytes(compose(SoundSpec(seed=13)))


def test_without_mido_it_is_said_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "mido", None)
    with pytest.raises(SettingsError, match=r"projectone\[cues\]"):
        midi_bytes(compose(SoundSpec(n_beats=4)))
