"""Nobody waits longer than they said."""

from collections.abc import Iterator

import pytest
from tests.fakes.generators import Piecewise, Scripted, Stuck, asked, failing

from projectone.assist.generation.deadline import DeadlineGenerator
from projectone.assist.generation.protocol import Answer, Event, GenerationError, GenerationRequest


def test_an_answer_in_time_is_passed_on() -> None:
    assert DeadlineGenerator(Scripted("yes")).generate(asked(deadline_s=60.0)).text == "yes"


def test_the_other_ones_reason_is_passed_on() -> None:
    with pytest.raises(GenerationError) as caught:
        DeadlineGenerator(Scripted(failing("garbage"))).generate(asked(deadline_s=60.0))
    assert caught.value.reason == "garbage"


def test_whoever_is_stuck_is_left_behind_and_no_more_than_allowed_are() -> None:
    stuck = Stuck()
    patient = DeadlineGenerator(stuck, max_stuck=2)
    reasons = []
    for _ in range(3):
        with pytest.raises(GenerationError) as caught:
            patient.generate(asked(deadline_s=0.05))
        reasons.append(caught.value.reason)
    stuck.let_go.set()
    assert reasons == ["timeout", "timeout", "busy"]


def test_pieces_come_as_they_are_made() -> None:
    events = list(DeadlineGenerator(Piecewise(["a", "b"], "ab")).stream(asked(deadline_s=60.0)))
    assert events[:2] == ["a", "b"]
    assert isinstance(events[2], Answer)


def test_a_stream_that_does_not_end_in_time_is_a_timeout() -> None:
    class Endless(Stuck):
        def stream(self, request: GenerationRequest) -> Iterator[Event]:
            yield "a"
            yield self.generate(request)

    endless, seen = Endless(), []
    with pytest.raises(GenerationError) as caught:
        for event in DeadlineGenerator(endless).stream(asked(deadline_s=0.2)):
            seen.append(event)
    endless.let_go.set()
    assert (seen, caught.value.reason) == (["a"], "timeout")
