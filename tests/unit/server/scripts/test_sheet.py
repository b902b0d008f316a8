"""From needs to sentences with reasons."""
# ruff: noqa: RUF001 - phonetic letters

from __future__ import annotations

from datetime import UTC, datetime

from projectone.contracts.texts import clean_transcript
from projectone.server.scripts.needs import Need
from projectone.server.scripts.sentences import Sentence, read_sentences
from projectone.server.scripts.sheet import ScriptPicker
from projectone.server.scripts.sounds import pairs_of, sounds_of
from projectone.speech.normalize import normalize_text

SENTENCES = (
    Sentence("s-1", "own", "Three trees."),
    Sentence("s-2", "own", "Seven and seven."),
    Sentence("s-3", "own", "Nothing at all."),
)
NEEDS = (
    Need("word", "seven", 30, 12, 9, 1.0, "eleven"),
    Need("sound", "θ", 50, 20, 8, 0.4),
)
NOW = datetime(2026, 11, 21, tzinfo=UTC)


def letters(word: str) -> tuple[str, ...]:
    return ("θ", *word[2:]) if word.startswith("th") else tuple(word)


def test_each_sentence_says_why_it_was_chosen() -> None:
    sheet = ScriptPicker(SENTENCES, letters).sheet(NEEDS, language="en", now=NOW, n=2)
    assert [(script.script_id, script.why) for script in sheet.scripts] == [
        ("s-2", "'seven' is misheard 12 of 30 times, mostly for 'eleven'"),
        ("s-1", "θ as in 'three' is misheard 20 of 50 times"),
    ]


def test_without_needs_variety_decides_and_says_so() -> None:
    sheet = ScriptPicker(SENTENCES, letters).sheet((), language="en", now=NOW)
    assert {script.script_id for script in sheet.scripts} == {"s-1", "s-2", "s-3"}
    assert {script.why for script in sheet.scripts} == {"its sounds are rare in what was read before"}


def test_nobody_is_asked_to_read_what_models_are_judged_on() -> None:
    picker = ScriptPicker(SENTENCES, letters, taboo={"seven and seven"})
    assert "s-2" not in {choice.name for choice in picker.choose(NEEDS)}


def test_chosen_sentences_cover_more_than_sentences_drawn_by_chance() -> None:
    coverage = ScriptPicker(read_sentences(), letters).coverage(NEEDS, 10, n_draws=50)
    assert coverage.chosen > coverage.random_best >= coverage.random_mean


def test_every_sentence_of_the_corpus_can_be_read_and_sent() -> None:
    sentences = read_sentences()
    assert len(sentences) > 1000
    assert len({sentence.script_id for sentence in sentences}) == len(sentences)
    assert len({normalize_text(sentence.text) for sentence in sentences}) == len(sentences)
    assert {sentence.source for sentence in sentences} == {"harvard", "arctic", "own"}
    assert all(clean_transcript(sentence.text) == sentence.text for sentence in sentences)
    assert max(len(sentence.text.split()) for sentence in sentences) <= 12  # one breath


def test_a_transcription_is_cut_into_sounds() -> None:
    assert sounds_of("θɹˈiː") == ("θ", "ɹ", "iː")
    assert sounds_of("tʃˈeɪndʒd") == ("tʃ", "eɪ", "n", "dʒ", "d")
    assert pairs_of(("θ", "ɹ", "iː")) == ("θ ɹ", "ɹ iː")
