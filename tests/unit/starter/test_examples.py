"""From clips to examples: the labels and times go where the sound goes."""

from __future__ import annotations

import numpy as np
from starter.data import SAMPLE_RATE, Clip
from starter.examples import FULL_FRAMES, IGNORED, Example, full_window_mel, silent_example, spoken_example

SEEDS = range(12)


def _clip(text: str = "six", *, is_labelled: bool = True, before_s: float = 0.3, loud_s: float = 0.5) -> Clip:
    """Silence, a buzz that is the whole word, silence; labelled 7 where it buzzes."""
    n_before, n_loud = int(100 * before_s), int(100 * loud_s)
    buzz = 12_000 * np.sign(np.sin(2 * np.pi * 150 * np.arange(n_loud * 160) / SAMPLE_RATE))
    sound = np.pad(buzz.astype(np.int16), (n_before * 160, 4800))
    labels = np.zeros(sound.size // 160, dtype=np.int16)
    labels[n_before : n_before + n_loud] = 7
    words = ((before_s, before_s + loud_s),)
    return Clip(sound, text, "nobody", "fiks", labels if is_labelled else None, words if is_labelled else None)


def _spoken(clips: list[Clip], seed: int) -> Example:
    return spoken_example(clips, np.random.default_rng(seed), masked=0.0, timestamps=0.0)


def test_there_is_one_label_for_every_frame_whatever_happens() -> None:
    for seed in SEEDS:
        for clips in ([_clip()], [_clip("seven four"), _clip("two", is_labelled=False)], [_clip(is_labelled=False)]):
            example = _spoken(clips, seed)
            assert example.labels.size == example.mel.shape[0]
            assert np.isfinite(example.mel).all()


def test_labels_follow_the_sound_through_cuts_speeds_and_silence() -> None:
    for seed in SEEDS:
        example = _spoken([_clip()], seed)
        level = example.mel[:, 5:40].mean(axis=1)
        loud, quiet = level[example.labels == 7], level[example.labels == 0]
        assert loud.size >= 35
        # Noise and the room blur the edges, so nearly all of it is asked for, not all.
        boundary = (np.median(loud) + (quiet.min() if quiet.size else level.min())) / 2
        assert (loud > boundary).mean() > 0.9


def test_word_times_follow_the_sound_too() -> None:
    for seed in SEEDS:
        example = _spoken([_clip("six", before_s=0.2), _clip("two", before_s=0.4)], seed)
        assert len(example.words) == 2
        for start_s, end_s in example.words:
            inside = example.labels[round(100 * start_s) + 2 : round(100 * end_s) - 2]
            assert inside.size > 25
            assert (inside == 7).all()
        middle = example.labels[round(100 * example.words[0][1]) + 2 : round(100 * example.words[1][0]) - 2]
        assert not middle.any()


def test_the_text_of_clips_in_a_row_is_their_texts_in_order() -> None:
    example = _spoken([_clip("seven four"), _clip("two")], 0)
    assert example.clip_text == "seven four two"


def test_speech_of_unknown_timing_carries_its_phonemes_and_no_labels() -> None:
    example = _spoken([_clip(is_labelled=False)], 0)
    assert example.phonemes == "fiks"
    assert (example.labels == IGNORED).all()
    assert example.words == []


def test_speech_of_known_timing_is_not_aligned_a_second_time() -> None:
    assert _spoken([_clip()], 0).phonemes == ""


def test_the_same_seed_makes_the_same_example() -> None:
    one, same, other = (_spoken([_clip()], seed) for seed in (4, 4, 5))
    assert np.array_equal(one.mel, same.mel)
    assert one.words == same.words
    assert one.mel.shape != other.mel.shape or not np.array_equal(one.mel, other.mel)


def test_no_example_is_longer_than_the_window() -> None:
    for seed in SEEDS:
        example = _spoken([_clip(loud_s=4.5), _clip(loud_s=4.5)], seed)
        assert example.mel.shape[0] <= FULL_FRAMES
        assert example.labels.size == example.mel.shape[0]


def test_a_full_window_is_full_whatever_is_fed() -> None:
    for seconds in (0.3, 9.0, 14.0):
        mel = full_window_mel(np.ones(int(seconds * SAMPLE_RATE), dtype=np.float32))
        assert mel.shape == (FULL_FRAMES, 80)


def test_where_nobody_speaks_nothing_is_written() -> None:
    for seed in SEEDS:
        example = silent_example(np.random.default_rng(seed))
        assert example.clip_text == ""
        assert not example.labels.any()
        assert example.labels.size == example.mel.shape[0]
