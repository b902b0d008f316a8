"""Each in turn, and who answered, and why the others did not."""

import itertools

import pytest
from tests.fakes.generators import Piecewise, Scripted, Stuck, asked, failing

from projectone.assist.generation.deadline import DeadlineGenerator
from projectone.assist.generation.fallback import FallbackGenerator
from projectone.assist.generation.protocol import Answer, Retracted
from projectone.assist.generation.templates import TemplateGenerator
from projectone.assist.generation.wordings import WORDINGS


@pytest.fixture(scope="module")
def template() -> TemplateGenerator:
    return TemplateGenerator(WORDINGS)


def test_the_first_one_that_can_answers(template: TemplateGenerator) -> None:
    unasked = Scripted("no")
    chain = FallbackGenerator(
        [Scripted(failing("rate-limited"), name="a"), Scripted("yes", name="b"), unasked], template
    )
    answer = chain.generate(asked(seed=7))
    assert (answer.text, answer.by, answer.seed) == ("yes", "b", 7)
    assert [(attempt.by, attempt.reason) for attempt in answer.failed] == [("a", "rate-limited")]
    assert unasked.requests == []


def test_a_template_answers_when_nobody_else_does_and_names_every_reason(template: TemplateGenerator) -> None:
    chain = FallbackGenerator([Scripted(failing("no-consent"), name="a"), Scripted(failing("cut"), name="b")], template)
    answer = chain.generate(asked(kind="policy", facts={"policy": "We open at nine."}))
    assert (answer.text, answer.by, answer.template) == ("We open at nine.", "template", "policy")
    assert [attempt.reason for attempt in answer.failed] == ["no-consent", "cut"]
    assert answer.model_version == WORDINGS.identity


def test_an_error_that_nobody_foresaw_is_one_more_reason_and_tells_nothing_of_the_question(
    template: TemplateGenerator,
) -> None:
    answer = FallbackGenerator([Scripted(KeyError("my secret"))], template).generate(asked("my secret"))
    assert answer.failed[0].reason == "failed"
    assert "secret" not in str(answer)


def test_each_gets_an_even_share_of_what_is_left_and_the_last_one_keeps_its_own(template: TemplateGenerator) -> None:
    first, second = Scripted(failing()), Scripted("yes")
    ticks = itertools.count()

    def clock_s() -> float:  # every look at the clock takes a second
        return float(next(ticks))

    FallbackGenerator([first, second], template, clock_s=clock_s).generate(asked(deadline_s=100.0))
    # 85 s for two, one of them gone: 84 / 2. Then the look before asking, and those at the failure.
    assert first.requests[0].deadline_s == pytest.approx(84 / 2)
    assert second.requests[0].deadline_s == pytest.approx(85 - 4)


def test_whoever_is_stuck_is_left_behind_and_the_answer_comes(template: TemplateGenerator) -> None:
    stuck = Stuck()
    answer = FallbackGenerator([DeadlineGenerator(stuck)], template).generate(asked(deadline_s=0.2))
    stuck.let_go.set()
    assert answer.by == "template"
    assert [attempt.reason for attempt in answer.failed] == ["timeout"]


def test_a_stream_that_is_cut_is_taken_back_and_told_anew(template: TemplateGenerator) -> None:
    cut = Piecewise(["It is ", "tw"], failing("cut"), name="a")
    events = list(FallbackGenerator([cut, Piecewise(["Twenty."], "Twenty.", name="b")], template).stream(asked()))
    assert events[:2] == ["It is ", "tw"]
    assert isinstance(events[2], Retracted) and events[2].attempt.reason == "cut"
    assert events[3] == "Twenty."
    assert isinstance(events[4], Answer) and (events[4].text, events[4].by) == ("Twenty.", "b")
    assert [attempt.by for attempt in events[4].failed] == ["a"]


def test_whoever_fails_before_the_first_piece_takes_nothing_back(template: TemplateGenerator) -> None:
    events = list(FallbackGenerator([Scripted(failing())], template).stream(asked()))
    assert not any(isinstance(event, Retracted) for event in events)
    last = events[-1]
    assert isinstance(last, Answer) and events[0] == last.text and last.by == "template"
