"""Batches: the same again for the same seed, and everything in its place."""

from __future__ import annotations

from dataclasses import fields
from pathlib import Path

import numpy as np
import pytest
from starter.batches import Batch, Drawer, Mixture, stream
from starter.data import SYMBOLS, Clip
from starter.examples import FULL_FRAMES, IGNORED
from starter.vocabulary import Vocabulary, load_vocabulary

STARTER = Path(__file__).resolve().parents[3] / "models" / "starter"
WORDS = ("six", "two", "seven", "yes")


@pytest.fixture(scope="module")
def vocabulary() -> Vocabulary:
    return load_vocabulary(STARTER)


def _pools(text: str = "six") -> dict[str, list[Clip]]:
    rng = np.random.default_rng(0)
    clips = []
    for index in range(6):
        n_frames = 30 + 10 * index
        sound = (3000 * rng.standard_normal(n_frames * 160)).astype(np.int16)
        labels = np.full(n_frames, 3, dtype=np.int16)
        clips.append(Clip(sound, WORDS[index % 4], "a", "", labels, ((0.0, n_frames / 100),)))
    plain = [Clip(clip.sound, text, "b", "fiks") for clip in clips]
    return {"timed": clips, "plain": plain}


def _drawer(vocabulary: Vocabulary, seed: int = 20, **shares: float) -> Drawer:
    mixture = Mixture(shares or {"timed": 0.5, "plain": 0.5}, full_window=0.1, silent=0.1, timestamps=0.3)
    return Drawer(_pools(), vocabulary, mixture, seed)


def _is_same(one: Batch, other: Batch) -> bool:
    return all(np.array_equal(getattr(one, field.name), getattr(other, field.name)) for field in fields(Batch))


def test_the_same_seed_and_number_give_the_same_batches(vocabulary: Vocabulary) -> None:
    once, again = (list(_drawer(vocabulary).group(3)) for _ in range(2))
    assert len(once) == len(again)
    assert all(_is_same(one, other) for one, other in zip(once, again, strict=True))


def test_another_seed_or_number_gives_other_batches(vocabulary: Vocabulary) -> None:
    first = next(_drawer(vocabulary).group(3))
    assert not _is_same(first, next(_drawer(vocabulary).group(4)))
    assert not _is_same(first, next(_drawer(vocabulary, seed=21).group(3)))


def test_a_child_process_makes_just_the_batches_asked_for(vocabulary: Vocabulary) -> None:
    drawer = _drawer(vocabulary)
    streamed = list(stream(lambda _: drawer, first_group=5, end_group=6))
    expected = [(5, batch) for batch in drawer.group(5)]
    assert [number for number, _ in streamed] == [number for number, _ in expected]
    assert all(_is_same(got[1], own[1]) for got, own in zip(streamed, expected, strict=True))


def test_a_pool_without_a_share_is_never_drawn_from(vocabulary: Vocabulary) -> None:
    for batch in _drawer(vocabulary, plain=1.0).group(0):
        assert (batch.labels[batch.labels != IGNORED] == 0).all()  # silent examples and padding alone


def test_every_target_is_the_token_that_comes_next(vocabulary: Vocabulary) -> None:
    end = vocabulary.id_of("<|endoftext|>")
    prefix = [vocabulary.id_of(name) for name in ("<|startoftranscript|>", "<|en|>", "<|transcribe|>")]
    n_spoken = 0
    for batch in _drawer(vocabulary).group(1):
        for tokens, targets in zip(batch.tokens, batch.targets, strict=True):
            assert tokens[:3].tolist() == prefix
            n_known = int(np.flatnonzero(targets != IGNORED)[-1]) + 1
            assert targets[n_known - 1] == end
            is_spoken = targets[0] == vocabulary.id_of("<|en|>")
            n_spoken += int(is_spoken)
            assert is_spoken or targets[0] == vocabulary.id_of("<|nospeech|>")
            shifted = [(at, t) for at, t in enumerate(targets[: n_known - 1]) if t != IGNORED and at > 0]
            assert all(tokens[at + 1] == target for at, target in shifted)
    assert n_spoken > 150


def test_where_to_listen_lies_within_the_sound_for_every_word_of_known_time(vocabulary: Vocabulary) -> None:
    n_known = 0
    for batch in _drawer(vocabulary, timed=1.0).group(0):
        is_known = batch.spans[..., 0] >= 0
        assert ((batch.targets[is_known] >= 0) & (batch.targets[is_known] < vocabulary.n_base)).all()
        last = np.broadcast_to(batch.n_frames[:, None], is_known.shape)[is_known]
        assert (batch.spans[is_known][:, 0] < batch.spans[is_known][:, 1]).all()
        assert (batch.spans[is_known][:, 0] * 2 < last).all()
        n_known += int(is_known.sum())
    assert n_known > 150


def test_padding_is_silence_that_nobody_is_asked_about(vocabulary: Vocabulary) -> None:
    for batch in _drawer(vocabulary).group(2):
        assert batch.mel.shape[1] <= FULL_FRAMES
        assert batch.labels.shape[1] == batch.mel.shape[1] // 2
        for mel, n_real in zip(batch.mel, batch.n_frames, strict=True):
            if n_real < len(mel):
                assert len(np.unique(mel[n_real:])) == 1
                assert mel[-1, 0] <= max(-1.5, mel[:n_real].max() - 1.9)


def test_phonemes_are_numbered_from_one(vocabulary: Vocabulary) -> None:
    batch = next(_drawer(vocabulary, plain=1.0).group(0))
    spoken = batch.phonemes[batch.n_phonemes > 0]
    assert spoken[0, :4].tolist() == [SYMBOLS[symbol] for symbol in "fiks"]
    assert min(SYMBOLS.values()) == 1


def test_easy_batches_hold_short_clips_only(vocabulary: Vocabulary) -> None:
    mixture = Mixture({"timed": 1.0}, longest_s=0.45, joined=0.0, silent=0.0, full_window=0.0)
    drawer = Drawer(_pools(), vocabulary, mixture, 0)
    # 0.45 s at the slowest, and half a second of silence on either side.
    assert max(int(batch.n_frames.max()) for batch in drawer.group(0)) <= 160
