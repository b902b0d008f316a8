"""The guard of the second stage: it measures what models really write, and objects where it should."""

from dataclasses import replace

import mlx.core as mx
import numpy as np
import pytest
from mlx.utils import tree_flatten
from tests.fakes.tiny_whisper import WORDS, say, tiny_checkpoint

from projectone.server.training.adamw import Tensors
from projectone.server.training.examples import ExampleBuilder, TrainingClip
from projectone.server.training.sequence_guard import (
    N_NEGATIVES,
    Measured,
    SequenceGuard,
    SequenceOutcome,
    reasons_against,
)
from projectone.server.training.state import DevScore

BEFORE = Measured(wer=0.2, general_wer=0.1, length_ratio=0.98, silence_words=0.25)


def test_weights_that_lose_nothing_may_be_taken() -> None:
    assert reasons_against(BEFORE, BEFORE, max_forgetting=0.01, by_chance=0.0) == []
    # Words that were missing are written now: the text is longer than before, and not longer than the truth.
    better = replace(BEFORE, wer=0.15, length_ratio=1.0, silence_words=0.0)
    assert reasons_against(BEFORE, better, max_forgetting=0.01, by_chance=0.0) == []


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"wer": 0.21}, "held-back clips: 21.00% wrong words, 20.00% before"),
        ({"general_wer": 0.12}, "general speech: 12.00% wrong words, 10.00% before"),
        ({"length_ratio": 1.1}, "longer texts: 1.10 of the true length, 0.98 before"),
        ({"silence_words": 0.5}, "words where nobody speaks: 0.50 a clip, 0.25 before"),
    ],
)
def test_each_loss_is_named_with_its_numbers(change: dict[str, float], words: str) -> None:
    assert reasons_against(BEFORE, replace(BEFORE, **change), max_forgetting=0.01, by_chance=0.0) == [words]


def test_what_was_too_long_already_must_not_grow() -> None:
    long = replace(BEFORE, length_ratio=1.3)
    assert reasons_against(long, replace(long, length_ratio=1.31), max_forgetting=0.01, by_chance=0.0) == []
    assert len(reasons_against(long, replace(long, length_ratio=1.4), max_forgetting=0.01, by_chance=0.0)) == 1


def test_without_general_speech_to_watch_nothing_is_said_of_it() -> None:
    blind = replace(BEFORE, general_wer=None)
    assert reasons_against(blind, replace(blind, wer=0.1), max_forgetting=0.0, by_chance=0.0) == []


def babbling(weights: Tensors, word: int, eot: int) -> Tensors:
    """Weights whose decoder writes one word for ever, whatever it hears: its last norm always points that way."""
    state = weights["decoder.ln.bias"].size
    direction = mx.array(np.random.default_rng(0).choice([-1.0, 1.0], state).astype(np.float32))
    embedding = np.array(weights["decoder.token_embedding.weight"])
    embedding[word] = np.array(direction)
    return {
        **weights,
        "decoder.ln.weight": mx.zeros(state),
        "decoder.ln.bias": direction,
        "decoder.token_embedding.weight": mx.array(embedding),
    }


def test_a_model_that_babbles_is_measured_and_refused() -> None:
    checkpoint = tiny_checkpoint()
    builder = ExampleBuilder(checkpoint, language="en")
    clips = [TrainingClip(word, say(word, seed=i), word, "s") for i, word in enumerate(WORDS)]
    guard = SequenceGuard(builder, builder.build(clips)[0], lambda trained: trained, seed=0)
    weights = dict(tree_flatten(checkpoint.model.parameters()))
    eot, (red, *_) = checkpoint.tokenizer.eot, checkpoint.tokenizer.encode(" red")
    score = DevScore(wer=0.5, general_wer=None, loss=1.0)
    silent = guard(babbling(weights, eot, eot), score)
    assert silent == Measured(wer=0.5, general_wer=None, length_ratio=0.0, silence_words=0.0)
    loud = guard(babbling(weights, red, eot), score)
    # One word after the other, as many as the context has room for.
    assert loud.length_ratio > 3
    assert loud.silence_words > 3
    reasons = reasons_against(silent, loud, max_forgetting=0.01, by_chance=0.0)
    assert [reason.split(":")[0] for reason in reasons] == ["longer texts", "words where nobody speaks"]
    assert silent == guard(babbling(weights, eot, eot), score)  # nothing of the last weights is left


def test_lengths_are_counted_in_the_language_of_the_texts() -> None:
    checkpoint = tiny_checkpoint(languages=("en", "de"))
    weights = dict(tree_flatten(checkpoint.model.parameters()))
    red, *_ = checkpoint.tokenizer.encode(" red")
    ratios = {}
    for code in ("de", "en"):
        builder = ExampleBuilder(checkpoint, language=code)
        spoken = builder.build([TrainingClip("c", say("red"), "um red", "s")])[0]
        guard = SequenceGuard(builder, spoken, lambda trained: trained, seed=0)
        loud = guard(babbling(weights, red, checkpoint.tokenizer.eot), DevScore(wer=0.5, general_wer=None, loss=1.0))
        ratios[code] = loud.length_ratio
    assert ratios["en"] == 2 * ratios["de"] > 0


def test_words_that_chance_explains_are_no_loss() -> None:
    more = replace(BEFORE, wer=BEFORE.wer + 0.03)
    assert reasons_against(BEFORE, more, max_forgetting=0.01, by_chance=0.03) == []
    assert len(reasons_against(BEFORE, more, max_forgetting=0.01, by_chance=0.029)) == 1


def test_one_word_in_all_the_silence_is_chance() -> None:
    one_more = replace(BEFORE, silence_words=BEFORE.silence_words + 1 / N_NEGATIVES)
    assert reasons_against(BEFORE, one_more, max_forgetting=0.01, by_chance=0.0) == []


def test_an_outcome_comes_back_from_its_note() -> None:
    import dataclasses
    import json

    for outcome in (
        SequenceOutcome(loss="mwer", is_kept=False, reason="nothing was held back to watch it by"),
        SequenceOutcome(loss="grpo", is_kept=True, reason="", n_steps=4, best_step=2, before=BEFORE, after=BEFORE),
    ):
        assert SequenceOutcome.from_json(json.loads(json.dumps(dataclasses.asdict(outcome)))) == outcome
