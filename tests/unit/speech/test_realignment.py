"""Heads that follow the sound are told from those that do not."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest
from tests.fakes.tiny_whisper import say

from projectone.speech import realignment
from projectone.speech.checkpoint import WhisperCheckpoint
from projectone.speech.realignment import follow_scores, realigned, still_aligned
from projectone.speech.timing import Trace

EOT = 1000


def traces(n_clips: int = 4) -> list[tuple[Trace, np.ndarray]]:
    """Head 0 looks anywhere, 1 at the end whatever is said, 2 at its whole word, 3 at where that begins."""
    random = np.random.default_rng(0)
    made = []
    for seed in range(n_clips):
        edges = np.sort(random.choice(np.arange(5, 55), 6, replace=False))
        shares = random.uniform(0.0, 1.0, (4, 9, 60)).astype(np.float32)
        shares[1, :, 50:] += 50.0
        for row, (first, end) in enumerate(pairwise(edges), start=3):
            shares[2, row, first:end] += 50.0
            shares[3, row, first] += 50.0
        shares /= shares.sum(axis=-1, keepdims=True)
        made.append((Trace(tuple(range(5)), (0.0,) * 5, shares, 3), say("red blue green black", seed=seed)))
    return made


def test_a_head_is_as_good_as_it_looks_at_its_own_word_and_not_at_others() -> None:
    scores = follow_scores(traces(), 4, eot=EOT)
    assert min(scores[2:]) > 0.3  # words as short as a tenth of a second share what is near them
    assert max(scores[:2]) < 0.1


def test_without_words_there_is_nothing_to_go_by() -> None:
    with pytest.raises(ValueError, match="at least 3 words"):
        follow_scores([], 4, eot=EOT)
    with pytest.raises(ValueError, match="at least 3 words"):
        follow_scores(traces(), 4, eot=2)  # of five tokens two are text


def test_named_heads_stay_while_they_follow_and_are_replaced_when_they_do_not(
    checkpoint: WhisperCheckpoint, monkeypatch: pytest.MonkeyPatch
) -> None:
    tokenizer = checkpoint.tokenizer
    monkeypatch.setattr(realignment, "traces_of", lambda *_, **__: traces())
    assert tokenizer.eot > 5

    def naming(*heads: tuple[int, int]) -> tuple[tuple[int, int], ...]:
        given = replace(checkpoint, generation=replace(checkpoint.generation, alignment_heads=heads))
        return realigned(given, []).generation.alignment_heads

    # Two layers of two heads: (1, 0) and (1, 1) are the third and the fourth.
    assert naming() == ((1, 0), (1, 1))
    assert naming((1, 1)) == ((1, 1),)
    assert naming((0, 0), (0, 1)) == ((1, 0), (1, 1))
    assert naming((7, 9)) == ((1, 0), (1, 1))


def test_a_model_listens_to_the_clips_itself(checkpoint: WhisperCheckpoint) -> None:
    clips = [say("red green blue", seed=seed) for seed in range(3)]
    heads = realigned(checkpoint, clips, language="en").generation.alignment_heads
    assert heads
    assert set(heads) <= {(0, 0), (0, 1), (1, 0), (1, 1)}


def test_after_training_named_heads_are_looked_at_again_and_no_others(
    checkpoint: WhisperCheckpoint, monkeypatch: pytest.MonkeyPatch
) -> None:
    stale = replace(checkpoint, generation=replace(checkpoint.generation, alignment_heads=((0, 0),)))
    assert still_aligned(stale, []) is stale  # nothing to go by
    monkeypatch.setattr(realignment, "traces_of", lambda *_, **__: traces())
    assert still_aligned(stale, []).generation.alignment_heads == ((1, 0), (1, 1))
    assert still_aligned(checkpoint, []) is checkpoint
