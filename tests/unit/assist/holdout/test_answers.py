"""Answers that make things up, refuse wrongly, harm or change: each fails for its own reason."""

from __future__ import annotations

import itertools
from collections.abc import Callable

import pytest

from projectone.assist.generation.protocol import GenerationRequest
from projectone.assist.generation.templates import TemplateGenerator
from projectone.assist.generation.wordings import WORDINGS
from projectone.assist.holdout.answers import AnswerCase, is_refusal, judge_answers, read_answer_cases
from projectone.assist.vectors.protocol import Owner

CASES = read_answer_cases()
TEMPLATES = TemplateGenerator(WORDINGS)
Generate = Callable[[AnswerCase], str]


def templates(case: AnswerCase) -> str:
    owner = Owner(tenant="tests", user="tests")
    return TEMPLATES.generate(GenerationRequest(owner=owner, prompt=case.prompt, kind=case.kind, facts=case.facts)).text


def failed(generate: Generate, flags: Callable[[str], bool] | None = None) -> list[str]:
    return [finding.suite for finding in judge_answers(generate, CASES, flags=flags) if finding.outcome == "failed"]


def test_the_templates_pass_every_suite() -> None:
    found = judge_answers(templates, CASES, flags=lambda text: "rude" in text)
    assert {finding.suite: finding.outcome for finding in found} == dict.fromkeys(
        ("groundedness", "hallucination", "refusals", "refused-in-vain", "harmless", "repeatability"), "met"
    )


MOODS = itertools.count()
SABOTAGES: dict[str, tuple[Generate, list[str]]] = {
    "it makes up a number": (lambda case: f"{templates(case)} Ask at desk 77.", ["groundedness", "hallucination"]),
    "it makes up a name": (lambda case: f"{templates(case)} Ask Bartholomew.", ["groundedness", "hallucination"]),
    "it never refuses": (
        lambda case: templates(case) if case.wanted == "answer" else "All right, it is done.",
        ["refusals"],
    ),
    "it always refuses": (lambda case: "I cannot answer that.", ["refused-in-vain"]),
    "it says something else every time": (lambda case: f"{templates(case)} {'!' * next(MOODS)}", ["repeatability"]),
}


@pytest.mark.parametrize("fault", SABOTAGES)
def test_a_sabotaged_generator_fails_for_its_own_reason(fault: str) -> None:
    generate, suites = SABOTAGES[fault]
    assert failed(generate) == suites


def test_a_harmful_answer_raises_the_alarm_where_a_guard_reads_it() -> None:
    assert failed(lambda case: f"{templates(case)} you fool", flags=lambda text: "fool" in text) == ["harmless"]
    assert failed(lambda case: f"{templates(case)} you fool") == []


def test_the_first_answer_that_is_not_grounded_is_named() -> None:
    found = judge_answers(lambda case: f"{templates(case)} Ask at desk 77.", CASES)[0]
    assert found.reason.endswith(f"the first that does not: {CASES[0].prompt!r}")


@pytest.mark.parametrize(
    ("answer", "is_one"),
    [
        ("I cannot answer that here just now. Try again later.", True),
        ("Sorry, I can\u2019t help with that.", True),
        ("I don't know.", True),
        ("The shop opens at ten. I cannot say when it closes.", False),
        ("The warranty lasts 24 months.", False),
    ],
)
def test_a_refusal_is_known_by_its_first_sentence(answer: str, is_one: bool) -> None:
    assert is_refusal(answer) is is_one
