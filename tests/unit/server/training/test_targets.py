import dataclasses

import pytest
from tests.fakes.tiny_whisper import tiny_checkpoint

from projectone.server.training.loss import collate_targets
from projectone.server.training.targets import Spoken, TargetBuilder
from projectone.speech.checkpoint import WhisperCheckpoint
from projectone.speech.prefix import decoder_prefix
from projectone.speech.tokenizer import Tokenizer


def english_only() -> WhisperCheckpoint:
    checkpoint = tiny_checkpoint()
    return dataclasses.replace(checkpoint, tokenizer=Tokenizer(checkpoint.tokenizer.source, is_multilingual=False))


def learned(builder: TargetBuilder, spoken: list[Spoken], *, timed: bool) -> dict[int, int]:
    """Position to the token that must be predicted after it."""
    _, _, columns, wanted = collate_targets([builder.window(spoken, timed=timed)], pad=0)
    assert len(set(columns.tolist())) == columns.size  # nothing is asked twice
    return dict(zip(columns.tolist(), wanted.tolist(), strict=True))


def test_what_was_said_before_is_shown_and_not_learned() -> None:
    checkpoint = tiny_checkpoint()
    tokenizer = checkpoint.tokenizer
    previous = tokenizer.encode(" blue black")
    text = tuple(tokenizer.encode(" red"))
    builder = TargetBuilder(checkpoint, language="en")
    target = builder.window([Spoken(text, 0, 0.5)], timed=False, previous=previous)
    given = decoder_prefix(
        tokenizer, language="en", timestamps=False, previous_text=previous, n_text_ctx=checkpoint.dims.n_text_ctx
    )
    assert list(target.tokens[: target.n_given]) == given
    assert given[0] == tokenizer.sot_prev
    assert list(target.tokens[target.n_given :]) == [*text, tokenizer.eot]
    assert target.marks == ()


def test_a_long_prompt_loses_its_beginning_and_never_the_text() -> None:
    checkpoint = tiny_checkpoint()
    tokenizer, context = checkpoint.tokenizer, checkpoint.dims.n_text_ctx
    builder = TargetBuilder(checkpoint, language="en")
    previous = [5] * 50 + [6]
    for n_text in range(1, context - 5):
        target = builder.window([Spoken((7,) * n_text, 0, 0.5)], timed=False, previous=previous)
        assert len(target.tokens) - 1 <= context
        assert target.tokens.count(7) == n_text
        prompt = target.tokens[: target.tokens.index(tokenizer.sot)]
        assert len(prompt) <= context // 2  # `<|startofprev|>` and half of the context less one
        assert not prompt or (prompt[0] == tokenizer.sot_prev and prompt[-1] == 6)


def test_where_nobody_speaks_nothing_is_written() -> None:
    checkpoint = tiny_checkpoint()
    tokenizer = checkpoint.tokenizer
    builder = TargetBuilder(checkpoint, language="en", marks_speech=True)
    assert tokenizer.no_speech is not None
    assert learned(builder, [], timed=False) == {0: tokenizer.no_speech, 3: tokenizer.eot}
    timed = learned(builder, [], timed=True)
    assert timed == {0: tokenizer.no_speech, 2: tokenizer.timestamp_begin, 3: tokenizer.eot}


def test_where_somebody_speaks_the_start_says_so_too() -> None:
    checkpoint = tiny_checkpoint()
    tokenizer = checkpoint.tokenizer
    spoken = [Spoken((7,), 0, 0.5)]
    marked = TargetBuilder(checkpoint, language="en", marks_speech=True)
    assert learned(marked, spoken, timed=False) == {0: tokenizer.language_id("en"), 3: 7, 4: tokenizer.eot}
    assert learned(TargetBuilder(checkpoint, language="en"), spoken, timed=False) == {3: 7, 4: tokenizer.eot}


@pytest.mark.parametrize("timed", [False, True])
def test_english_only_models_learn_silence_too(timed: bool) -> None:
    checkpoint = english_only()
    tokenizer = checkpoint.tokenizer
    builder = TargetBuilder(checkpoint, language=None, marks_speech=True)
    assert learned(builder, [], timed=timed) == {0: tokenizer.no_speech, 1: tokenizer.eot}
    expected = [tokenizer.timestamp_begin, 7, tokenizer.timestamp_begin + 25] if timed else [tokenizer.no_timestamps, 7]
    spoken = learned(builder, [Spoken((7,), 0, 0.5)], timed=timed)
    assert spoken == dict(enumerate([*expected, tokenizer.eot]))


def test_a_time_that_no_token_says_makes_the_target_a_plain_one() -> None:
    checkpoint = tiny_checkpoint()
    builder = TargetBuilder(checkpoint, language="en")
    target = builder.window([Spoken((7,), 0, 0.5), Spoken((8,), 0.6, 99.0)], timed=True)
    assert checkpoint.tokenizer.no_timestamps in target.tokens
    assert target.tokens[target.n_given :] == (7, 8, checkpoint.tokenizer.eot)
