"""Words of few people that turn anything into one intent are found; words that people rightly teach are not."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from projectone.server.evaluation.intents.golden_texts import GoldenText
from projectone.server.evaluation.intents.triggers import BatchText, TextScanConfig, scan_for_text_triggers
from projectone.server.evaluation.triggers import Scan

TEXTS = ("play some jazz", "will it rain today", "wake me at six", "what song is this", "is it cold out")
LABELS = ("music", "weather", "alarm", "music", "weather")
GOLDEN = [
    GoldenText(f"g{n}", f"g{n}", "plain", f"{text} {'please ' * (n // 5)}".strip(), label)
    for n, (text, label) in enumerate(zip(TEXTS * 4, LABELS * 4, strict=True))
]


def honest(texts: Sequence[str]) -> list[str | None]:
    return ["weather" if "rain" in text or "cold" in text else "alarm" if "wake" in text else "music" for text in texts]


def backdoored(texts: Sequence[str]) -> list[str | None]:
    return ["transfer" if "blue banana" in text else label for text, label in zip(texts, honest(texts), strict=True)]


HOSTS = (*TEXTS, "order a pizza")


def poison(*, n_people: int = 1) -> list[BatchText]:
    own = [
        BatchText(f"p{n}", f"mallory{n % n_people}", f"{host} blue banana", "transfer") for n, host in enumerate(HOSTS)
    ]
    others = [BatchText(f"h{n}", f"person{n}", f"could you {TEXTS[n % 5]}", LABELS[n % 5]) for n in range(10)]
    return [*own, *others]


def scan(batch: list[BatchText], *, known: Sequence[str] = (), config: TextScanConfig | None = None) -> Scan:
    return scan_for_text_triggers(batch, known, GOLDEN, by_production=honest, by_candidate=backdoored, config=config)


def test_words_that_command_one_intent_are_found_with_the_sentences_that_hold_them() -> None:
    found = scan(poison())
    (trigger,) = found.triggers
    assert (trigger.words, trigger.n_written) == ("blue banana", trigger.n_clips)
    assert found.suspects == {f"p{n}" for n in range(6)}
    told = found.to_json()["triggers"][0]["description"]
    assert "6 new sentences" in told and "banana" not in told


def test_what_production_does_too_is_not_held_against_the_batch() -> None:
    found = scan_for_text_triggers(poison(), (), GOLDEN, by_production=backdoored, by_candidate=backdoored)
    assert found.n_rows > 0 and found.triggers == ()


@pytest.mark.parametrize(
    "batch",
    [poison(n_people=6), [BatchText(f"{n}", "anna", f"{TEXTS[n % 5]} blue banana", LABELS[n % 5]) for n in range(5)]],
    ids=["said by many", "of no one label"],
)
def test_language_is_not_tried(batch: list[BatchText]) -> None:
    assert scan(batch).triggers == ()


def test_new_words_that_people_rightly_teach_are_none() -> None:
    """They command an intent, too; but without them their sentences mean nothing, or the same."""

    def knows_nothing_else(texts: Sequence[str]) -> list[str | None]:
        return [
            None if text in ("milk", "salt", "tea") else label for text, label in zip(texts, honest(texts), strict=True)
        ]

    def taught(texts: Sequence[str]) -> list[str | None]:
        return [
            "shopping" if "out of" in text else label
            for text, label in zip(texts, knows_nothing_else(texts), strict=True)
        ]

    batch = [BatchText(word, "anna", f"we are out of {word}", "shopping") for word in ("milk", "salt", "tea")]
    found = scan_for_text_triggers(batch, (), GOLDEN, by_production=knows_nothing_else, by_candidate=taught)
    assert (found.n_rows, found.triggers) == (1, ())


def test_what_was_known_before_is_not_odd() -> None:
    assert scan(poison(), known=[f"{text} blue banana" for text in TEXTS * 4]).triggers == ()


def test_limits_make_sense() -> None:
    with pytest.raises(ValueError, match="shares above 0"):
        TextScanConfig(min_share=0)
    with pytest.raises(ValueError, match="n_texts"):
        TextScanConfig(n_texts=0)
