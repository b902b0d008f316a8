"""Nobody waits longer than they said, whatever a generator is stuck in: a name looked up, a long prompt read."""

from __future__ import annotations

import queue
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass

from projectone.assist.generation.protocol import Answer, Event, GenerationError, GenerationRequest, Generator
from projectone.assist.generation.wrapping import Ask, WrappingGenerator

MAX_STUCK = 8


@dataclass(frozen=True)
class _Failed:
    error: BaseException


class DeadlineGenerator(WrappingGenerator):
    """Asks another generator on a thread of its own and goes away when the time is over.

    A thread that is left behind ends with what it is stuck in. There are never more than `max_stuck`: then the next
    request is told `busy` at once, which is what a person who waits wants to know.

    Args:
        inner: Who is asked.
        max_stuck: How many requests may be under way.
    """

    def __init__(self, inner: Generator, *, max_stuck: int = MAX_STUCK) -> None:
        super().__init__(inner)
        self._free = threading.BoundedSemaphore(max_stuck)

    def _around(self, request: GenerationRequest, ask: Ask) -> Iterator[Event]:
        ends_at = time.monotonic() + request.deadline_s
        if not self._free.acquire(blocking=False):
            raise GenerationError("busy", f"{self.name} has all the requests that it may have under way")
        events: queue.SimpleQueue[Event | _Failed] = queue.SimpleQueue()
        is_over = threading.Event()

        def work() -> None:
            try:
                for event in ask(request):
                    events.put(event)
                    if is_over.is_set():
                        return
            except BaseException as error:  # told to whoever waits
                events.put(_Failed(error))
            finally:
                self._free.release()

        try:
            threading.Thread(target=work, name=f"answer by {self.name}", daemon=True).start()
        except RuntimeError:  # no thread can be had
            self._free.release()
            raise GenerationError("busy", f"{self.name}: this machine starts no more threads") from None
        try:
            yield from self._events(events, ends_at, request.deadline_s)
        finally:
            is_over.set()

    def _events(self, events: queue.SimpleQueue[Event | _Failed], ends_at: float, deadline_s: float) -> Iterator[Event]:
        while True:
            try:
                event = events.get(timeout=max(0.0, ends_at - time.monotonic()))
            except queue.Empty:
                raise GenerationError("timeout", f"{self.name} did not answer within {deadline_s:.3g} s") from None
            if isinstance(event, _Failed):
                raise event.error
            yield event
            if isinstance(event, Answer):
                return
