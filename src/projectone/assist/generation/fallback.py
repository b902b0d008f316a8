"""Each in turn within one deadline; the last one always answers, and the answer says who failed and why."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace

from projectone.assist.generation.protocol import (
    Answer,
    Attempt,
    Event,
    GenerationError,
    GenerationRequest,
    Generator,
    Retracted,
    stream_of,
)

_LAST_SHARE, _LAST_S = 0.15, 0.05


class FallbackGenerator:
    """Asks one generator after the other, so that somebody answers in time.

    What is left of the time is shared out evenly among those still to be asked; 15 % (50 ms at least) are kept back
    for the last one. One who fails early leaves its time to those behind it.

    A stream that breaks off is repaired by the next generator: `Retracted` says that the pieces so far are void, then
    the whole of the other answer follows. So nobody is ever shown two halves as one answer.

    Args:
        links: In the order in which they are asked.
        last: Answers always and at once: a `TemplateGenerator`.
        clock_s: A clock that never goes back.
    """

    name = "chain"

    def __init__(
        self, links: Sequence[Generator], last: Generator, *, clock_s: Callable[[], float] = time.monotonic
    ) -> None:
        self._links = tuple(links)
        self._last = last
        self._clock_s = clock_s

    @property
    def model_version(self) -> str:
        """Of all of them, in order."""
        return "+".join(generator.model_version for generator in (*self._links, self._last))

    def generate(self, request: GenerationRequest) -> Answer:
        """The first answer there is."""
        begun_s = self._clock_s()
        failed: list[Attempt] = []
        for generator, share_s in self._shares(request, begun_s):
            asked_s = self._clock_s()
            try:
                return self._finished(generator.generate(request.within(share_s)), failed, begun_s)
            except Exception as error:  # one more reason, never the end: somebody waits
                failed.append(self._attempt(generator, error, asked_s))
        return self._finished(self._last.generate(request), failed, begun_s)

    def stream(self, request: GenerationRequest) -> Iterator[Event]:
        """Pieces of the first answer there is, then the answer; `Retracted` before another one begins anew."""
        begun_s = self._clock_s()
        failed: list[Attempt] = []
        for generator, share_s in self._shares(request, begun_s):
            asked_s, is_shown = self._clock_s(), False
            try:
                for event in stream_of(generator, request.within(share_s)):
                    if isinstance(event, Answer):
                        yield self._finished(event, failed, begun_s)
                        return
                    is_shown = True
                    yield event
                raise GenerationError("cut", f"{generator.name} ended without an answer")
            except Exception as error:
                failed.append(self._attempt(generator, error, asked_s))
                if is_shown:
                    yield Retracted(failed[-1])
        answer = self._last.generate(request)
        yield answer.text
        yield self._finished(answer, failed, begun_s)

    def _shares(self, request: GenerationRequest, begun_s: float) -> Iterator[tuple[Generator, float]]:
        """Each link with the seconds that it may take, while there are any."""
        ends_s = begun_s + request.deadline_s - max(_LAST_SHARE * request.deadline_s, _LAST_S)
        for place, generator in enumerate(self._links):
            left_s = max(0.0, ends_s - self._clock_s())
            yield generator, left_s / (len(self._links) - place)

    def _attempt(self, generator: Generator, error: Exception, asked_s: float) -> Attempt:
        took_s = self._clock_s() - asked_s
        if isinstance(error, GenerationError):
            return Attempt(generator.name, error.reason, str(error), took_s)
        # Of an error that nobody foresaw only its kind: its message may hold what was asked.
        return Attempt(generator.name, "failed", f"{generator.name}: {type(error).__name__}", took_s)

    def _finished(self, answer: Answer, failed: Sequence[Attempt], begun_s: float) -> Answer:
        return replace(answer, failed=(*failed, *answer.failed), took_s=self._clock_s() - begun_s)
