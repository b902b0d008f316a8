"""A chain whose answers are counted: who gave them, what they cost, how long they took, and who failed."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import datetime

from projectone.assist.generation.accounts.ledger import Accounts
from projectone.assist.generation.protocol import Answer, Event, GenerationRequest, Generator, stream_of
from projectone.errors import StorageError


class AccountedGenerator:
    """Counts what another generator answers, under the tenant of whoever asks. A full disk counts nothing.

    Args:
        inner: Who is asked: a chain, whose answers name those who failed.
        accounts: The rows.
        clock: Now.
    """

    def __init__(self, inner: Generator, accounts: Accounts, *, clock: Callable[[], datetime]) -> None:
        self._inner = inner
        self._accounts = accounts
        self._clock = clock
        self.name = inner.name

    @property
    def model_version(self) -> str:
        """Of whom it asks."""
        return self._inner.model_version

    def generate(self, request: GenerationRequest) -> Answer:
        """What the other one answers."""
        answer = self._inner.generate(request)
        self._note(request, answer)
        return answer

    def stream(self, request: GenerationRequest) -> Iterator[Event]:
        """What the other one gives."""
        for event in stream_of(self._inner, request):
            if isinstance(event, Answer):
                self._note(request, event)
            yield event

    def _note(self, request: GenerationRequest, answer: Answer) -> None:
        try:
            self._accounts.note(request.owner.tenant, answer, self._clock())
        except StorageError:
            return  # somebody waits for the answer, nobody for the count
