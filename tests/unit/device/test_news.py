"""What is new in a model, said in plain words from signed figures, and nothing guessed."""

from __future__ import annotations

import pytest
from tests.fakes.releases import a_manifest

from projectone.contracts.releases import NotedRelease, ReleaseNotes
from projectone.device.adoption.news import news_of

NOTES = ReleaseNotes(
    after="1.0.0", n_samples=1204, n_new_samples=57, audio_s=5400, n_words=3120, n_wrong=356, n_wrong_before=714
)


def manifest(notes: ReleaseNotes | None = NOTES, **changes: object) -> NotedRelease:
    return NotedRelease.of(a_manifest(), notes).model_copy(update={"seq": 2, **changes})


def test_how_it_does_and_what_it_learned_from_is_said_with_what_was_before() -> None:
    assert news_of(manifest()) == [
        "Of 3,120 words that are kept for testing it gets 11.4 % wrong; model 1.0.0 got 22.9 % wrong.",
        "It learned from 1,204 recordings (1.5 hours) that people corrected or read aloud and sent; "
        "57 of them are new.",
    ]


def test_a_classifier_speaks_of_sentences() -> None:
    notes = NOTES.model_copy(update={"after": None, "n_wrong_before": None, "n_words": 300, "n_wrong": 24})
    assert news_of(manifest(notes, channel="stable.intents")) == [
        "Of 300 sentences that are kept for testing it gets 8.0 % wrong.",
        "It learned from 1,204 sentences whose meaning people corrected; 57 of them are new.",
    ]


def test_a_model_that_was_not_trained_does_not_claim_to_have_learned() -> None:
    notes = ReleaseNotes(n_words=100, n_wrong=5)
    assert news_of(manifest(notes))[1] == "It learned nothing new: it is released as it was."


def test_a_release_that_says_nothing_is_not_guessed_about() -> None:
    assert news_of(manifest(None)) == ["Its release does not say what is new in it."]


def test_a_release_that_retires_those_before_it_says_so() -> None:
    assert news_of(manifest(None, min_seq=2))[1] == "Every model before it is retired, so none is kept to go back to."
    assert len(news_of(manifest(None, min_seq=1))) == 1


@pytest.mark.parametrize(
    ("audio_s", "told"),
    [
        (0.0, "less than a minute"),
        (59.9, "less than a minute"),
        (86.0, "1 minute"),
        (150.5, "3 minutes"),
        (3569.9, "59 minutes"),
        (3599.9, "1 hour"),
        (5400.0, "1.5 hours"),
        (36_000_000.0, "10,000 hours"),
    ],
)
def test_a_length_is_told_to_the_nearest_minute(audio_s: float, told: str) -> None:
    notes = NOTES.model_copy(update={"audio_s": audio_s})
    assert news_of(manifest(notes))[1].startswith(f"It learned from 1,204 recordings ({told}) that")


@pytest.mark.parametrize(
    ("n_samples", "n_new", "told"),
    [
        (1, 1, "1 recording (1.5 hours) that people corrected or read aloud and sent; it is new."),
        (1, 0, "1 recording (1.5 hours) that people corrected or read aloud and sent; it is not new."),
        (5, 1, "5 recordings (1.5 hours) that people corrected or read aloud and sent; 1 of them is new."),
        (5, 0, "5 recordings (1.5 hours) that people corrected or read aloud and sent; none of them is new."),
    ],
)
def test_one_is_not_told_as_many(n_samples: int, n_new: int, told: str) -> None:
    notes = NOTES.model_copy(update={"n_samples": n_samples, "n_new_samples": n_new})
    assert news_of(manifest(notes))[1] == f"It learned from {told}"


def test_a_model_that_hears_more_words_than_were_said_is_not_given_a_share_of_them() -> None:
    notes = ReleaseNotes(n_words=100, n_wrong=500)
    assert news_of(manifest(notes))[0] == "Of 100 words that are kept for testing it gets over 100 % wrong."


def test_nothing_in_it_can_move_a_cursor() -> None:
    notes = NOTES.model_copy(update={"after": "\x1b[2J\u202e1.0.0"})  # past the contract, which refuses it
    assert "model \\x1b[2J\\u202e1.0.0 got" in news_of(manifest(notes))[0]
