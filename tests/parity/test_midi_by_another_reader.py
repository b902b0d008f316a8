"""A MIDI parser that is not the one that wrote the files (symusic, in C++) finds the same piece in them."""

import pytest

from projectone.assist.sound import SoundSpec, compose, midi_bytes

symusic = pytest.importorskip("symusic", reason="the second MIDI parser is in the parity environment")
pytestmark = pytest.mark.parity


@pytest.mark.parametrize(
    "spec",
    [
        SoundSpec(valence=0.5, arousal=0.2, tempo_bpm=70, key="D"),
        SoundSpec(valence=-0.8, arousal=0.9, tempo_bpm=133, key="F#", density=1, seed=4),
        SoundSpec(valence=-0.3, tempo_bpm=200, n_beats=3, is_loop=False, voices=("melody", "bass")),
    ],
)
def test_another_parser_finds_the_same_piece(spec: SoundSpec) -> None:
    piece = compose(spec)
    score = symusic.Score.from_midi(midi_bytes(piece))
    assert {track.name for track in score.tracks} == set(spec.voices)
    for track in score.tracks:
        theirs = sorted((note.start, note.end, note.pitch, note.velocity) for note in track.notes)
        ours = sorted((x.start, x.end, x.pitch, x.velocity) for x in piece.notes if x.voice == track.name)
        assert theirs == ours
    (tempo,), (bars,) = score.tempos, score.time_signatures
    assert tempo.qpm == pytest.approx(spec.tempo_bpm, rel=1e-6)
    assert (bars.numerator, bars.denominator, score.ticks_per_quarter) == (4, 4, 480)
    assert len(score.key_signatures) == 1
