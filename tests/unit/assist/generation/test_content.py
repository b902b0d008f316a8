"""What may share an answer, and what must not: in doubt it must not."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from projectone.assist.generation.cache import content_of

PAIRS = Path(__file__).parents[3] / "data" / "cache_pairs.jsonl"


@pytest.fixture(scope="module")
def pairs() -> list[dict[str, Any]]:
    return [json.loads(line) for line in PAIRS.read_text().splitlines()]


@pytest.mark.parametrize("which", ["tuned", "held_out"])
def test_no_pair_that_says_something_else_shares_an_answer(pairs: list[dict[str, Any]], which: str) -> None:
    negative = [pair for pair in pairs if pair["set"] == which and not pair["is_same"]]
    assert len(negative) >= 500
    assert [pair for pair in negative if content_of(pair["a"]) == content_of(pair["b"])] == []


def test_what_is_written_said_or_recognised_otherwise_does(pairs: list[dict[str, Any]]) -> None:
    positive = [pair for pair in pairs if pair["is_same"] and pair["kind"] != "reworded"]
    assert len(positive) >= 700
    missed = [pair for pair in positive if content_of(pair["a"]) != content_of(pair["b"])]
    assert len(missed) <= len(positive) // 100


def test_a_bag_of_words_would_be_wrong(pairs: list[dict[str, Any]]) -> None:
    """The control: the same words without their order."""
    orders = [pair for pair in pairs if pair["kind"] == "order"]
    wrong = [pair for pair in orders if sorted(content_of(pair["a"])) == sorted(content_of(pair["b"]))]
    assert len(wrong) > 100


def test_a_sign_that_makes_another_question_counts(pairs: list[dict[str, Any]]) -> None:
    signs = [(pair["a"], pair["b"]) for pair in pairs if pair["kind"] == "sign"]
    assert len(signs) >= 20
    assert [(a, b) for a, b in signs if content_of(a) == content_of(b)] == []


POLARITY = [
    ("Can I eat this while pregnant?", "Can't I eat this while pregnant?"),
    ("Is it safe to mix these?", "Is it unsafe to mix these?"),
    ("Turn the heating on", "Turn the heating off"),
    ("What helps against fever?", "What helps a fever?"),
    ("transfer 50 from savings to checking", "transfer 50 from checking to savings"),
    ("how do you say please", "how do you say thanks"),
    ("who sang hello", "who sang thank you"),
    ("hey jude lyrics", "hi jude lyrics"),
    ("what is 2*(3+4)", "what is 2*3+4"),
    ("what is -5 plus 3", "what is 5 plus 3"),
    ("what is 1.5 of 10", "what is 15 of 10"),
    ("it is raining?", "it is raining"),
    ("set it to twenty five", "set it to twenty"),
    ("is the meeting at 9 am", "is the meeting at 9 pm"),
    ("tell me a story", "tell me the story"),
    ("no, stop", "no stop"),
    ("does ana owe ben money", "does ben owe ana money"),
    ("can you speak french", "speak french"),
    ("is 5 < 6", "is 5 > 6"),
    ("was ist das", "was ist der"),
]


@pytest.mark.parametrize(("a", "b"), POLARITY)
def test_opposites_never_share_an_answer(a: str, b: str) -> None:
    assert content_of(a) != content_of(b)


SAME = [
    ("What\u2019s the weather in Paris?", "what is the weather in paris"),
    ("Could you please turn on the light.", "please turn on the light"),
    ("don't call me", "Do not call me!"),
    ("twenty-five times four", "25 times 4"),
    ("Hello, what is up?", "what is up"),
    ("how   warm\nis it", "How warm is it?"),
    ("is the meeting at 5 PM?", "is the meeting at 5 pm"),
    ("What is 5! please", "what is 5!"),
    ("what is 5, please!", "What is 5?"),
    ("Stop!!", "stop"),
    ("play 50 Shades", "Play 50 shades"),
    ("TWENTY-FIVE times four", "twenty five times 4"),
    ("Caf\u00e9s near me", "cafe\u0301s near me"),
    ("speak up, please please", "speak up"),
    ("define the meaning of life please", "define the meaning of life"),
]


@pytest.mark.parametrize(("a", "b"), SAME)
def test_what_differs_in_nothing_that_matters_does(a: str, b: str) -> None:
    assert content_of(a) == content_of(b) != ()


@pytest.mark.parametrize("text", ["please", "?!", "hi, please", ""])
def test_politeness_alone_says_nothing(text: str) -> None:
    assert content_of(text) == ()


@given(st.text(max_size=60))
def test_any_text_has_a_content_that_does_not_change(text: str) -> None:
    content = content_of(text)
    assert content_of(f"  {text} ") == content
    assert all(content)


@given(
    st.lists(st.sampled_from(["turn", "on", "off", "not", "the", "5", "six", "my"]), min_size=1, max_size=6), st.data()
)
def test_another_word_in_any_place_is_another_content(words: list[str], data: st.DataObject) -> None:
    place = data.draw(st.integers(0, len(words) - 1))
    other = [*words[:place], "kitchen", *words[place + 1 :]]
    assert content_of(" ".join(words)) != content_of(" ".join(other))
