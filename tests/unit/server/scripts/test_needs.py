"""What a model gets wrong, over many people."""
# ruff: noqa: RUF001 - phonetic letters

from __future__ import annotations

import pytest

from projectone.server.scripts.needs import Listening, find_needs

SOUNDS = {
    "three": ("θ", "ɹ", "iː"),
    "free": ("f", "ɹ", "iː"),
    "tree": ("t", "ɹ", "iː"),
    "one": ("w", "ʌ", "n"),
}


def sounds(word: str) -> tuple[str, ...]:
    return SOUNDS.get(word, ())


def said(n_people: int, text: str, heard: str, *, accent: str | None = None, first: int = 0) -> list[Listening]:
    return [Listening(text, heard, f"p{first + n}", accent) for n in range(n_people)]


def test_a_misheard_word_names_the_word_the_sound_and_what_they_were_taken_for() -> None:
    needs = {need.unit: need for need in find_needs(said(6, "One three.", "one free"), sounds)}
    assert set(needs) == {("word", "three"), ("sound", "θ"), ("pair", "θ ɹ")}
    word, sound = needs["word", "three"], needs["sound", "θ"]
    assert (word.n, word.n_wrong, word.n_speakers, word.heard_as) == (6, 6, 6, "free")
    assert (sound.n_wrong, sound.heard_as) == (6, "f")


@pytest.mark.parametrize("n_people", [1, 4])
def test_what_few_people_say_is_not_named(n_people: int) -> None:
    assert find_needs(said(n_people, "three", "free") * 50, sounds) == ()
    # Control run: without the threshold one person's word is told to everybody.
    assert {need.name for need in find_needs(said(n_people, "three", "free"), sounds, min_speakers=1)} >= {"three"}


def test_a_confusion_of_few_people_is_not_told_though_the_word_is() -> None:
    heard = said(3, "three", "free") + said(3, "three", "tree", first=3)
    (word,) = [need for need in find_needs(heard, sounds) if need.kind == "word"]
    assert (word.n_speakers, word.heard_as) == (6, None)


def test_each_kind_shares_out_one_and_what_is_seldom_right_weighs_more() -> None:
    heard = said(5, "three one", "free wan") + said(20, "one", "one", first=5)
    needs = find_needs(heard, sounds)
    for kind in ("word", "sound", "pair"):
        assert sum(need.weight for need in needs if need.kind == kind) == pytest.approx(1.0)
    words = {need.name: need.weight for need in needs if need.kind == "word"}
    assert words["three"] == pytest.approx(5 * words["one"])  # as many errors, at a fifth of the rate


def test_of_a_word_that_is_missing_no_sound_is_blamed() -> None:
    needs = find_needs(said(6, "one three", "one"), sounds)
    assert [need.unit for need in needs] == [("word", "three")]


def test_errors_of_a_rare_accent_weigh_more() -> None:
    common = said(40, "one two", "one two", accent="A") + said(5, "one two", "wan two", accent="A", first=40)
    rare = said(5, "one two", "one too", accent="B", first=50)
    words = {need.name: need for need in find_needs(common + rare, sounds) if need.kind == "word"}
    assert words["two"].n_wrong == words["one"].n_wrong
    assert words["two"].weight == pytest.approx(4 * words["one"].weight)  # fourfold is the most
    unnamed = [Listening(item.said, item.heard, item.speaker) for item in common + rare]
    weights = {need.name: need.weight for need in find_needs(unnamed, sounds) if need.kind == "word"}
    assert weights["two"] == pytest.approx(weights["one"])
