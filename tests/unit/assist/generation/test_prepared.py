"""What takes long to load is loaded once, and nobody waits for it longer than they said."""

import threading
import time

import pytest
from tests.fakes.generators import Piecewise, Scripted, asked, failing

from projectone.assist.generation.fallback import FallbackGenerator
from projectone.assist.generation.prepared import PreparedGenerator
from projectone.assist.generation.protocol import Answer, GenerationError
from projectone.assist.generation.templates import TemplateGenerator
from projectone.assist.generation.wordings import WORDINGS


def test_it_is_loaded_once_before_the_first_request() -> None:
    order: list[str] = []
    inner = Scripted("yes")
    prepared = PreparedGenerator(inner, lambda: order.append(f"{len(inner.requests)} asked before"))
    for _ in range(2):
        assert prepared.generate(asked()).text == "yes"
    assert order == ["0 asked before"]


def test_a_stream_waits_for_it_too() -> None:
    order: list[str] = []
    assert next(PreparedGenerator(Piecewise(["a"], "a"), lambda: order.append("x")).stream(asked())) == "a"
    assert order == ["x"]


def test_the_first_one_waits_within_its_own_time_and_who_comes_later_finds_it_loaded() -> None:
    let_go = threading.Event()
    inner = Scripted("yes")
    prepared = PreparedGenerator(inner, let_go.wait)
    with pytest.raises(GenerationError) as caught:
        prepared.generate(asked(deadline_s=0.01))
    assert (caught.value.reason, inner.requests) == ("busy", [])
    let_go.set()
    assert prepared.prepare(wait_s=60)
    assert prepared.generate(asked()).text == "yes"


def test_what_was_waited_is_no_longer_there_for_whoever_is_asked() -> None:
    inner = Scripted("yes")
    PreparedGenerator(inner, lambda: time.sleep(0.2)).generate(asked(deadline_s=30.0))
    (request,) = inner.requests
    assert 0 < request.deadline_s <= 29.8


@pytest.mark.parametrize("is_streamed", [False, True])
def test_the_first_question_of_a_process_is_answered_in_time_by_a_template_that_says_why(is_streamed: bool) -> None:
    let_go = threading.Event()
    slow = PreparedGenerator(Scripted("from the model", name="local"), let_go.wait)
    chain = FallbackGenerator([slow], TemplateGenerator(WORDINGS))
    request, begun_s = asked(deadline_s=0.5), time.monotonic()
    answer = list(chain.stream(request))[-1] if is_streamed else chain.generate(request)
    assert isinstance(answer, Answer)
    assert time.monotonic() - begun_s < 0.5 and answer.by == "template"
    assert [(one.by, one.reason) for one in answer.failed] == [("local", "busy")]
    let_go.set()
    assert slow.prepare(wait_s=60) and chain.generate(asked(deadline_s=60)).text == "from the model"


def test_what_goes_wrong_in_it_is_told_by_whoever_is_asked() -> None:
    def broken() -> None:
        raise OSError("no such folder")

    with pytest.raises(GenerationError) as caught:
        PreparedGenerator(Scripted(failing("failed")), broken).generate(asked())
    assert caught.value.reason == "failed"
