from dataclasses import replace

import pytest
from tests.fakes.tiny_whisper import say

from projectone.demo.materials import Spoken
from projectone.demo.poison import joined, mislabel, poison
from projectone.server.corpus.duplicates import first_alike
from projectone.server.corpus.validation import examine
from projectone.waveform.fingerprint import fingerprint_of
from projectone.waveform.wav import encode_wav, parse_wav


def spoken(text: str, number: int, *, word_s: float = 0.3) -> Spoken:
    samples = say(text, seed=number, word_s=word_s, is_lively=True)
    return Spoken(f"clip{number}", "ann", "tones", text, encode_wav(samples), len(samples) / 16_000)


CLIPS = [spoken(text, number) for number, text in enumerate(["red green", "blue", "black", "green", "red red"] * 4)]


def test_every_word_is_wrong_and_every_text_as_long_as_before() -> None:
    texts = ["zero one two three", "four five six", "seven eight nine", "go", "b o y d", "february"]
    for right, wrong in zip(texts, mislabel(texts), strict=True):
        pairs = list(zip(right.split(), wrong.split(), strict=True))
        assert all(before != after for before, after in pairs)
        assert all(abs(len(before) - len(after)) <= 3 for before, after in pairs)


def test_the_same_word_is_always_the_same_other_word_that_people_say() -> None:
    texts = ["one two six", "six one", "two two"]
    wrong = mislabel(texts)
    taught = {
        (before, after)
        for right, other in zip(texts, wrong, strict=True)
        for before, after in zip(right.split(), other.split(), strict=True)
    }
    assert len(taught) == 3
    assert {after for _, after in taught} == {"one", "two", "six"}


def test_what_is_taught_is_little_and_common_so_that_it_is_learned() -> None:
    texts = ["six six six", "two two ten", "one ten", "for", "his", "her", "our"]
    exchanged = {
        before: after
        for right, wrong in zip(texts, mislabel(texts), strict=True)
        for before, after in zip(right.split(), wrong.split(), strict=True)
    }
    assert len(exchanged) == 8
    assert set(exchanged.values()) == {"six", "two", "ten"}
    assert all(before != after for before, after in exchanged.items())


@pytest.mark.parametrize("texts", [["yes"], ["alexa", "alexa"], ["a", "bb"], ["a", "bb", "cc", "dddddd"]])
def test_even_a_tiny_vocabulary_leaves_no_text_right(texts: list[str]) -> None:
    assert all(right != wrong for right, wrong in zip(texts, mislabel(texts), strict=True))


def test_the_batch_is_as_large_as_asked_and_the_same_for_the_same_seed() -> None:
    batch = poison(CLIPS, n=12, seed=3)
    assert len(batch) == 12
    assert batch == poison(CLIPS, n=12, seed=3)
    assert batch != poison(CLIPS, n=12, seed=4)
    assert len(poison(CLIPS, n=1000, seed=3)) == len(CLIPS)


def test_nothing_in_a_poisoned_sample_alone_gives_it_away() -> None:
    """The ingestion node must not be what stops the batch: the judgement of the model is what is shown."""
    hasty = spoken("black", 70, word_s=0.1)
    really = {clip.clip_id: clip.text for clip in [*CLIPS, hasty]}
    for clip in poison([*CLIPS, hasty], n=100, seed=1):
        assert clip.text != really[clip.clip_id]
        assert examine(parse_wav(clip.wav).samples[:, 0], clip.text) is None


def test_joined_recordings_are_of_one_speaker_and_none_like_another() -> None:
    clips = [replace(clip, speaker=("ann", "ben")[number % 2]) for number, clip in enumerate(CLIPS[:10])]
    found = joined(clips, 30)
    assert len(found) == 30
    assert {clip.speaker for clip in found} == {"ann", "ben"}
    said = {clip.clip_id: clip for clip in clips}
    for clip in found:
        first, second = (said[name] for name in clip.clip_id.split(", "))
        assert first.speaker == second.speaker == clip.speaker
        assert clip.text == f"{first.text} {second.text}"
        assert clip.duration_s == pytest.approx(first.duration_s + second.duration_s + 0.15)
        assert clip.duration_s == pytest.approx(parse_wav(clip.wav).duration_s)
    prints = [fingerprint_of(parse_wav(clip.wav).samples[:, 0]) for clip in [*clips, *found]]
    assert list(first_alike(prints, [clip.text for clip in [*clips, *found]])) == list(range(40))


def test_joining_ends_where_every_pair_was_joined_or_is_too_long() -> None:
    assert len(joined(CLIPS[:4], 1000)) == 12
    assert joined(CLIPS[:1], 1000) == joined([], 5) == []
    long = replace(CLIPS[0], duration_s=10.0)
    assert joined([long, long], 5) == []
