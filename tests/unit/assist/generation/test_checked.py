"""An answer is read before it is shown."""

from __future__ import annotations

from collections.abc import Mapping

import pytest
from tests.fakes.generators import Piecewise, Scripted, asked

from projectone.assist.generation.checked import CheckedGenerator
from projectone.assist.generation.fallback import FallbackGenerator
from projectone.assist.generation.protocol import Answer, GenerationError, Generator
from projectone.assist.generation.templates import TemplateGenerator
from projectone.assist.generation.wordings import WORDINGS

FACTS = {"policy": "The warranty lasts 24 months."}


def rude(text: str) -> bool:
    return "fool" in text


def reason(generator: Generator, facts: Mapping[str, str] | None = None) -> str:
    with pytest.raises(GenerationError) as caught:
        generator.generate(asked(facts=facts or {}))
    assert "fool" not in str(caught.value)
    assert "36" not in str(caught.value)
    return caught.value.reason


def test_what_raises_the_alarm_or_is_in_no_fact_is_not_passed_on() -> None:
    assert reason(CheckedGenerator(Scripted("you fool"), rude)) == "unsafe"
    assert reason(CheckedGenerator(Scripted("It lasts 36 months."), None), FACTS) == "ungrounded"
    said = CheckedGenerator(Scripted("It lasts 24 months."), rude).generate(asked(facts=FACTS))
    assert said.text == "It lasts 24 months."
    assert (
        CheckedGenerator(Scripted("36 months."), rude).generate(asked()).text == "36 months."
    )  # nothing to look up in


def test_the_next_in_the_chain_answers_in_its_place_and_the_answer_says_why() -> None:
    links: list[Generator] = [
        CheckedGenerator(Scripted("you fool", name="local"), rude),
        CheckedGenerator(Scripted("It lasts 36 months.", name="hosted"), rude),
    ]
    answer = FallbackGenerator(links, TemplateGenerator(WORDINGS)).generate(asked(kind="policy", facts=FACTS))
    assert answer.text == FACTS["policy"]
    assert [(attempt.by, attempt.reason) for attempt in answer.failed] == [
        ("local", "unsafe"),
        ("hosted", "ungrounded"),
    ]


def test_a_stream_is_held_back_only_where_something_is_to_be_checked() -> None:
    pieces = ["you ", "fool"]
    free = list(CheckedGenerator(Piecewise(pieces, "you fool"), None).stream(asked()))
    assert free[:2] == pieces
    shown: list[object] = []
    with pytest.raises(GenerationError, match="alarm"):
        shown.extend(CheckedGenerator(Piecewise(pieces, "you fool"), rude).stream(asked()))
    assert shown == []
    whole = list(CheckedGenerator(Piecewise(["It lasts ", "24 months."], "It lasts 24 months."), rude).stream(asked()))
    assert whole[0] == "It lasts 24 months."
    assert isinstance(whole[1], Answer)
