from __future__ import annotations

import re
from dataclasses import replace

import numpy as np
import pytest

from projectone.speech.biasing import BiasOptions, TermBias
from projectone.speech.checkpoint import WhisperCheckpoint
from projectone.speech.term_guard import propose
from projectone.speech.tokenizer import Tokenizer
from projectone.speech.transcribe import GREEDY, TranscribeOptions, transcribe, transcribe_many

from .conftest import random_checkpoint

OPTIONS = replace(GREEDY, language="en")
FREE = BiasOptions(floor=0.0, boost=40.0, max_boost=400.0, margin=1e6, max_margin=1e6)


def writes_letters(tokenizer: Tokenizer, seed: int) -> WhisperCheckpoint:
    """Random weights that write small letters and blanks only."""
    made = random_checkpoint(tokenizer, seed=seed)
    odd = [i for i in range(tokenizer.eot) if not re.fullmatch("[a-z ]+", tokenizer.decode([i]))]
    generation = replace(made.generation, suppress_tokens=(*made.generation.suppress_tokens, *odd))
    checkpoint: WhisperCheckpoint = replace(made, generation=generation)
    return checkpoint


@pytest.fixture
def checkpoint(tokenizer: Tokenizer) -> WhisperCheckpoint:
    """It writes the same word seven times."""
    return writes_letters(tokenizer, seed=3)


def noise(n: int = 3) -> list[np.ndarray]:
    random = np.random.default_rng(5)
    return [(0.1 * random.normal(size=16_000 + 900 * row)).astype(np.float32) for row in range(n)]


def told(checkpoint: WhisperCheckpoint, options: BiasOptions, *terms: str) -> TranscribeOptions:
    return replace(OPTIONS, bias=TermBias(terms, checkpoint.tokenizer, options))


def test_without_the_guard_a_list_is_written_where_nobody_said_it_and_with_it_not(
    tokenizer: Tokenizer,
) -> None:
    checkpoint = writes_letters(tokenizer, seed=1)
    clips = noise()
    plain = [heard.text for heard in transcribe_many(checkpoint, clips, options=OPTIONS)]
    assert not any("seven nine" in text for text in plain)
    pushed = replace(FREE, margin=0.0, max_margin=0.0)
    unguarded = transcribe_many(
        checkpoint, clips, options=told(checkpoint, replace(pushed, is_guarded=False), "seven nine")
    )
    assert any("seven nine" in heard.text for heard in unguarded), "the control shows the harm"
    guarded = transcribe_many(checkpoint, clips, options=told(checkpoint, pushed, "seven nine"))
    assert [heard.text for heard in guarded] == plain
    assert not any(heard.terms for heard in guarded)


def test_a_term_within_its_margin_takes_the_place_of_what_it_was_heard_as_and_nothing_else_changes(
    checkpoint: WhisperCheckpoint,
) -> None:
    clips = noise()
    plain = transcribe_many(checkpoint, clips, options=OPTIONS)
    heard = transcribe_many(checkpoint, clips, options=told(checkpoint, FREE, "seven nine"))
    written = [pair for pair in zip(plain, heard, strict=True) if pair[1].terms]
    assert written
    for before, after in written:
        assert after.terms == ("seven nine",)
        left, _, right = after.text.partition("seven nine")
        assert before.text.startswith(left.rstrip())
        assert before.text.endswith(right.lstrip())
        assert after.segments[0].avg_logprob <= before.segments[0].avg_logprob + 1.0


def test_a_list_that_changes_no_token_costs_no_second_decoding(
    checkpoint: WhisperCheckpoint, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object) -> None:
        raise AssertionError("decoded again")

    monkeypatch.setattr("projectone.speech.term_guard.decode_features", refuse)
    clip = noise(1)[0]
    shy = told(checkpoint, BiasOptions(boost=0.0), "seven nine")
    assert transcribe(checkpoint, clip, options=shy).text == transcribe(checkpoint, clip, options=OPTIONS).text


def test_a_batch_with_a_list_gives_what_each_clip_gives_alone(checkpoint: WhisperCheckpoint) -> None:
    options = told(checkpoint, replace(FREE, boost=6.0), "seven nine", "call")
    clips = noise()
    together = [heard.text for heard in transcribe_many(checkpoint, clips, options=options)]
    assert together == [transcribe(checkpoint, clip, options=options).text for clip in clips]


def test_with_timestamps_a_text_is_taken_whole_or_not_at_all(checkpoint: WhisperCheckpoint) -> None:
    clips = noise(1)
    plain = transcribe_many(checkpoint, clips, options=replace(OPTIONS, timestamps=True))
    strict = replace(told(checkpoint, replace(FREE, margin=0.0, max_margin=0.0), "seven nine"), timestamps=True)
    assert [heard.text for heard in transcribe_many(checkpoint, clips, options=strict)] == [one.text for one in plain]


def places(plain: str, biased: str, *terms: str) -> list[set[tuple[str, str]]]:
    """For each place, the terms and the words of the first text that they would replace."""
    words = plain.split()
    return [
        {(choice.term, " ".join(words[choice.start : choice.end])) for choice in choices}
        for choices in propose(plain, biased, terms)
    ]


def test_a_term_is_proposed_for_the_words_it_was_heard_as() -> None:
    (found,) = places("call an am rata today", "call Namrata today", "Namrata")
    assert ("Namrata", "an am rata") in found
    assert all(term == "Namrata" for term, _ in found)


def test_a_word_that_is_no_term_is_never_proposed() -> None:
    assert places("call anna today", "call hannah tuesday", "Namrata") == []


def test_a_term_that_was_heard_anyway_is_left_alone() -> None:
    assert places("Call Namrata, today.", "call Namrata today", "Namrata") == []


def test_a_term_in_place_of_nothing_is_not_proposed() -> None:
    assert places("", "Namrata", "Namrata") == []


def test_the_longer_of_two_terms_wins_and_phrases_count() -> None:
    (found,) = places("new yolk times", "new york times", "york", "New York")
    assert {term for term, _ in found} == {"New York"}


def test_samples_of_a_higher_temperature_are_left_as_they_are(checkpoint: WhisperCheckpoint) -> None:
    hot = replace(told(checkpoint, FREE, "seven nine"), temperatures=(0.7,))
    clip = noise(1)[0]
    assert (
        transcribe(checkpoint, clip, options=hot).text
        == transcribe(checkpoint, clip, options=replace(hot, bias=None)).text
    )


def test_the_model_is_asked_about_the_window_that_the_term_is_in(checkpoint: WhisperCheckpoint) -> None:
    """Two windows: what is written in one does not depend on the other's place in the batch."""
    clips = noise(2)
    options = told(checkpoint, FREE, "seven nine")
    forwards = transcribe_many(checkpoint, clips, options=options)
    backwards = transcribe_many(checkpoint, clips[::-1], options=options)
    assert [one.text for one in forwards] == [one.text for one in backwards[::-1]]
