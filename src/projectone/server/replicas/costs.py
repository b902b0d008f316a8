"""What answers in words cost each tenant, counted where questions come in, whatever machine answers. Counts, no words.

The rows are those of a device's own accounts (`assist.generation.accounts`), in a file of their own.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Final

from projectone.assist.generation.accounts import ANSWERS_ACCOUNTS, EDGES_S, Accounts
from projectone.assist.generation.protocol import Answer, GenerationError, Reason
from projectone.errors import ContractError, DataError, RefusedError, StorageError, TransportError
from projectone.server.replicas import wire
from projectone.server.replicas.asking import Asking
from projectone.server.replicas.models import Kind
from projectone.storage.database import Database
from projectone.storage.files import make_folder

COSTS: Final = "assist-costs"
"""Folder below the server's home; left out of backups."""
MAX_DAYS: Final = 400


@dataclass(frozen=True)
class Prices:
    """Of a million tokens, in whatever currency: so many millionths for each token.

    Attributes:
        read: Of what a model reads.
        written: Of what it writes.
    """

    read: float = 0.0
    written: float = 0.0

    def of(self, answer: Answer) -> Answer:
        """The answer with what it cost; one that was billed already keeps its bill."""
        cost = answer.cost
        micros = cost.micros or math.ceil(self.read * cost.prompt_tokens + self.written * cost.answer_tokens)
        return replace(answer, cost=replace(cost, micros=micros))


class CostBook:
    """What was counted, in days up to now.

    Args:
        accounts: The rows.
        clock: Now.
    """

    def __init__(self, accounts: Accounts, *, clock: Callable[[], datetime] = lambda: datetime.now(UTC)) -> None:
        self._accounts = accounts
        self._clock = clock

    @classmethod
    def in_home(cls, home: Path) -> CostBook:
        """That of a server; its file is made where there is none.

        Raises:
            StorageError: if it cannot be opened.
        """
        make_folder(home / COSTS)
        return cls(Accounts(Database(home / COSTS / "rows.sqlite", (ANSWERS_ACCOUNTS,))))

    def note(self, tenant: str, answer: Answer) -> None:
        """Count an answer. A full disk counts nothing: somebody waits for the answer, nobody for the count."""
        try:
            self._accounts.note(tenant, answer, self._clock())
        except StorageError:
            return

    def note_failure(self, tenant: str, by: str, reason: Reason) -> None:
        """Count a question that got no answer; as `note`."""
        try:
            self._accounts.note_failure(tenant, by, reason, self._clock())
        except StorageError:
            return

    def shown(self, days: int, *, tenants: Sequence[str] | None = None) -> dict[str, Any]:
        """Of the last days, for each of these tenants and no other; for all of them by default.

        Raises:
            DataError: if there are not so many days.
            StorageError: if the rows cannot be read.
        """
        if not 1 <= days <= MAX_DAYS:
            raise DataError("days", f"days: expected 1 to {MAX_DAYS}, got {days}")
        since = self._clock().date() - timedelta(days=days - 1)
        names = self._accounts.tenants(since) if tenants is None else tenants
        shown = []
        for name in names:
            lines, times = self._accounts.lines(name, since), self._accounts.times(name, since)
            shown.append(
                {
                    "tenant": name,
                    "lines": [asdict(line) for line in lines],
                    "times": {
                        by: {
                            "counts": list(found.counts),
                            "p50_s": found.at_most_s(0.5),
                            "p95_s": found.at_most_s(0.95),
                        }
                        for by, found in times.items()
                    },
                }
            )
        return {"days": days, "edges_s": list(EDGES_S), "tenants": shown}


class CountedAsking:
    """An `Asking` whose answers in words are counted under the tenant that the question names.

    Args:
        asking: Who answers.
        book: Where it is counted.
        by: The name of the generator there, for questions that get no answer.
        prices: Of what it reads and writes.
    """

    def __init__(self, asking: Asking, book: CostBook, *, by: str, prices: Prices) -> None:
        self._asking = asking
        self._book = book
        self._by = by
        self._prices = prices

    def ask(self, kind: Kind, body: bytes) -> bytes:
        """The answer, byte for byte as it came; as `Asking.ask`."""
        tenant = _tenant(body) if kind == "generate" else None
        if tenant is None:  # nobody's question, or none that is counted
            return self._asking.ask(kind, body)
        began_s = time.monotonic()
        try:
            content = self._asking.ask(kind, body)
        except TransportError:
            self._book.note_failure(tenant, self._by, "down")
            raise
        try:
            answer = replace(wire.written_from_bytes(content), took_s=time.monotonic() - began_s)
        except GenerationError as error:
            self._book.note_failure(tenant, self._by, error.reason)
        except (DataError, RefusedError, ContractError, KeyError, TypeError, AttributeError):
            return content  # nobody was asked, or nothing that is understood here was answered
        else:
            self._book.note(tenant, self._prices.of(answer))
        return content


def _tenant(body: bytes) -> str | None:
    try:
        return wire.request_from_bytes(body).owner.tenant
    except DataError:
        return None
