"""Cutting words out of recordings and putting them together: alignment, times and texts."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="parity needs the parity extra (torch, transformers)")

from starter.data import Clip  # noqa: E402
from starter.model import Shape, Student  # noqa: E402
from starter.splice import Word, align, align_clips, cut_words, spliced_clips  # noqa: E402

pytestmark = pytest.mark.parity


def _scores(symbols: list[int], n_symbols: int = 5) -> np.ndarray:
    """Log-probabilities that favour one symbol at each step."""
    table = np.full((len(symbols), n_symbols), np.log(0.05), dtype=np.float32)
    table[np.arange(len(symbols)), symbols] = np.log(0.8)
    return table


def test_each_step_gets_the_phoneme_that_scores_best_there() -> None:
    heard = [0, 1, 1, 2, 0, 0, 3, 4, 4, 0]
    symbols, spans = align(_scores(heard), [[1, 2], [3, 4]])
    assert symbols.tolist() == heard
    assert spans == [(1, 4), (6, 9)]


def test_words_may_follow_each_other_without_a_pause() -> None:
    heard = [1, 1, 2, 3, 4, 4]
    symbols, spans = align(_scores(heard), [[1, 2], [3, 4]])
    assert symbols.tolist() == heard
    assert spans == [(0, 3), (3, 6)]


def test_a_phoneme_that_nobody_hears_still_gets_a_step_in_its_place() -> None:
    symbols, spans = align(_scores([0, 1, 1, 1, 0]), [[1, 2]])
    assert [symbol for symbol in symbols.tolist() if symbol] in ([1, 1, 2], [1, 2, 2], [1, 1, 1, 2])
    assert spans[0][0] == 1


def test_the_order_of_the_text_wins_over_the_scores() -> None:
    symbols, _ = align(_scores([2, 2, 2, 1, 1, 1]), [[1], [2]])
    assert [symbol for symbol in dict.fromkeys(symbols.tolist()) if symbol] == [1, 2]


def test_more_phonemes_than_steps_are_refused() -> None:
    with pytest.raises(ValueError, match="got 3 steps"):
        align(_scores([1, 2, 3]), [[1, 2, 3, 4]])


def _word(text: str, amplitude: int, n_frames: int) -> Word:
    sound = np.full(n_frames * 160, amplitude, dtype=np.int16)
    return Word(sound, text, np.full(n_frames, amplitude // 100, dtype=np.int16))


WORDS = {
    "anna": [_word("six", 1000, 20), _word("two", 2000, 30), _word("two", 2000, 31), _word("two", 2000, 33)],
    "bob": [_word("yes", 3000, 25), _word("nine", 4000, 40)],
}
AMPLITUDES = {"six": 1000, "two": 2000, "yes": 3000, "nine": 4000}


def test_every_word_of_a_spliced_clip_sounds_when_it_is_said_to() -> None:
    for clip in spliced_clips(WORDS, 200, seed=0):
        assert clip.words is not None
        assert clip.labels is not None
        assert clip.labels.size * 160 == clip.sound.size
        assert len(clip.words) == len(clip.text.split())
        is_word = np.zeros(clip.labels.size, dtype=bool)
        for text, (start_s, end_s) in zip(clip.text.split(), clip.words, strict=True):
            frames = slice(round(100 * start_s), round(100 * end_s))
            assert (clip.labels[frames] == AMPLITUDES[text] // 100).all()
            assert np.median(clip.sound[frames.start * 160 : frames.stop * 160]) == AMPLITUDES[text]
            is_word[frames] = True
        assert not clip.labels[~is_word].any()
        assert not clip.sound.reshape(-1, 160)[~is_word].any()


def test_a_spliced_clip_is_by_one_speaker() -> None:
    own = {speaker: {word.text for word in words} for speaker, words in WORDS.items()}
    assert all(set(clip.text.split()) <= own[clip.speaker] for clip in spliced_clips(WORDS, 200, seed=1))


def test_a_digit_said_once_is_heard_alone_as_often_as_one_said_often() -> None:
    texts = Counter(clip.text for clip in spliced_clips({"anna": WORDS["anna"]}, 2000, seed=2))
    assert texts["six"] > 0.7 * texts["two"]
    assert texts["six"] + texts["two"] > 1000


def test_the_same_seed_splices_the_same_clips() -> None:
    one, same, other = ([clip.text for clip in spliced_clips(WORDS, 50, seed=seed)] for seed in (3, 3, 4))
    assert one == same
    assert one != other


def test_words_are_cut_where_they_were_aligned_with_a_little_around() -> None:
    sound = np.arange(16_000, dtype=np.int16)
    labels = np.ones(100, dtype=np.int16)
    clip = Clip(sound, "six two", "anna", "", labels, ((0.2, 0.5), (0.55, 0.6)))
    (word,) = cut_words([clip])["anna"]  # the second is too short to be a whole word
    assert word.text == "six"
    assert word.sound.tolist() == list(range(19 * 160, 51 * 160))
    assert word.labels.size == 32


def test_words_of_unknown_place_are_not_cut() -> None:
    assert cut_words([Clip(np.zeros(16_000, dtype=np.int16), "six", "anna", "")]) == {}


def test_of_speakers_whose_other_words_are_of_no_use_only_some_are_cut() -> None:
    sound = np.arange(16_000, dtype=np.int16)
    words = ((0.0, 0.5), (0.5, 1.0))
    clip = Clip(sound, "six houses", "li", "", np.ones(100, dtype=np.int16), words)
    assert [word.text for word in cut_words([clip], only={"six"})["li"]] == ["six"]
    assert [word.text for word in cut_words([clip])["li"]] == ["six", "houses"]


def test_aligning_recordings_keeps_their_sound_and_text_and_places_every_word() -> None:
    torch.manual_seed(0)
    student = Student(Shape(50, n_state=64, n_head=2, n_audio_layer=2, n_text_layer=1), n_pieces=40, n_phonemes=44)
    noise = np.random.default_rng(0).normal(0, 3000, 16_100).astype(np.int16)
    clips = [Clip(noise, "six two", "anna", "x"), Clip(noise[:1600], "seven seven", "anna", "x")]
    placed, too_fast = align_clips(student, clips)
    assert np.array_equal(placed.sound, noise)
    assert placed.text == "six two"
    assert placed.words is not None
    assert placed.labels is not None
    assert placed.labels.size == 101
    (first, second) = placed.words
    assert 0 <= first[0] < first[1] <= second[0] < second[1] <= 1.02
    assert too_fast.words is None
    assert student.training
