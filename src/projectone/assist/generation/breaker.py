"""Who failed several times in a row is left alone for a while: nobody waits for what does not come."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from typing import Final

from projectone.assist.generation.protocol import Answer, Event, GenerationError, GenerationRequest, Generator
from projectone.assist.generation.wrapping import Ask, WrappingGenerator

FAILURES: Final = 3
COOL_S: Final = 30.0
LONGEST_COOL_S: Final = 600.0
# What says something about the request, or about this machine, says nothing about the other side.
_NOT_ITS_FAULT: Final = frozenset({"no-consent", "masked-away", "over-budget", "breaker-open", "unsafe", "ungrounded"})


class BreakerGenerator(WrappingGenerator):
    """Asks another generator unless that failed lately.

    Closed: every request goes through. After `failures` in a row it opens for `cool_s`: requests are refused at once.
    Then a single request is let through as a trial: if it is answered, all are; if not, the wait doubles, up to ten
    minutes. A server that says when to come back is believed, within the same limit.

    Args:
        inner: Who is asked.
        failures: In a row.
        cool_s: How long it is left alone at first.
        clock_s: A clock that never goes back.
    """

    def __init__(
        self,
        inner: Generator,
        *,
        failures: int = FAILURES,
        cool_s: float = COOL_S,
        clock_s: Callable[[], float] = time.monotonic,
    ) -> None:
        super().__init__(inner)
        self._failures = failures
        self._first_cool_s = self._cool_s = cool_s
        self._clock_s = clock_s
        self._lock = threading.Lock()
        self._n_failed = 0
        self._opens_at: float | None = None
        self._is_on_trial = False

    @property
    def is_open(self) -> bool:
        """Whether requests are refused just now."""
        with self._lock:
            return self._opens_at is not None and (self._is_on_trial or self._clock_s() < self._opens_at)

    def _around(self, request: GenerationRequest, ask: Ask) -> Iterator[Event]:
        self._admit()
        is_told = False
        try:
            for event in ask(request):
                if isinstance(event, Answer):
                    self._note_answered()
                    is_told = True
                yield event
        except GenerationError as error:
            is_told = True
            if error.reason in _NOT_ITS_FAULT:
                self._note_nothing()
            else:
                self._note_failed(error.retry_after_s)
            raise
        except Exception:
            is_told = True
            self._note_failed(None)
            raise
        finally:
            if not is_told:  # whoever asked went away before the end
                self._note_nothing()

    def _admit(self) -> None:
        with self._lock:
            if self._opens_at is None:
                return
            wait_s = self._opens_at - self._clock_s()
            if wait_s > 0 or self._is_on_trial:
                left = f"for {wait_s:.0f} s more" if wait_s > 0 else "while one request tries it"
                raise GenerationError("breaker-open", f"{self.name} failed lately and is left alone {left}")
            self._is_on_trial = True

    def _note_answered(self) -> None:
        with self._lock:
            self._n_failed, self._opens_at, self._is_on_trial = 0, None, False
            self._cool_s = self._first_cool_s

    def _note_nothing(self) -> None:
        with self._lock:
            self._is_on_trial = False

    def _note_failed(self, retry_after_s: float | None) -> None:
        with self._lock:
            self._n_failed += 1
            if self._is_on_trial:
                self._cool_s = min(2 * self._cool_s, LONGEST_COOL_S)
            wait_s = min(max(self._cool_s, retry_after_s or 0.0), LONGEST_COOL_S)
            if self._is_on_trial or self._n_failed >= self._failures or retry_after_s:
                self._opens_at = self._clock_s() + wait_s
            self._is_on_trial = False
