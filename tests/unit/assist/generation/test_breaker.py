"""Who failed several times in a row is left alone for a while."""

import pytest
from tests.fakes.generators import Piecewise, Scripted, asked, failing

from projectone.assist.generation.breaker import BreakerGenerator
from projectone.assist.generation.protocol import Answer, GenerationError, GenerationRequest


class Clock:
    now_s = 0.0

    def __call__(self) -> float:
        return self.now_s


def reason_of(breaker: BreakerGenerator) -> str:
    try:
        return breaker.generate(asked()).text
    except GenerationError as error:
        return error.reason
    except KeyError:
        return "KeyError"


def test_three_failures_in_a_row_open_it_and_a_trial_closes_it() -> None:
    clock, inner = Clock(), Scripted(failing(), failing(), failing(), "well again")
    breaker = BreakerGenerator(inner, failures=3, cool_s=30, clock_s=clock)
    assert [reason_of(breaker) for _ in range(5)] == ["down"] * 3 + ["breaker-open"] * 2
    assert len(inner.requests) == 3  # nobody was bothered while it was open
    clock.now_s = 30
    assert [reason_of(breaker) for _ in range(2)] == ["well again"] * 2


def test_an_answer_between_them_begins_the_count_anew() -> None:
    breaker = BreakerGenerator(Scripted(failing(), failing(), "yes", failing(), failing(), "yes"), failures=3)
    assert [reason_of(breaker) for _ in range(6)] == ["down", "down", "yes", "down", "down", "yes"]


def test_a_trial_that_fails_doubles_the_wait_up_to_ten_minutes() -> None:
    clock = Clock()
    breaker = BreakerGenerator(Scripted(failing()), failures=1, cool_s=30, clock_s=clock)
    waits = []
    for _ in range(7):
        assert reason_of(breaker) == "down"
        begun_s = clock.now_s
        while breaker.is_open:
            clock.now_s += 30
        waits.append(clock.now_s - begun_s)
    assert waits == [30, 60, 120, 240, 480, 600, 600]


def test_only_one_request_tries_it() -> None:
    clock = Clock()
    second: list[str] = []

    class Curious(Scripted):
        def generate(self, request: GenerationRequest) -> Answer:
            if clock.now_s:
                second.append(reason_of(breaker))  # another request, while the trial is under way
            return super().generate(request)

    breaker = BreakerGenerator(Curious(failing(), "yes"), failures=1, cool_s=30, clock_s=clock)
    reason_of(breaker)
    clock.now_s = 30
    assert (reason_of(breaker), second) == ("yes", ["breaker-open"])


def test_a_server_that_says_when_to_come_back_is_believed_within_limits() -> None:
    for asked_s, waited_s in ((90.0, 90), (86_400.0, 600)):
        clock = Clock()
        error = GenerationError("rate-limited", "429", retry_after_s=asked_s)
        breaker = BreakerGenerator(Scripted(error, "yes"), failures=3, cool_s=30, clock_s=clock)
        assert reason_of(breaker) == "rate-limited"
        clock.now_s = waited_s - 1
        assert reason_of(breaker) == "breaker-open"
        clock.now_s = waited_s
        assert reason_of(breaker) == "yes"


@pytest.mark.parametrize("reason", ["no-consent", "masked-away", "over-budget"])
def test_what_is_not_its_fault_does_not_open_it(reason: str) -> None:
    breaker = BreakerGenerator(Scripted(failing(reason)), failures=1)
    assert [reason_of(breaker) for _ in range(3)] == [reason] * 3


def test_an_error_that_nobody_foresaw_counts() -> None:
    breaker = BreakerGenerator(Scripted(KeyError()), failures=2)
    assert [reason_of(breaker) for _ in range(3)] == ["KeyError", "KeyError", "breaker-open"]


def test_a_stream_that_is_cut_counts_and_one_that_nobody_reads_to_its_end_does_not() -> None:
    breaker = BreakerGenerator(Piecewise(["a"], failing("cut")), failures=1)
    with pytest.raises(GenerationError):
        list(breaker.stream(asked()))
    assert breaker.is_open
    left = BreakerGenerator(Piecewise(["a", "b"], "ab"), failures=1)
    pieces = left.stream(asked())
    next(pieces)
    pieces.close()  # type: ignore[attr-defined]
    assert not left.is_open
