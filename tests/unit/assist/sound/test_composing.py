"""A piece keeps to its numbers: scale, length, order, seed; and another mood is another piece."""

from __future__ import annotations

import itertools
from dataclasses import replace
from typing import Any

import pytest

from projectone.assist.sound.composing import TICKS_PER_BEAT, Piece, compose
from projectone.assist.sound.scales import MODES, Mode, key_signature, mode_of, pitch_class
from projectone.assist.sound.spec import BEATS_PER_BAR, SoundSpec

MANY = [
    SoundSpec(
        valence=valence, arousal=arousal, density=density, key=key, n_beats=n_bars * 4, seed=seed, is_loop=is_loop
    )
    for (valence, arousal, density), key, n_bars, (seed, is_loop) in zip(
        itertools.product((-1.0, -0.4, 0.1, 0.6, 1.0), (-1.0, 0.0, 1.0), (0.0, 0.5, 1.0)),
        itertools.cycle(("C", "F#", "Bb", "E", "Ab")),
        itertools.cycle((1, 2, 3, 8)),
        itertools.cycle(itertools.product(range(5), (True, False))),
        strict=False,
    )
]


def melody(piece: Piece) -> list[int]:
    return [note.pitch for note in piece.notes if note.voice == "melody"]


def mean(values: list[int]) -> float:
    return sum(values) / len(values)


def test_every_note_belongs_to_the_key_and_mode() -> None:
    for spec in MANY:
        allowed = {(pitch_class(spec.key) + step) % 12 for step in spec.mode.steps}
        assert {note.pitch % 12 for note in compose(spec).notes} <= allowed, spec


def test_a_note_from_another_key_would_be_found() -> None:
    """The control: the same question, with the notes moved up a semitone."""
    spec = SoundSpec(key="D", valence=0.5)
    allowed = {(pitch_class("D") + step) % 12 for step in spec.mode.steps}
    assert not {(note.pitch + 1) % 12 for note in compose(spec).notes} <= allowed


def test_nothing_sounds_before_the_beginning_or_after_the_last_beat() -> None:
    for spec in MANY:
        piece = compose(spec)
        assert piece.n_ticks == spec.n_beats * TICKS_PER_BEAT
        assert all(0 <= note.start < note.end <= piece.n_ticks for note in piece.notes), spec
        assert all(1 <= note.velocity <= 127 and 21 <= note.pitch <= 108 for note in piece.notes), spec


def test_a_voice_never_strikes_a_note_that_it_still_holds() -> None:
    for spec in MANY:
        until: dict[tuple[str, int], int] = {}
        for note in compose(spec).notes:
            assert note.start >= until.get((note.voice, note.pitch), 0), (spec, note)
            until[note.voice, note.pitch] = note.end


def test_chords_and_bass_change_with_the_bars_alone() -> None:
    bar = BEATS_PER_BAR * TICKS_PER_BEAT
    for note in compose(SoundSpec(n_beats=32)).notes:
        if note.voice != "melody":
            assert (note.start % bar, note.end % bar) == (0, 0)


def test_strong_beats_of_the_melody_rest_on_the_chord() -> None:
    for seed in range(8):
        piece = compose(SoundSpec(density=1, seed=seed, valence=0.4, arousal=0.9))
        chords = [note for note in piece.notes if note.voice == "chords"]
        for note in piece.notes:
            if note.voice == "melody" and note.start % (2 * TICKS_PER_BEAT) == 0:
                sounding = {chord.pitch % 12 for chord in chords if chord.start <= note.start < chord.end}
                assert note.pitch % 12 in sounding


def test_a_loop_begins_at_home_and_ends_on_what_leads_there() -> None:
    def first_degrees(spec: SoundSpec) -> tuple[int, int]:
        bass = [note.pitch % 12 for note in compose(spec).notes if note.voice == "bass"]
        return bass[0], bass[-1]

    for valence, seed in itertools.product((-0.9, -0.5, -0.1, 0.1, 0.5, 0.9), range(4)):
        spec = SoundSpec(valence=valence, seed=seed, key="E", n_beats=16)
        home, leading = first_degrees(spec)
        assert home == pitch_class("E") != leading
        assert first_degrees(replace(spec, is_loop=False)) == (home, home)


def test_no_chord_is_heard_twice_running_and_none_is_diminished() -> None:
    for spec in MANY:
        chords: dict[int, list[int]] = {}
        for note in compose(spec).notes:
            if note.voice == "chords":
                chords.setdefault(note.start, []).append(note.pitch)
        names = [sorted({pitch % 12 for pitch in pitches}) for _, pitches in sorted(chords.items())]
        if spec.is_loop or len(names) > 2:  # a piece of two bars that is no loop is at home in both
            assert all(before != after for before, after in itertools.pairwise(names)), spec
        for name in names:
            assert any((low + 7) % 12 in name for low in name), spec  # some note has its perfect fifth


def test_the_same_numbers_give_the_same_piece_and_another_seed_another() -> None:
    assert compose(SoundSpec(seed=7)) == compose(SoundSpec(seed=7))
    assert len({compose(SoundSpec(seed=seed)).notes for seed in range(20)}) == 20


def test_a_denser_piece_has_the_notes_of_a_thinner_one_and_more() -> None:
    def starts(density: float) -> set[int]:
        piece = compose(SoundSpec(density=density, seed=3))
        return {note.start for note in piece.notes if note.voice == "melody"}

    counts = [starts(density) for density in (0.0, 0.25, 0.5, 0.75, 1.0)]
    assert counts[0] == set() and len(counts[-1]) == 32
    assert all(thin < dense for thin, dense in itertools.pairwise(counts))


def test_another_mood_is_higher_brighter_louder_and_shorter_or_the_opposite() -> None:
    for seed in range(6):
        glad = compose(SoundSpec(valence=0.9, arousal=0.9, seed=seed, density=1))
        sad = compose(SoundSpec(valence=-0.9, arousal=-0.9, seed=seed, density=1))
        assert mean(melody(glad)) > mean(melody(sad)) + 6
        assert (glad.spec.mode.name, sad.spec.mode.name) == ("lydian", "phrygian")
        assert mean([note.velocity for note in glad.notes]) > mean([note.velocity for note in sad.notes]) + 20
        assert len(melody(glad)) == 2 * len(melody(sad))


def test_modes_are_ordered_from_dark_to_bright_and_each_is_a_major_scale_begun_elsewhere() -> None:
    major = {0, 2, 4, 5, 7, 9, 11}
    assert all(sum(bright.steps) == sum(dark.steps) + 1 for dark, bright in itertools.pairwise(MODES))
    for mode in MODES:
        assert {(step + mode.in_major) % 12 for step in mode.steps} == major
    assert [mode_of(valence).name for valence in (-1, -0.6, -0.2, 0.2, 0.6, 1)] == [mode.name for mode in MODES]


@pytest.mark.parametrize(
    ("key", "mode", "signature"),
    [("D", MODES[4], "D"), ("D", MODES[2], "C"), ("A", MODES[1], "C"), ("F#", MODES[4], "F#"), ("Bb", MODES[5], "F")],
)
def test_a_key_signature_has_the_notes_of_the_mode(key: str, mode: Mode, signature: str) -> None:
    assert key_signature(key, mode) == signature


@pytest.mark.parametrize(
    ("wrong", "named"),
    [
        ({"valence": 1.1}, "valence"),
        ({"arousal": float("nan")}, "arousal"),
        ({"density": -0.1}, "density"),
        ({"tempo_bpm": 0}, "tempo_bpm"),
        ({"tempo_bpm": 30, "n_beats": 256}, "300 s"),
        ({"key": "H"}, "key"),
        ({"key": "Dbb"}, "key"),
        ({"n_beats": 6}, "whole bars"),
        ({"voices": ()}, "voices"),
    ],
)
def test_numbers_that_make_no_piece_are_refused_by_name(wrong: dict[str, Any], named: str) -> None:
    with pytest.raises(ValueError, match=named):
        SoundSpec(**wrong)
