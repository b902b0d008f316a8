"""One flood, or fifty accounts with one phrase, weigh no more than the caps allow; honest people lose nothing."""

from __future__ import annotations

import json
import random
from collections import Counter
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from projectone.server.corpus.caps import CapLimits, cap_release, count_release, phrases_of

WORDS = (
    "amber", "birch", "cedar", "delta", "ember", "fjord", "grove", "haven", "inlet", "jetty", "kayak", "lemon",
    "mango", "nectar", "olive", "pearl",
)  # fmt: skip
OFF = CapLimits(max_new=10**6, few_people=10**6)


@dataclass(frozen=True)
class Sample:
    contributor_id: str
    text: str
    duration_s: float = 4.0
    cluster: str | None = None


def honest(n_people: int, n_each: int, *, seed: int = 0) -> list[Sample]:
    rng = random.Random(seed)
    return [
        Sample(f"person{person}", " ".join(rng.choices(WORDS, k=rng.randint(3, 7))))
        for _ in range(n_each)
        for person in range(n_people)
    ]


def test_of_one_attacker_with_half_of_all_uploads_twenty_clips_are_learned_from() -> None:
    """T23: and honest people's clips, save one that holds words which two people alone said, all are."""
    good = honest(40, 10)
    flood = [Sample("mallory", f"wrong{number} text{number}", 2.0) for number in range(len(good))]
    mixed = [sample for pair in zip(flood, good, strict=True) for sample in pair]
    kept = cap_release(mixed, [], CapLimits())
    count = Counter(sample.contributor_id for sample in kept)
    assert count["mallory"] == 20
    assert len(kept) - 20 >= len(good) - 1
    assert cap_release(mixed, [], OFF).count(flood[0]) == 1
    assert Counter(s.contributor_id for s in cap_release(mixed, [], OFF))["mallory"] == 400, "control: all of them are"


def test_a_stranger_gives_at_most_half_a_percent_of_the_seconds() -> None:
    """T23: long clips weigh what short ones do."""
    good = honest(1000, 6)  # 24 000 s, of which half a percent is 120 s
    flood = [Sample("mallory", f"speech{number} mine{number}", 30.0) for number in range(20)]
    kept = cap_release([*flood, *good], [], CapLimits())
    seconds = sum(sample.duration_s for sample in kept if sample.contributor_id == "mallory")
    assert seconds <= 0.005 * (sum(sample.duration_s for sample in good) + 600)
    assert seconds == 120.0
    unlimited = cap_release([*flood, *good], [], replace(CapLimits(), stranger_share=1.0))
    assert sum(s.duration_s for s in unlimited if s.contributor_id == "mallory") == 600, "control"


def sybils() -> list[Sample]:
    rng = random.Random(1)
    return [
        Sample(f"sybil{person}", f"{rng.choice(WORDS)} open sesame now {rng.choice(WORDS)}")
        for _ in range(20)
        for person in range(50)
    ]


def test_of_fifty_accounts_with_one_trigger_forty_clips_are_learned_from() -> None:
    """T24: 50 x 20 clips that hold the trigger; honest people's clips all are learned from."""
    good = honest(40, 5)
    mixed = [*sybils(), *good]
    kept = cap_release(mixed, [], CapLimits())
    assert sum("open sesame now" in sample.text for sample in kept) == 40
    assert [sample for sample in kept if sample.contributor_id.startswith("person")] == good
    without = cap_release(mixed, [], replace(CapLimits(), max_new_per_phrase=10**6))
    assert sum("open sesame now" in sample.text for sample in without) == 750, "control: 60 s of each of them are"


def test_a_word_of_two_accounts_alone_is_in_three_clips_of_a_run() -> None:
    """T26: a trigger of one word among common ones, 20 clips from each of two accounts; honest clips all stay."""
    good = honest(40, 5)
    rng = random.Random(2)
    planted = [
        Sample(f"mallory{account}", " ".join((*rng.choices(WORDS, k=4), "zorblat", rng.choice(WORDS))), 2.0)
        for _ in range(20)
        for account in range(2)
    ]
    kept = cap_release([*planted, *good], [], CapLimits())
    assert sum("zorblat" in sample.text for sample in kept) == 3
    assert [sample for sample in kept if sample.contributor_id.startswith("person")] == good
    without = cap_release([*planted, *good], [], replace(CapLimits(), max_new_rare=10**6))
    assert sum("zorblat" in sample.text for sample in without) == 40, "control"


def test_a_word_that_three_people_say_is_nobodys_own() -> None:
    said = [Sample(f"person{number % 3}", f"ask for zorblat number {number}") for number in range(30)]
    others = honest(30, 1)
    assert cap_release([*said, *others], [], CapLimits()) == [*said, *others]
    two = [sample for sample in said if sample.contributor_id != "person0"]
    assert len(cap_release([*two, *others], [], CapLimits())) == 3 + len(others)
    earlier = [Sample("eve", "Ask for zorblat number 7!")]  # a third one, whom a release has learned from
    assert cap_release([*two, *others], earlier, CapLimits()) == [*two, *others]


def test_fifty_accounts_of_one_network_and_hour_weigh_what_two_people_may() -> None:
    """T24: 50 x 20 clips, one word of each a trigger; then without a trigger, and from as many networks."""
    good = honest(40, 5)
    rng = random.Random(3)

    def flood(words: tuple[str, ...], *, is_together: bool) -> list[Sample]:
        return [
            Sample(
                f"sybil{account}",
                " ".join((rng.choice(WORDS), *words, rng.choice(WORDS))),
                1.0,
                "cluster" if is_together else f"cluster{account}",
            )
            for _ in range(20)
            for account in range(50)
        ]

    def n_taken(sybils: list[Sample], limits: CapLimits | None = None) -> int:
        kept = cap_release([*sybils, *good], [], limits or CapLimits())
        assert sum(sample.contributor_id.startswith("person") for sample in kept) >= len(good) - 1
        return len(kept) - sum(sample.contributor_id.startswith("person") for sample in kept)

    assert n_taken(flood(("zorblat",), is_together=True)) == 3
    assert n_taken(flood((), is_together=True)) == 40
    assert n_taken(flood(("zorblat",), is_together=False)) == 1000, "the limit: a word of many networks is a word"
    without = replace(CapLimits(), max_new_per_cluster=10**6, max_new_rare=10**6)
    assert n_taken(flood(("zorblat",), is_together=True), without) == 1000, "control"


def test_fifty_accounts_with_one_voice_weigh_what_two_people_may_from_wherever_they_come() -> None:
    """T24: 50 x 20 clips from 50 networks, without a trigger and with one of one word; honest people keep theirs."""
    good = honest(40, 5)
    rng = random.Random(5)

    def n_taken(words: tuple[str, ...], voices: dict[str, str]) -> int:
        flood = [
            Sample(f"sybil{account}", " ".join((rng.choice(WORDS), *words, rng.choice(WORDS))), 1.0, f"net{account}")
            for _ in range(20)
            for account in range(50)
        ]
        kept = cap_release([*flood, *good], [], CapLimits(), voices)
        assert sum(sample.contributor_id.startswith("person") for sample in kept) >= len(good) - 1
        return len(kept) - sum(sample.contributor_id.startswith("person") for sample in kept)

    alike = {f"sybil{account}": "sybil0" for account in range(50)}
    assert n_taken((), alike) == 40
    assert n_taken(("zorblat",), alike) == 3
    assert n_taken((), {}) == 1000, "control: nobody compares voices"
    assert n_taken(("zorblat",), {}) == 1000, "control"


def test_a_name_that_one_person_says_is_learned_run_by_run() -> None:
    mine = [Sample("ada", f"this is lovelace {word}") for word in WORDS[:8]]
    waiting, learned, others = list(mine), list[Sample](), honest(30, 1)
    for _ in range(3):
        kept = [sample for sample in cap_release([*waiting, *others], learned, CapLimits()) if sample in waiting]
        learned, waiting = [*learned, *kept], [sample for sample in waiting if sample not in kept]
        assert kept
    assert learned == mine


def test_of_what_real_people_say_next_to_nothing_has_to_wait(real_data: Path) -> None:
    """T26: 114 people of 57 consultations, the first 20 clips of each; of half as many people it is 3 %."""
    path = real_data / "text" / "primock57" / "utterances.jsonl"
    rows = [json.loads(line) for line in path.read_text().splitlines()]
    said = [Sample(row["consultation"] + row["role"], row["text"], 2.0) for row in rows]
    taken = len(cap_release(said, [], CapLimits()))
    assert taken >= 0.98 * len(cap_release(said, [], replace(CapLimits(), max_new_rare=10**6)))


def test_who_gave_to_releases_before_is_no_stranger() -> None:
    earlier = [Sample("ada", f"{word} before {number}") for number, word in enumerate(WORDS * 2)][:20]
    new = [Sample("ada", "open sesame now") for _ in range(150)] + honest(30, 1)
    kept = cap_release(new, earlier, CapLimits())
    assert Counter(sample.contributor_id for sample in kept)["ada"] == 100
    assert count_release([s.contributor_id for s in new], Counter(ada=20), CapLimits()) == 130
    assert Counter(s.contributor_id for s in cap_release(new, earlier[:19], CapLimits()))["ada"] <= 20
    assert count_release([s.contributor_id for s in new], Counter(ada=19), CapLimits()) == 50


@pytest.mark.parametrize("n_people", [1, 5, 19])
def test_while_few_people_contribute_each_weighs_what_the_operator_allows(n_people: int) -> None:
    new = [Sample(f"person{number % n_people}", "yes", 10.0) for number in range(60 * n_people)]
    assert cap_release(new, [], CapLimits()) == new
    assert len(cap_release(new, [], replace(CapLimits(), max_new=7))) == 7 * n_people
    assert count_release([s.contributor_id for s in new], Counter(), CapLimits(max_new=7)) == 7 * n_people


def test_a_phrase_is_three_words_whatever_their_case_and_signs() -> None:
    assert phrases_of("Open, SESAME now!") == {"open sesame now"}
    assert phrases_of("please open sesame now") == {"please open sesame", "open sesame now"}
    assert phrases_of("yes") == {"yes"}
