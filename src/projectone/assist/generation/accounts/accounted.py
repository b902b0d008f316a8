"""A chain whose answers are counted: who gave them, what they cost, how long they took, and who failed."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import datetime

from projectone.assist.generation.accounts.ledger import Accounts
from projectone.assist.generation.protocol import Answer, Event, GenerationRequest, Generator
from projectone.assist.generation.wrapping import Ask, WrappingGenerator
from projectone.errors import StorageError


class AccountedGenerator(WrappingGenerator):
    """Counts what another generator answers, under the tenant of whoever asks. A full disk counts nothing.

    Args:
        inner: Who is asked: a chain, whose answers name those who failed.
        accounts: The rows.
        clock: Now.
    """

    def __init__(self, inner: Generator, accounts: Accounts, *, clock: Callable[[], datetime]) -> None:
        super().__init__(inner)
        self._accounts = accounts
        self._clock = clock

    def _around(self, request: GenerationRequest, ask: Ask) -> Iterator[Event]:
        for event in ask(request):
            if isinstance(event, Answer):
                self._note(request, event)
            yield event

    def _note(self, request: GenerationRequest, answer: Answer) -> None:
        try:
            self._accounts.note(request.owner.tenant, answer, self._clock())
        except StorageError:
            return  # somebody waits for the answer, nobody for the count
