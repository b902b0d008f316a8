"""What takes long to load is loaded once, and nobody waits for it forever."""

import threading

import pytest
from tests.fakes.generators import Piecewise, Scripted, asked, failing

from projectone.assist.generation.prepared import PreparedGenerator
from projectone.assist.generation.protocol import GenerationError


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


def test_nobody_waits_for_it_forever_and_who_comes_later_finds_it_loaded() -> None:
    let_go = threading.Event()
    inner = Scripted("yes")
    impatient = PreparedGenerator(inner, let_go.wait, patience_s=0.01)
    with pytest.raises(GenerationError) as caught:
        impatient.generate(asked())
    assert (caught.value.reason, inner.requests) == ("busy", [])
    let_go.set()
    impatient._is_ready.wait()
    assert impatient.generate(asked()).text == "yes"


def test_what_goes_wrong_in_it_is_told_by_whoever_is_asked() -> None:
    def broken() -> None:
        raise OSError("no such folder")

    with pytest.raises(GenerationError) as caught:
        PreparedGenerator(Scripted(failing("failed")), broken).generate(asked())
    assert caught.value.reason == "failed"
