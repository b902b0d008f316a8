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
from projectone.assist.holdout.answers import read_answer_cases

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


def test_no_number_that_was_changed_is_shown_and_without_the_check_each_is() -> None:
    """T29: every digit of 24 grounded answers, changed one at a time."""
    shown = {True: 0, False: 0}
    n_changed = 0
    for case in read_answer_cases():
        fact = " ".join(case.facts.values())
        for place, digit in enumerate(fact):
            if not digit.isdigit():
                continue
            changed = fact[:place] + str((int(digit) + 1) % 10 or 7) + fact[place + 1 :]
            n_changed += 1
            request = asked(case.prompt, kind=case.kind, facts=case.facts)
            for is_checked in (True, False):
                made_up: Generator = Scripted(changed)
                link = CheckedGenerator(made_up, None) if is_checked else made_up
                answer = FallbackGenerator([link], TemplateGenerator(WORDINGS)).generate(request)
                shown[is_checked] += answer.text == changed
    assert n_changed > 40
    assert shown == {True: 0, False: n_changed}
