"""Clips to examples: cut, joined, made to sound different, with the labels and word times carried along."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from projectone.speech.audio import HOP_LENGTH, log_mel
from starter.augment import GENTLE, HARSH, Strength, change_speed, change_throat, hide, place, record, trim_edges
from starter.data import SAMPLE_RATE, Clip
from starter.text import DIGITS
from starter.vocabulary import WINDOW_S

FULL_FRAMES = WINDOW_S * 100
LABEL_STEP = 16  # samples; divides a hop
IGNORED = -100


@dataclass(frozen=True)
class Example:
    """One clip, or several in a row, as the student hears it, and all that is known about it."""

    mel: npt.NDArray[np.float32]
    clip_text: str
    phonemes: str
    start_s: float
    end_s: float
    is_timed: bool
    labels: npt.NDArray[np.int64]  # every 10 ms
    words: list[tuple[float, float]]  # seconds; empty if any is not known


def _labels_of(clip: Clip, cut: int, n_samples: int, gap: int) -> npt.NDArray[np.int16]:
    """Labels of a cut clip and the gap after it, one for every `LABEL_STEP` samples; `IGNORED` for real speech."""
    n_labels, n_gap = n_samples // LABEL_STEP, gap // LABEL_STEP
    if clip.labels is None:
        return np.full(n_labels + n_gap, IGNORED, dtype=np.int16)
    fine = np.repeat(clip.labels, HOP_LENGTH // LABEL_STEP)[cut // LABEL_STEP :][:n_labels]
    return np.pad(fine, (0, n_labels - fine.size + n_gap))


def full_window_mel(sound: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    """Log-mel frames of `sound`, zeros after it up to the window's end: what any Whisper implementation feeds."""
    room = WINDOW_S * SAMPLE_RATE
    return log_mel(np.pad(sound[:room], (0, max(0, room - sound.size))))


def _mel_of(sound: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    tail = -sound.size % HOP_LENGTH + 2 * HOP_LENGTH  # the last frames see the silence that follows
    return log_mel(np.pad(sound, (0, tail)))


def floor_of(mel: npt.NDArray[np.float32]) -> float:
    """What digital silence looks like beside this sound."""
    return max(-1.5, float(mel.max()) - 2.0)


def silent_example(rng: np.random.Generator) -> Example:
    """Nobody speaks: digital silence, hiss or rumble."""
    sound = np.zeros(int(SAMPLE_RATE * rng.uniform(0.5, 4.0)), dtype=np.float32)
    kind = rng.random()
    if kind > 0.2:
        sound = rng.standard_normal(sound.size, dtype=np.float32) * 10 ** rng.uniform(-4, -1)
        sound, _ = record(np.cumsum(sound) * 0.02 if kind > 0.6 else sound, rng)
    mel = _mel_of(sound)
    return Example(mel, "", "", 0.0, 0.0, False, np.zeros(mel.shape[0], dtype=np.int64), [])


@dataclass(frozen=True)
class _Row:
    """Clips one after the other, before they are made to sound different."""

    sound: npt.NDArray[np.float32]
    labels: npt.NDArray[np.int16]  # one for every `LABEL_STEP` samples
    words: list[tuple[float, float]]


def _in_a_row(clips: Sequence[Clip], rng: np.random.Generator, hard_cut: float) -> _Row:
    parts: list[npt.NDArray[np.float32]] = []
    labels: list[npt.NDArray[np.int16]] = []
    words: list[tuple[float, float]] = []
    n_before = 0
    for clip in clips:
        part = clip.sound.astype(np.float32) / 32768.0
        cut = 0
        is_one_word = len(clips) == 1 and " " not in clip.text
        if len(clips) > 1 or rng.random() < (0.8 if is_one_word else 0.5):
            part, cut = trim_edges(part, rng, is_hard=is_one_word and rng.random() < hard_cut)
        part = part / max(1e-4, float(np.abs(part).max())) * rng.uniform(0.5, 1.0)
        gap = int(SAMPLE_RATE * rng.uniform(0, 0.25)) if len(clips) > 1 else 0
        shift_s = (n_before - cut) / SAMPLE_RATE
        words += [(start_s + shift_s, end_s + shift_s) for start_s, end_s in clip.words or ()]
        parts.append(np.pad(part, (0, gap)))
        n_before += parts[-1].size
        labels.append(_labels_of(clip, cut, part.size, gap))
    return _Row(np.concatenate(parts), np.concatenate(labels), words)


def _strength_for(clips: Sequence[Clip]) -> Strength:
    """Single digits are changed most: there are few voices for them, and many lines they come over."""
    return HARSH if len(clips) == 1 and clips[0].text in DIGITS else GENTLE


def spoken_example(clips: Sequence[Clip], rng: np.random.Generator, *, masked: float, timestamps: float) -> Example:
    """The clips in a row, through another room and microphone.

    Args:
        clips: One or more, a window long at most.
        rng: Decides everything.
        masked: How often bands and stretches of time are hidden.
        timestamps: How often the decoder is to place the words in time.
    """
    strength = _strength_for(clips)
    row = _in_a_row(clips, rng, strength.hard_cut)
    sound, factor = change_speed(row.sound, rng, most=strength.speed) if rng.random() < 0.8 else (row.sound, 1.0)
    sound = sound[: WINDOW_S * SAMPLE_RATE]
    n_speech = sound.size
    sound, before = place(sound, rng, room=WINDOW_S * SAMPLE_RATE)
    recorded, top_hz = record(sound, rng, strength)
    mel = _mel_of(recorded)[:FULL_FRAMES]
    how_often, most = strength.throat
    if rng.random() < how_often:
        mel = change_throat(mel, rng, top_hz=top_hz, most=most)
    if rng.random() < masked:
        hide(mel, mel.shape[0], rng)
    before_s = before / SAMPLE_RATE
    is_placed = all(clip.words is not None for clip in clips)
    is_labelled = any(clip.labels is not None for clip in clips)
    return Example(
        mel,
        " ".join(clip.text for clip in clips),
        "" if is_labelled else "".join(clip.phonemes for clip in clips),
        before_s,
        (before + n_speech) / SAMPLE_RATE,
        bool(rng.random() < timestamps),
        _labels_at(row.labels, mel.shape[0], before, factor) if is_labelled else np.full(mel.shape[0], IGNORED),
        [(start_s / factor + before_s, end_s / factor + before_s) for start_s, end_s in row.words] if is_placed else [],
    )


def _labels_at(track: npt.NDArray[np.int16], n_frames: int, before: int, factor: float) -> npt.NDArray[np.int64]:
    """The labels of mel frames, from a track that was played `factor` times as fast after `before` samples."""
    source = ((np.arange(n_frames) * HOP_LENGTH - before) * factor / LABEL_STEP).astype(np.int64)
    is_inside = (source >= 0) & (source < track.size)
    return np.where(is_inside, track[np.clip(source, 0, track.size - 1)], 0).astype(np.int64)
