"""Answers as rows: by owner, within limits, for a time that is looked at when they are read."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final

from projectone.assist.generation.protocol import Answer, Cost
from projectone.assist.vectors.protocol import Owner
from projectone.storage.database import Database

ANSWERS_KEPT: Final = """
CREATE TABLE answers_kept (
    owner TEXT NOT NULL,
    key TEXT NOT NULL,
    content_key TEXT NOT NULL,
    prompt TEXT NOT NULL,
    answer TEXT NOT NULL,
    size INTEGER NOT NULL,
    made_at TEXT NOT NULL,
    expires_at TEXT NOT NULL,
    used_at TEXT NOT NULL,
    PRIMARY KEY (owner, key)
) STRICT;
CREATE INDEX answers_kept_by_content ON answers_kept (owner, content_key);
"""


@dataclass(frozen=True, kw_only=True)
class Limits:
    """How much is kept of each owner, and for how long.

    Attributes:
        kept_for: An answer older than this is not given, whether it was swept or not.
        n_answers: The ones used longest ago go first.
        size_bytes: Of questions and answers together.
    """

    kept_for: timedelta = timedelta(days=7)
    n_answers: int = 500
    size_bytes: int = 2_000_000

    def __post_init__(self) -> None:
        if self.kept_for <= timedelta(0) or self.n_answers < 1 or self.size_bytes < 1:
            raise ValueError(f"limits: expected more than nothing, got {self}")


class KeptAnswers:
    """The rows. Every call names its owner.

    Args:
        database: With the table of `ANSWERS_KEPT`.
        limits: For each owner.
    """

    def __init__(self, database: Database, limits: Limits | None = None) -> None:
        self._database = database
        self._limits = limits or Limits()

    def exact(self, owner: Owner, key: str, now: datetime) -> Answer | None:
        """The answer that was kept under a key, if its time is not over."""
        return self._first(
            "SELECT * FROM answers_kept WHERE owner = ? AND key = ? AND expires_at > ?", (owner.key, key), now
        )

    def near(self, owner: Owner, content_key: str, now: datetime) -> Answer | None:
        """The newest answer to a question that says the same, if its time is not over."""
        return self._first(
            "SELECT * FROM answers_kept WHERE owner = ? AND content_key = ? AND expires_at > ?"
            " ORDER BY made_at DESC LIMIT 1",
            (owner.key, content_key),
            now,
        )

    def keep(self, owner: Owner, key: str, content_key: str, prompt: str, answer: Answer, now: datetime) -> None:
        """Keep an answer; what is too old or too much goes."""
        said = _written(answer)
        size = len(prompt.encode()) + len(said.encode())
        if size > self._limits.size_bytes:
            return
        times = (now.isoformat(), (now + self._limits.kept_for).isoformat(), now.isoformat())
        with self._database.transaction():
            self._database.execute(
                "INSERT OR REPLACE INTO answers_kept VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
                (owner.key, key, content_key, prompt, said, size, *times),
            )
            self.sweep(now)
            self._shrink(owner)

    def sweep(self, now: datetime) -> int:
        """Let go of everybody's answers whose time is over."""
        return self._database.execute("DELETE FROM answers_kept WHERE expires_at <= ?", (now.isoformat(),))

    def forget(self, owner: Owner) -> int:
        """Let go of all of one owner's."""
        return self._database.execute("DELETE FROM answers_kept WHERE owner = ?", (owner.key,))

    def count(self, owner: Owner, now: datetime) -> int:
        """How many would still be given."""
        rows = self._database.query(
            "SELECT count(*) AS n FROM answers_kept WHERE owner = ? AND expires_at > ?", (owner.key, now.isoformat())
        )
        return int(rows[0]["n"])

    def _first(self, sql: str, values: Sequence[str], now: datetime) -> Answer | None:
        rows = self._database.query(sql, (*values, now.isoformat()))
        if not rows:
            return None
        row = rows[0]
        self._database.execute(
            "UPDATE answers_kept SET used_at = ? WHERE owner = ? AND key = ?",
            (now.isoformat(), row["owner"], row["key"]),
        )
        return _read(row["answer"])

    def _shrink(self, owner: Owner) -> None:
        """The ones used longest ago go until the rest fits."""
        self._database.execute(
            "DELETE FROM answers_kept WHERE owner = ?1 AND key IN (SELECT key FROM ("
            " SELECT key, row_number() OVER latest AS place, sum(size) OVER latest AS so_far FROM answers_kept"
            " WHERE owner = ?1 WINDOW latest AS (ORDER BY used_at DESC, made_at DESC, key))"
            " WHERE place > ?2 OR so_far > ?3)",
            (owner.key, self._limits.n_answers, self._limits.size_bytes),
        )


def _written(answer: Answer) -> str:
    facts: dict[str, Any] = {
        "text": answer.text,
        "by": answer.by,
        "model_version": answer.model_version,
        "seed": answer.seed,
        "cost": [answer.cost.prompt_tokens, answer.cost.answer_tokens, answer.cost.micros],
    }
    return json.dumps(facts, ensure_ascii=False, sort_keys=True)


def _read(said: str) -> Answer:
    facts = json.loads(said)
    return Answer(
        text=facts["text"],
        by=facts["by"],
        model_version=facts["model_version"],
        seed=facts["seed"],
        cost=Cost(*facts["cost"]),
    )
