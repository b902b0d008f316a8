"""Rows of the trainer: runs, and the outside effects that each of them had."""

from __future__ import annotations

import json
import uuid
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Literal, cast

from sqlalchemy import Column, Connection, Engine, Float, Integer, String, Table, Text, case, insert, select, update

from projectone.contracts.base import canonical_json, sha256_hex
from projectone.contracts.versions import DEFAULT_FAMILY, Family
from projectone.errors import StorageError
from projectone.server.database import METADATA, reading, writing

RunState = Literal["requested", "running", "waiting", "succeeded", "quarantined", "failed", "no-data", "no-train"]
Trigger = Literal["on-demand", "threshold", "schedule", "withdrawal", "proposal"]
Guard = Callable[[Connection], None]
"""Refuses the transaction it is called in, if the lease is stale."""
_LOOKUP_BATCH = 500

RUNS = Table(
    "runs",
    METADATA,
    Column("number", Integer, primary_key=True, autoincrement=True),
    Column("run_id", String(36), nullable=False, unique=True),
    Column("state", String(16), nullable=False, index=True),
    Column("trigger", String(16), nullable=False),
    Column("graph_version", Integer),
    Column("node", String(48)),
    Column("attempts", Integer, nullable=False),
    Column("progress_step", Integer),
    Column("progress_total", Integer),
    Column("progress_loss", Float),
    Column("progress_message", Text),
    Column("dataset_sha256", String(64)),
    Column("n_items", Integer),
    Column("n_new", Integer),
    Column("n_discarded", Integer),
    Column("candidate_sha256", String(64)),
    Column("verdict", Text),
    Column("version", String(24)),
    Column("reason", Text),
    Column("log_path", Text),
    # What kind of model it makes; rows from before there were two have none, and made speech models.
    Column("family", String(16), nullable=False, server_default=DEFAULT_FAMILY),
    Column("requested_at_s", Float, nullable=False),
    Column("started_at_s", Float),
    Column("finished_at_s", Float),
)
EFFECTS = Table(
    "effects",
    METADATA,
    Column("run_id", String(96), primary_key=True),
    Column("node", String(48), primary_key=True),
    Column("name", String(48), primary_key=True),
    Column("input_sha256", String(64), primary_key=True),
    Column("result", Text, nullable=False),
    Column("done_at_s", Float, nullable=False),
)


@dataclass(frozen=True, kw_only=True)
class RunRow:
    """One training run, as anybody may see it.

    `reason` says why it ended as it did; `verdict` is the judgement's own JSON. Paths are relative to the home.
    """

    number: int
    run_id: str
    state: RunState
    trigger: Trigger
    graph_version: int | None
    node: str | None
    attempts: int
    progress_step: int | None
    progress_total: int | None
    progress_loss: float | None
    progress_message: str | None
    dataset_sha256: str | None
    n_items: int | None
    n_new: int | None
    n_discarded: int | None
    candidate_sha256: str | None
    verdict: dict[str, Any] | None
    version: str | None
    reason: str | None
    log_path: str | None
    family: Family
    requested_at: datetime
    started_at: datetime | None
    finished_at: datetime | None


class Runs:
    """The table of runs. Writes of a worker go through `change` under its guard."""

    def __init__(self, engine: Engine, *, clock: Callable[[], datetime] = lambda: datetime.now(UTC)) -> None:
        self._engine = engine
        self._clock = clock

    def request(self, trigger: Trigger, family: Family = DEFAULT_FAMILY) -> RunRow:
        """Ask for a run of a family. A request that still waits is given again: asking twice trains once."""
        with writing(self._engine) as connection:
            asked = select(RUNS).where(
                RUNS.c.state == "requested", RUNS.c.family == family, RUNS.c.trigger != "proposal"
            )
            waiting = asked.order_by(RUNS.c.number).limit(1)
            row = connection.execute(waiting).mappings().first()
            if row is None:
                values = {"run_id": str(uuid.uuid4()), "state": "requested", "trigger": trigger, "attempts": 0}
                asked_at_s = self._clock().timestamp()
                connection.execute(insert(RUNS).values(**values, family=family, requested_at_s=asked_at_s))
                row = connection.execute(waiting).mappings().one()
        return _run_row(dict(row))

    def propose(self, candidate_sha256: str, version: str, family: Family) -> RunRow:
        """Ask for a run that begins with a model which a person made: it is judged, and trains nothing.

        The same model under the same version that was not decided about yet is given again.
        """
        row = RUNS.c
        with writing(self._engine) as connection:
            is_same = (row.trigger == "proposal", row.candidate_sha256 == candidate_sha256, row.version == version)
            is_open = row.state.in_(("requested", "running", "waiting"))
            open_one = select(RUNS).where(*is_same, is_open, row.family == family).limit(1)
            found = connection.execute(open_one).mappings().first()
            if found is None:
                values = {"run_id": str(uuid.uuid4()), "state": "requested", "trigger": "proposal", "attempts": 0}
                model = {"candidate_sha256": candidate_sha256, "version": version, "family": family}
                times = {"requested_at_s": self._clock().timestamp()}
                connection.execute(insert(RUNS).values(**values, **model, **times))
                found = connection.execute(open_one).mappings().one()
        return _run_row(dict(found))

    def get(self, run_id: str) -> RunRow:
        """One run.

        Raises:
            StorageError: if there is none of this id.
        """
        with reading(self._engine) as connection:
            row = connection.execute(select(RUNS).where(RUNS.c.run_id == run_id)).mappings().first()
        if row is None:
            raise StorageError(f"run {run_id!r}: there is none of this id")
        return _run_row(dict(row))

    def next_due(self, family: Family = DEFAULT_FAMILY) -> RunRow | None:
        """What to work on of a family: an interrupted run first, then the oldest request."""
        active = select(RUNS).where(RUNS.c.state.in_(("running", "requested")), RUNS.c.family == family)
        ordered = active.order_by(RUNS.c.state.desc(), RUNS.c.number).limit(1)  # 'running' sorts after 'requested'
        with reading(self._engine) as connection:
            row = connection.execute(ordered).mappings().first()
        return None if row is None else _run_row(dict(row))

    def active(self) -> list[RunRow]:
        """Runs that were asked for and have not ended, oldest first."""
        query = select(RUNS).where(RUNS.c.state.in_(("requested", "running", "waiting"))).order_by(RUNS.c.number)
        with reading(self._engine) as connection:
            rows = connection.execute(query).mappings().all()
        return [_run_row(dict(row)) for row in rows]

    def made_from(self, dataset_sha256s: Iterable[str]) -> list[RunRow]:
        """Runs whose dataset is one of these, oldest first."""
        wanted = sorted(set(dataset_sha256s))
        rows: list[RunRow] = []
        with reading(self._engine) as connection:
            for start in range(0, len(wanted), _LOOKUP_BATCH):
                query = select(RUNS).where(RUNS.c.dataset_sha256.in_(wanted[start : start + _LOOKUP_BATCH]))
                rows += [_run_row(dict(row)) for row in connection.execute(query).mappings()]
        return sorted(rows, key=lambda row: row.number)

    def datasets(self, run_ids: Iterable[str]) -> dict[str, str]:
        """Of those of these runs that sealed a dataset: which."""
        wanted = sorted(set(run_ids))
        found: dict[str, str] = {}
        with reading(self._engine) as connection:
            for start in range(0, len(wanted), _LOOKUP_BATCH):
                query = select(RUNS.c.run_id, RUNS.c.dataset_sha256).where(
                    RUNS.c.run_id.in_(wanted[start : start + _LOOKUP_BATCH]), RUNS.c.dataset_sha256.is_not(None)
                )
                found |= {run_id: dataset for run_id, dataset in connection.execute(query)}
        return found

    def newest(self, n: int = 20, *, family: Family | None = None) -> list[RunRow]:
        """The newest runs, of all families or of one, newest first."""
        query = select(RUNS).order_by(RUNS.c.number.desc()).limit(n)
        if family is not None:
            query = query.where(RUNS.c.family == family)
        with reading(self._engine) as connection:
            rows = connection.execute(query).mappings().all()
        return [_run_row(dict(row)) for row in rows]

    def start(self, run_id: str, *, graph_version: int, log_path: str, guard: Guard) -> RunRow:
        """Mark a run as running and count the attempt, before anything of it is done.

        The graph version of the first attempt stays: a run finishes on the graph it began with.
        """
        now_s = self._clock().timestamp()
        with writing(self._engine) as connection:
            guard(connection)
            begun = update(RUNS).where(RUNS.c.run_id == run_id)
            connection.execute(begun.values(state="running", attempts=RUNS.c.attempts + 1))
            first = {"graph_version": graph_version, "log_path": log_path, "started_at_s": now_s}
            connection.execute(begun.where(RUNS.c.started_at_s.is_(None)).values(**first))
        return self.get(run_id)

    def change(self, run_id: str, *, guard: Guard, **values: object) -> None:
        """Write some columns of a run under the lease."""
        with writing(self._engine) as connection:
            guard(connection)
            connection.execute(update(RUNS).where(RUNS.c.run_id == run_id).values(**values))

    def enter(self, run_id: str, node: str, *, guard: Guard) -> None:
        """Write which node a run is in. Attempts are counted for each node: a run that gets on is not a stuck one."""
        row = RUNS.c
        is_same = row.node.is_not_distinct_from(node)
        attempts = case((is_same, row.attempts), else_=1)
        self.change(run_id, guard=guard, node=node, attempts=attempts)

    def finish(self, run_id: str, state: RunState, *, guard: Guard, **values: object) -> None:
        """Close a run. Once closed it stays as it is."""
        finished = {"state": state, "finished_at_s": self._clock().timestamp(), **values}
        with writing(self._engine) as connection:
            guard(connection)
            is_open = RUNS.c.state.in_(("running", "requested"))
            connection.execute(update(RUNS).where(RUNS.c.run_id == run_id, is_open).values(**finished))


class Effects:
    """What a run did to the world outside, each once per (run, node, effect, digest of its inputs)."""

    def __init__(
        self, engine: Engine, *, guard: Guard, clock: Callable[[], datetime] = lambda: datetime.now(UTC)
    ) -> None:
        self._engine = engine
        self._guard = guard
        self._clock = clock

    def once(
        self, run_id: str, node: str, name: str, inputs: object, act: Callable[[], dict[str, Any]]
    ) -> dict[str, Any]:
        """The effect's result: remembered, or had now.

        `act` must find its own earlier work if a crash came between it and this row (a commit that carries the run's
        id, a file named by its digest): the row saves asking, it cannot undo.

        Args:
            run_id: Whose effect it is.
            node: The graph node that has it.
            name: Which of the node's effects it is.
            inputs: JSON value that the effect depends on.
            act: Has the effect; gives a small JSON object.

        Raises:
            LeaseError: if the lease is stale; checked before the effect and again with its row.
        """
        key = {"run_id": run_id, "node": node, "name": name, "input_sha256": sha256_hex(canonical_json(inputs))}
        matches = [EFFECTS.c[column] == value for column, value in key.items()]
        with writing(self._engine) as connection:
            self._guard(connection)
            done = connection.execute(select(EFFECTS.c.result).where(*matches)).scalar()
        if done is not None:
            return cast(dict[str, Any], json.loads(done))
        result = act()
        row = {**key, "result": canonical_json(result).decode(), "done_at_s": self._clock().timestamp()}
        with writing(self._engine) as connection:
            self._guard(connection)
            connection.execute(insert(EFFECTS).values(**row))
        return result

    def find(self, run_id: str, node: str, name: str) -> dict[str, Any] | None:
        """The newest result of an effect, whatever its inputs were."""
        matches = (EFFECTS.c.run_id == run_id, EFFECTS.c.node == node, EFFECTS.c.name == name)
        newest = select(EFFECTS.c.result).where(*matches).order_by(EFFECTS.c.done_at_s.desc()).limit(1)
        with reading(self._engine) as connection:
            result = connection.execute(newest).scalar()
        return None if result is None else cast(dict[str, Any], json.loads(result))


def to_json(rows: Sequence[RunRow]) -> list[dict[str, Any]]:
    """Rows as JSON objects, times in ISO 8601."""
    return [
        {name: value.isoformat() if isinstance(value, datetime) else value for name, value in vars(row).items()}
        for row in rows
    ]


def _run_row(row: dict[str, Any]) -> RunRow:
    moments: dict[str, float | None] = {
        name: row.pop(f"{name}_s") for name in ("requested_at", "started_at", "finished_at")
    }
    times: dict[str, Any] = {
        name: None if at is None else datetime.fromtimestamp(at, UTC) for name, at in moments.items()
    }
    verdict = row.pop("verdict")
    return RunRow(**row, **times, verdict=None if verdict is None else json.loads(verdict))
