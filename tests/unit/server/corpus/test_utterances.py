"""Corrected intents among each other: what teaches twice, what people disagree on, how much a crowd weighs."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import pytest

from projectone.contracts.assist import NONE_OF_THESE
from projectone.server.corpus import utterances
from projectone.server.corpus.caps import CapLimits
from projectone.server.corpus.utterances import cap_intents, check_utterance, disputed, said_in, same_sentences

START = datetime(2026, 11, 22, tzinfo=UTC)
LABELS = {"weather", "timer"}
NO_CAPS = CapLimits(max_new=10**6, few_people=10**6)


@dataclass(frozen=True)
class Said:
    sample_id: str
    contributor_id: str
    text: str
    sentence: str
    is_new: bool = True
    cluster: str | None = None
    recorded_at: datetime = START
    recording_sha256: str = ""
    duration_s: float = 0.0


def said(*rows: tuple[str, str, str], is_new: bool = True) -> list[Said]:
    """Person, sentence and label of each, a minute apart."""
    return [
        Said(f"{number}", person, label, sentence, is_new, recorded_at=START + timedelta(minutes=number))
        for number, (person, sentence, label) in enumerate(rows)
    ]


def sentences(samples: Sequence[Said]) -> list[str]:
    return [sample.sentence for sample in samples]


@pytest.mark.parametrize(
    ("sentence", "target", "expected"),
    [
        ("how warm is it", "weather", (None, ())),
        ("what is love", NONE_OF_THESE, (None, ())),
        ("how warm is it", "missiles", ("label-unknown", ())),
        ("w" * 501, "weather", ("text-too-long", ())),
        ("a\u202eb", "weather", ("text-characters", ())),
        ("call me at four one two five five five one two one two", "timer", (None, ("personal-phone",))),
        ("how w\u0430rm is it", "weather", (None, ("foreign-letters",))),
    ],
)
def test_a_sentence_is_sound_or_has_its_reason(
    sentence: str, target: str, expected: tuple[str | None, tuple[str, ...]]
) -> None:
    found = check_utterance(sentence, target, labels=LABELS)
    assert (found.discard, found.hold) == expected


def test_what_a_classifier_had_right_is_counted_and_nothing_against_it() -> None:
    assert check_utterance("how warm", "weather", labels=LABELS, guess="weather").measures["is_confirmed"] == 1.0
    assert check_utterance("how warm", "weather", labels=LABELS, guess="timer").measures["is_confirmed"] == 0.0
    assert "is_confirmed" not in check_utterance("how warm", "weather", labels=LABELS).measures


def test_a_sentence_teaches_once_and_a_persons_newest_label_counts() -> None:
    samples = said(
        ("ada", "How warm is it?", "timer"),
        ("ada", "how warm is it", "weather"),
        ("bob", "how warm is it!", "weather"),
        ("cyd", "set a timer", "timer"),
    )
    copies = same_sentences(samples, sentences(samples))
    assert {key: (copy.reason, copy.original) for key, copy in copies.items()} == {
        "0": ("superseded", "1"),
        "2": ("near-duplicate", "1"),
    }


def test_what_was_learned_from_stays_and_the_new_one_is_the_copy() -> None:
    new, old = said(("bob", "how warm", "weather"))[0], said(("ada", "how warm", "weather"), is_new=False)[0]
    old = Said("old", "ada", "weather", "how warm", is_new=False, recorded_at=old.recorded_at)
    assert {k: c.original for k, c in same_sentences([new, old], sentences([new, old])).items()} == {"0": "old"}


def test_where_people_disagree_all_of_them_wait_for_a_person() -> None:
    samples = said(("ada", "how warm", "weather"), ("bob", "how warm", "timer"), ("cyd", "set a timer", "timer"))
    assert disputed(samples, sentences(samples)) == {"0": "label-conflict", "1": "label-conflict"}
    assert same_sentences(samples, sentences(samples)) == {}


def test_one_stranger_cannot_stop_what_three_agree_on() -> None:
    rows = [(person, "how warm", "weather") for person in ("ada", "bob", "cyd")]
    samples = said(*rows, ("mallory", "how warm", "timer"))
    assert disputed(samples, sentences(samples)) == {"3": "label-conflict"}


def test_accounts_that_became_known_together_are_one_voice() -> None:
    crowd = [
        Said(f"m{n}", f"mallory{n}", "timer", "how warm", cluster="one network", recorded_at=START) for n in range(9)
    ]
    honest = [Said("a", "ada", "weather", "how warm")]
    found = disputed([*honest, *crowd], sentences([*honest, *crowd]))
    assert found.keys() == {"a", *(f"m{n}" for n in range(9))}, "nobody is a clear minority"
    strangers = [Said(one.sample_id, one.contributor_id, one.text, one.sentence) for one in crowd]
    control = disputed([*honest, *strangers], sentences([*honest, *strangers]))
    assert control.keys() == {"a"}, "control: nine who came apart outvote one"


def test_what_was_learned_from_before_is_not_held_again() -> None:
    old = Said("old", "ada", "weather", "how warm", is_new=False)
    new = Said("new", "bob", "timer", "how warm")
    assert disputed([old, new], sentences([old, new])) == {"new": "label-conflict"}


def test_sentences_of_the_golden_set_are_found_whatever_their_signs() -> None:
    samples = said(("ada", "How WARM, is it?!", "weather"), ("bob", "how cold is it", "weather"))
    assert said_in(samples, sentences(samples), ["how warm is it"]) == {"0"}


def honest_people(n_people: int) -> list[Said]:
    rng = random.Random(0)
    words = [f"{first}{last}" for first in ("am", "ce", "el", "fjo") for last in ("ber", "dar", "ta", "rd")]
    return [
        Said(f"h{person}-{turn}", f"person{person}", f"label{rng.randrange(30)}", " ".join(rng.choices(words, k=5)))
        for turn in range(5)
        for person in range(n_people)
    ]


@pytest.mark.parametrize("limits", [CapLimits(), NO_CAPS])
def test_a_crowd_of_strangers_cannot_make_up_a_label_or_plant_a_phrase(limits: CapLimits) -> None:
    """T23, T24: fifty accounts, twenty sentences each, one label or one phrase; honest people lose next to nothing."""
    good = honest_people(40)
    flood = [Said(f"f{a}-{n}", f"sybil{a}", "pay_mallory", f"word{a}x{n} again") for a in range(50) for n in range(20)]
    phrase = [
        Said(f"p{a}-{n}", f"other{a}", "label0", f"open sesame now {a} {n}") for a in range(50) for n in range(20)
    ]
    everything = [*good, *flood, *phrase]
    kept = cap_intents(everything, [], {one.sample_id: one.sentence for one in everything}, limits)
    count = Counter(one.sample_id[0] for one in kept)
    if limits is NO_CAPS:
        assert count == {"h": 200, "f": 1000, "p": 1000}, "control: without limits all of it is learned"
    else:
        assert count["f"] <= 40 and count["p"] <= 40
        assert count["h"] >= 190


def test_without_the_limit_on_sentences_a_phrase_is_planted(monkeypatch: pytest.MonkeyPatch) -> None:
    """Control: the limits on labels alone let a phrase through that many people's labels carry."""
    good = honest_people(40)
    phrase = [Said(f"p{a}", f"other{a}", f"label{a % 30}", f"open sesame now {a}") for a in range(200)]
    everything = [*good, *phrase]
    texts = {one.sample_id: one.sentence for one in everything}
    kept = cap_intents(everything, [], texts, CapLimits())
    assert sum(one.sample_id[0] == "p" for one in kept) <= 40
    hidden = {one.sample_id: one.sample_id for one in everything}
    control = cap_intents(everything, [], hidden, CapLimits(max_new_rare=10**6))
    assert sum(one.sample_id[0] == "p" for one in control) > 40


def test_the_margin_is_what_decides(monkeypatch: pytest.MonkeyPatch) -> None:
    rows = [(person, "how warm", "weather") for person in ("ada", "bob", "cyd")]
    samples = said(*rows, ("mallory", "how warm", "timer"), ("mal", "how warm", "timer"))
    assert len(disputed(samples, sentences(samples))) == 5, "three against two is no clear majority"
    monkeypatch.setattr(utterances, "_MARGIN", 1)
    assert len(disputed(samples, sentences(samples))) == 2
