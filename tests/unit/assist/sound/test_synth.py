"""What is heard: as long as asked for, without a click, without a seam."""

from __future__ import annotations

import io
import wave

import numpy as np
import pytest

from projectone.assist.sound import CUES, RATE_HZ, SoundSpec, compose, cue_wav, render
from projectone.assist.sound.composing import Note, Piece
from projectone.assist.sound.cues import CueName

LOOPS = [
    SoundSpec(valence=0.5, arousal=0.2, tempo_bpm=71, key="D", n_beats=8),
    SoundSpec(valence=-0.8, arousal=0.9, tempo_bpm=133, density=1, seed=4, n_beats=16),
    SoundSpec(tempo_bpm=240, n_beats=4),  # shorter than its own echo
]


def roughness(samples: np.ndarray) -> np.ndarray:
    """How far each sample lies from the straight line through its neighbours, in a circle: a click is a spike."""
    return np.abs(np.roll(samples, 1) + np.roll(samples, -1) - 2 * samples)


@pytest.mark.parametrize("spec", LOOPS)
def test_a_loop_is_as_long_as_its_beats_to_the_sample(spec: SoundSpec) -> None:
    assert abs(len(render(compose(spec))) - spec.n_beats * 60 / spec.tempo_bpm * RATE_HZ) < 1


@pytest.mark.parametrize("spec", LOOPS)
def test_where_a_loop_begins_again_it_is_as_smooth_as_anywhere(spec: SoundSpec) -> None:
    samples = render(compose(spec)).astype(np.float64)
    rough = roughness(samples)
    assert max(rough[0], rough[-1]) <= np.quantile(rough, 0.999)
    assert abs(samples[0] - samples[-1]) <= np.abs(np.diff(samples)).max()


def test_a_seam_would_be_found() -> None:
    """The control: a loop that is cut a quarter of a second too early."""
    samples = render(compose(LOOPS[0])).astype(np.float64)[: -RATE_HZ // 4]
    rough = roughness(samples)
    assert max(rough[0], rough[-1]) > 2 * np.quantile(rough, 0.999)


def test_what_sounds_over_the_end_goes_on_at_the_beginning() -> None:
    spec = SoundSpec(n_beats=4, tempo_bpm=120, voices=("chords",))
    late = Note("chords", 60, 3 * 480, 480, 80)
    samples = render(Piece(spec, (late,)))
    assert np.abs(samples[: RATE_HZ // 10]).max() > 0.05  # its release, before anything of its own begins


@pytest.mark.parametrize("name", CUES)
def test_a_cue_is_a_short_soft_sound_that_begins_and_ends_in_silence(name: CueName) -> None:
    content = cue_wav(name)
    with wave.open(io.BytesIO(content)) as file:
        assert (file.getnchannels(), file.getsampwidth(), file.getframerate()) == (1, 2, RATE_HZ)
        assert 0.5 < file.getnframes() / RATE_HZ <= 2.0
        samples = np.frombuffer(file.readframes(file.getnframes()), "<i2") / 32768
    assert samples[0] == samples[-1] == 0
    assert 0.1 < np.abs(samples).max() < 0.2
    assert np.abs(samples[-RATE_HZ // 50 :]).max() < 0.002
    assert abs(samples.mean()) < 0.001
    assert cue_wav(name) == content


def test_cues_can_be_told_apart_and_share_a_key() -> None:
    pieces = {name: compose(cue.spec) for name, cue in CUES.items()}
    contours = {name: [note.pitch for note in piece.notes if note.voice == "melody"] for name, piece in pieces.items()}
    assert len({tuple(contour) for contour in contours.values()}) == len(CUES)
    for name, rises in (("recording-started", True), ("recording-stopped", False), ("sent", True)):
        assert (contours[name] == sorted(contours[name])) is rises
    assert {cue.spec.key for cue in CUES.values()} == {"D"}


def test_a_glad_piece_is_brighter_than_a_sad_one() -> None:
    def centre_hz(spec: SoundSpec) -> float:
        samples = render(compose(spec))
        power = np.abs(np.fft.rfft(samples)) ** 2
        return float((np.fft.rfftfreq(len(samples), 1 / RATE_HZ) * power).sum() / power.sum())

    for seed in range(3):
        glad = SoundSpec(valence=0.9, arousal=0.9, n_beats=8, seed=seed, tempo_bpm=120)
        sad = SoundSpec(valence=-0.9, arousal=-0.9, n_beats=8, seed=seed, tempo_bpm=120)
        assert centre_hz(glad) > 1.3 * centre_hz(sad)


def test_a_piece_without_a_note_is_silence_of_its_length() -> None:
    spec = SoundSpec(n_beats=4, tempo_bpm=120, density=0, voices=("melody",))
    samples = render(compose(spec))
    assert (len(samples), float(np.abs(samples).max())) == (2 * RATE_HZ, 0.0)
