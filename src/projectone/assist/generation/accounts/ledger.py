"""Counts as rows: of each tenant and day who answered or why not, tokens, cost, and times in classes. No words."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Final

from projectone.assist.generation.protocol import Answer, Reason
from projectone.storage.database import Database

KEPT_DAYS: Final = 400
EDGES_S: Final = (0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0)
"""Ends of the first seven classes of time; the eighth has none."""

ANSWERS_ACCOUNTS: Final = """
CREATE TABLE answers_accounts (
    tenant TEXT NOT NULL,
    day TEXT NOT NULL,
    made_by TEXT NOT NULL,
    outcome TEXT NOT NULL,
    n INTEGER NOT NULL,
    prompt_tokens INTEGER NOT NULL,
    answer_tokens INTEGER NOT NULL,
    micros INTEGER NOT NULL,
    PRIMARY KEY (tenant, day, made_by, outcome)
) STRICT;
CREATE TABLE answers_times (
    tenant TEXT NOT NULL,
    day TEXT NOT NULL,
    made_by TEXT NOT NULL,
    class INTEGER NOT NULL CHECK (class BETWEEN 0 AND 7),
    n INTEGER NOT NULL,
    PRIMARY KEY (tenant, day, made_by, class)
) STRICT;
CREATE TABLE answers_spent (
    tenant TEXT NOT NULL,
    day TEXT NOT NULL,
    n INTEGER NOT NULL,
    micros INTEGER NOT NULL,
    PRIMARY KEY (tenant, day)
) STRICT;
"""


@dataclass(frozen=True)
class AccountLine:
    """What one generator did for a tenant in some days.

    Attributes:
        by: Who.
        outcome: ``"answered"``, ``"kept"`` for what was given again, or the reason why not.
        n: How often.
        prompt_tokens: Read.
        answer_tokens: Written.
        micros: Millionths of the currency of the prices.
    """

    by: str
    outcome: str
    n: int
    prompt_tokens: int
    answer_tokens: int
    micros: int


@dataclass(frozen=True)
class Times:
    """How long answers took: how many fell into each class of `EDGES_S`."""

    counts: tuple[int, ...]

    def at_most_s(self, share: float) -> float | None:
        """Within so many seconds came that share; None where there is no answer, or it took longer than any edge."""
        wanted, so_far = share * sum(self.counts), 0
        if not sum(self.counts):
            return None
        for n, edge_s in zip(self.counts, EDGES_S, strict=False):
            so_far += n
            if so_far >= wanted:
                return edge_s
        return None


class Accounts:
    """The rows. Every call names its tenant.

    Args:
        database: With the tables of `ANSWERS_ACCOUNTS`.
    """

    def __init__(self, database: Database) -> None:
        self._database = database

    def note(self, tenant: str, answer: Answer, now: datetime) -> None:
        """Count an answer, and everybody who was asked before."""
        day = now.date().isoformat()
        outcome = "answered" if answer.cached == "no" else "kept"
        cost = answer.cost
        with self._database.transaction():
            self._add(tenant, day, answer.by, outcome, (1, cost.prompt_tokens, cost.answer_tokens, cost.micros))
            for attempt in answer.failed:
                self._add(tenant, day, attempt.by, attempt.reason, (1, 0, 0, 0))
            self._database.execute(
                "INSERT INTO answers_times VALUES (?, ?, ?, ?, 1)"
                " ON CONFLICT (tenant, day, made_by, class) DO UPDATE SET n = n + 1",
                (tenant, day, answer.by, sum(answer.took_s > edge_s for edge_s in EDGES_S)),
            )
            self._sweep(now)

    def note_failure(self, tenant: str, by: str, reason: Reason, now: datetime) -> None:
        """Count a question that nobody answered."""
        with self._database.transaction():
            self._add(tenant, now.date().isoformat(), by, reason, (1, 0, 0, 0))
            self._sweep(now)

    def tenants(self, since: date) -> list[str]:
        """Those for whom something was counted since a day, by name."""
        rows = self._database.query(
            "SELECT DISTINCT tenant FROM answers_accounts WHERE day >= ? ORDER BY 1", (since.isoformat(),)
        )
        return [str(row["tenant"]) for row in rows]

    def lines(self, tenant: str, since: date) -> list[AccountLine]:
        """What was done for a tenant since a day, the most frequent first."""
        rows = self._database.query(
            "SELECT made_by, outcome, sum(n) AS n, sum(prompt_tokens) AS prompt_tokens,"
            " sum(answer_tokens) AS answer_tokens, sum(micros) AS micros FROM answers_accounts"
            " WHERE tenant = ? AND day >= ? GROUP BY made_by, outcome ORDER BY 3 DESC, 1, 2",
            (tenant, since.isoformat()),
        )
        return [
            AccountLine(
                row["made_by"], row["outcome"], row["n"], row["prompt_tokens"], row["answer_tokens"], row["micros"]
            )
            for row in rows
        ]

    def times(self, tenant: str, since: date) -> Mapping[str, Times]:
        """How long the answers of each generator took, since a day."""
        found: dict[str, Counter[int]] = defaultdict(Counter)
        for row in self._database.query(
            "SELECT made_by, class, sum(n) AS n FROM answers_times WHERE tenant = ? AND day >= ?"
            " GROUP BY made_by, class",
            (tenant, since.isoformat()),
        ):
            found[row["made_by"]][row["class"]] = row["n"]
        return {by: Times(tuple(counts[place] for place in range(len(EDGES_S) + 1))) for by, counts in found.items()}

    def reserve(self, tenant: str, micros: int, *, most_micros: int | None, most: int | None, now: datetime) -> bool:
        """Set aside what a request may cost at most, if the day still has it; says whether it has.

        Args:
            tenant: Who pays.
            micros: The most that it can cost.
            most_micros: Of a day; None for no limit.
            most: Requests of a day; None for no limit.
            now: When.
        """
        with self._database.transaction():
            n, spent = self.spent(tenant, now)
            if (most is not None and n >= most) or (most_micros is not None and spent + micros > most_micros):
                return False
            self._spend(tenant, 1, micros, now)
            return True

    def settle(self, tenant: str, micros: int, now: datetime, *, n: int = 0) -> None:
        """Correct what was set aside: by less micros, and by less requests if it was none."""
        self._spend(tenant, n, micros, now)

    def spent(self, tenant: str, now: datetime) -> tuple[int, int]:
        """How many requests of today, and what they may have cost."""
        rows = self._database.query(
            "SELECT n, micros FROM answers_spent WHERE tenant = ? AND day = ?", (tenant, now.date().isoformat())
        )
        return (rows[0]["n"], rows[0]["micros"]) if rows else (0, 0)

    def forget(self, tenant: str) -> None:
        """Let go of a tenant's counts."""
        with self._database.transaction():
            for table in ("answers_accounts", "answers_times", "answers_spent"):
                self._database.execute(f"DELETE FROM {table} WHERE tenant = ?", (tenant,))

    def _spend(self, tenant: str, n: int, micros: int, now: datetime) -> None:
        self._database.execute(
            "INSERT INTO answers_spent VALUES (?1, ?2, ?3, ?4) ON CONFLICT (tenant, day) DO UPDATE"
            " SET n = max(0, n + ?3), micros = max(0, micros + ?4)",
            (tenant, now.date().isoformat(), n, micros),
        )

    def _add(self, tenant: str, day: str, made_by: str, outcome: str, counts: tuple[int, int, int, int]) -> None:
        self._database.execute(
            "INSERT INTO answers_accounts VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)"
            " ON CONFLICT (tenant, day, made_by, outcome) DO UPDATE SET n = n + ?5,"
            " prompt_tokens = prompt_tokens + ?6, answer_tokens = answer_tokens + ?7, micros = micros + ?8",
            (tenant, day, made_by, outcome, *counts),
        )

    def _sweep(self, now: datetime) -> None:
        oldest = (now.date() - timedelta(days=KEPT_DAYS)).isoformat()
        for table in ("answers_accounts", "answers_times", "answers_spent"):
            self._database.execute(f"DELETE FROM {table} WHERE day < ?", (oldest,))
