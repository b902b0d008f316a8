"""No tenant spends more in a day than was agreed to, whatever a server bills."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from projectone.assist.generation.accounts.ledger import Accounts
from projectone.assist.generation.completions import tokens_at_most
from projectone.assist.generation.protocol import (
    Answer,
    Cost,
    Event,
    GenerationError,
    GenerationRequest,
    Generator,
    Reason,
)
from projectone.assist.generation.wrapping import Ask, WrappingGenerator
from projectone.errors import StorageError

_NOTHING_LEFT: Final[frozenset[Reason]] = frozenset(
    {"breaker-open", "busy", "no-consent", "masked-away", "over-budget", "not-installed", "rate-limited", "refused"}
)
"""After these nothing was billed. After a time-out or half an answer nobody knows, so it counts as billed."""


@dataclass(frozen=True, kw_only=True)
class Budget:
    """What a tenant may spend in a day.

    Attributes:
        micros: Millionths of the currency of the prices; None for no limit.
        requests: None for no limit.
    """

    micros: int | None = None
    requests: int | None = None

    def __post_init__(self) -> None:
        if any(limit is not None and limit < 0 for limit in (self.micros, self.requests)):
            raise ValueError(f"budget: expected 0 or more, got {self}")


class BudgetedGenerator(WrappingGenerator):
    """Sets the most that a request can cost aside before it is sent, and gives back what it did not.

    Two requests at once cannot both spend the same rest. A ledger that cannot be written to spends nothing.

    Args:
        inner: Who is asked and paid.
        accounts: The rows.
        budget: For each tenant.
        cost: What so many tokens read and written cost.
        clock: Now; a day is UTC's.
    """

    def __init__(
        self,
        inner: Generator,
        accounts: Accounts,
        budget: Budget,
        *,
        cost: Callable[[int, int], Cost],
        clock: Callable[[], datetime],
    ) -> None:
        super().__init__(inner)
        self._accounts = accounts
        self._budget = budget
        self._cost = cost
        self._clock = clock

    def _around(self, request: GenerationRequest, ask: Ask) -> Iterator[Event]:
        tenant, now = request.owner.tenant, self._clock()
        most = self._cost(tokens_at_most(request.prompt + request.system), request.max_tokens).micros
        try:
            has_room = self._accounts.reserve(
                tenant, most, most_micros=self._budget.micros, most=self._budget.requests, now=now
            )
        except StorageError as error:
            raise GenerationError("over-budget", "what was spent today cannot be read") from error
        if not has_room:
            raise GenerationError("over-budget", "what may be spent in a day is spent")
        try:
            for event in ask(request):
                if isinstance(event, Answer):
                    self._settle(tenant, event.cost.micros - most, now)
                yield event
        except GenerationError as error:
            if error.reason in _NOTHING_LEFT:
                self._settle(tenant, -most, now, n=-1)
            raise

    def _settle(self, tenant: str, micros: int, now: datetime, *, n: int = 0) -> None:
        try:
            self._accounts.settle(tenant, micros, now, n=n)
        except StorageError:
            return  # then it counts as spent
