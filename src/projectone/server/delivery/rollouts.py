"""How far each release has gone, as rows: every step of it is on record under the name of who took it."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Any, Literal

from sqlalchemy import Column, Connection, Engine, Float, Integer, String, Table, Text, insert, select, update

from projectone.contracts.rollouts import N_BUCKETS, RolloutPlan, RolloutState, StopReason
from projectone.errors import DataError
from projectone.server.audit import SERVER, Act, record
from projectone.server.database import METADATA, reading, writing

Status = Literal["running", "paused", "halted", "done", "replaced"]
"""It widens by itself; it stays as it is; nobody gets it; everybody may; a newer release took its place."""

ROLLOUTS = Table(
    "rollouts",
    METADATA,
    Column("channel", String(96), primary_key=True),
    Column("seq", Integer, primary_key=True, autoincrement=False),
    Column("stage", Integer, nullable=False),
    Column("status", String(16), nullable=False),
    Column("reason", String(16)),
    Column("stage_began_at_s", Float, nullable=False),
    # Reports up to here were judged and overruled by a person who let the release go on.
    Column("judged_up_to", Integer, nullable=False),
    # What devices were last told: while it is not what the row says, somebody has still to tell them.
    Column("told", Text),
)


@dataclass(frozen=True, kw_only=True)
class Rollout:
    """One release on its way.

    Attributes:
        stage: Which stage of the plan is open, from 0.
        stage_began_at: Since when.
        judged_up_to: Reports up to this one count no more.
        told: The state that devices were last told.
    """

    channel: str
    seq: int
    stage: int
    status: Status
    reason: StopReason | None
    stage_began_at: datetime
    judged_up_to: int
    told: str | None
    plan: RolloutPlan

    @property
    def state(self) -> RolloutState:
        """What devices are to be told."""
        is_halted = self.status == "halted"
        buckets = 0 if is_halted else self.plan.stages[self.stage].max_buckets
        return RolloutState(
            channel=self.channel, seq=self.seq, buckets=buckets, is_halted=is_halted, reason=self.reason
        )

    @property
    def is_last(self) -> bool:
        """Whether no wider stage is left."""
        return self.stage == len(self.plan.stages) - 1

    @property
    def lasts(self) -> timedelta:
        """How long the open stage lasts at least; nothing for the last one."""
        stages = self.plan.stages
        return timedelta() if self.is_last else stages[self.stage + 1].not_before - stages[self.stage].not_before

    def is_due(self, now: datetime) -> bool:
        """Whether the next stage may open: this one has had its time, and the plan says so too."""
        if self.status != "running" or self.is_last:
            return False
        has_lasted = now - self.stage_began_at >= self.lasts
        return has_lasted and now >= self.plan.stages[self.stage + 1].not_before


class Rollouts:
    """The table of rollouts. Each change is one transaction with its entry in the audit log."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def begin(self, channel: str, seq: int, plan: RolloutPlan, *, now: datetime) -> Rollout:
        """The rollout of a release, begun if it was not; those of earlier releases of the channel end."""
        rows = ROLLOUTS.c
        with writing(self._engine) as connection:
            row = _find(connection, channel, seq)
            if row is None:
                earlier = (rows.channel == channel) & (rows.seq < seq) & (rows.status != "replaced")
                connection.execute(update(ROLLOUTS).where(earlier).values(status="replaced", reason="replaced"))
                status = "running" if len(plan.stages) > 1 else "done"
                values = {"stage": 0, "status": status, "judged_up_to": 0, "stage_began_at_s": now.timestamp()}
                connection.execute(insert(ROLLOUTS).values(channel=channel, seq=seq, **values))
                row = _find(connection, channel, seq)
                record(connection, "rollout-began", _subject(_rollout(row, plan)), now=now)
        return _rollout(row, plan)

    def find(self, channel: str, seq: int, plan: RolloutPlan) -> Rollout | None:
        """The rollout of a release, if it has begun."""
        with reading(self._engine) as connection:
            row = _find(connection, channel, seq)
        return None if row is None else _rollout(row, plan)

    def advance(self, rollout: Rollout, *, by: str = SERVER, now: datetime) -> Rollout:
        """Open the next stage.

        Raises:
            DataError: if it is stopped or paused, if there is none, or if the signed plan does not allow it yet.
        """
        with self._changing(rollout, ("running",)) as (connection, current):
            if current.is_last:
                raise DataError("rollout", f"release {current.seq}: everybody who may have it is asked already")
            opens_at = current.plan.stages[current.stage + 1].not_before
            if now < opens_at:
                raise DataError(
                    "rollout", f"release {current.seq}: its plan opens the next stage at {opens_at:%Y-%m-%d %H:%M} UTC"
                )
            widened = replace(current, stage=current.stage + 1, stage_began_at=now)
            if widened.is_last:
                widened = replace(widened, status="done")
            _save(connection, widened)
            buckets = widened.plan.stages[widened.stage].max_buckets
            record(connection, "rollout-advanced", _subject(widened), by=by, now=now, buckets=buckets)
            return widened

    def pause(self, rollout: Rollout, *, by: str, now: datetime) -> Rollout:
        """Let it stay as it is: who has a turn keeps it, nobody else gets one.

        Raises:
            DataError: if it is not running.
        """
        return self._turn(rollout, ("running",), "rollout-paused", by, now, status="paused")

    def resume(self, rollout: Rollout, *, by: str, reports_up_to: int, now: datetime) -> Rollout:
        """Let it go on, where it was. Of a stopped one, what was reported up to now counts no more.

        Raises:
            DataError: if it is neither paused nor stopped.
        """
        changes: dict[str, Any] = {"status": "running", "reason": None, "stage_began_at": now}
        if rollout.status == "halted":
            changes["judged_up_to"] = reports_up_to
        if rollout.is_last:
            changes["status"] = "done"
        return self._turn(rollout, ("paused", "halted"), "rollout-resumed", by, now, **changes)

    def halt(self, rollout: Rollout, reason: StopReason, *, by: str = SERVER, now: datetime) -> Rollout:
        """Stop it: nobody gets the release any more.

        Raises:
            DataError: if it is stopped already, or replaced.
        """
        stoppable: tuple[Status, ...] = ("running", "paused", "done")
        return self._turn(rollout, stoppable, "rollout-halted", by, now, status="halted", reason=reason)

    def note_told(self, rollout: Rollout) -> None:
        """Devices can read the state of this row now."""
        where = (ROLLOUTS.c.channel == rollout.channel) & (ROLLOUTS.c.seq == rollout.seq)
        with writing(self._engine) as connection:
            connection.execute(update(ROLLOUTS).where(where).values(told=rollout.state.to_bytes().decode()))

    def _turn(
        self,
        rollout: Rollout,
        expected: tuple[Status, ...],
        act: Act,
        by: str,
        now: datetime,
        **changes: Any,  # noqa: ANN401 - fields of a row
    ) -> Rollout:
        with self._changing(rollout, expected) as (connection, current):
            changed = replace(current, **changes)
            _save(connection, changed)
            record(connection, act, _subject(changed), by=by, now=now, reason=changed.reason)
            return changed

    @contextlib.contextmanager
    def _changing(self, rollout: Rollout, expected: tuple[Status, ...]) -> Iterator[tuple[Connection, Rollout]]:
        """The row as it is now, in the transaction that changes it: two people may decide at the same time."""
        with writing(self._engine) as connection:
            row = _find(connection, rollout.channel, rollout.seq)
            current = _rollout(row, rollout.plan)
            if current.status not in expected:
                raise DataError(
                    "rollout",
                    f"release {rollout.seq}: expected one that is {' or '.join(expected)}, is {current.status}",
                )
            yield connection, current


def share_shown(rollout: Rollout) -> str:
    """How far it has gone, for people."""
    if rollout.status == "halted":
        return "stopped"
    buckets = rollout.plan.stages[rollout.stage].max_buckets
    return "who asks for it" if buckets == 0 else f"{buckets * 100 / N_BUCKETS:g} %"


def _find(connection: Connection, channel: str, seq: int) -> Any:  # noqa: ANN401 - a SQLAlchemy row has no type of its own
    found = select(ROLLOUTS).where(ROLLOUTS.c.channel == channel, ROLLOUTS.c.seq == seq)
    return connection.execute(found).one_or_none()


def _rollout(row: Any, plan: RolloutPlan) -> Rollout:  # noqa: ANN401
    return Rollout(
        channel=row.channel,
        seq=row.seq,
        stage=min(row.stage, len(plan.stages) - 1),
        status=row.status,
        reason=row.reason,
        stage_began_at=datetime.fromtimestamp(row.stage_began_at_s, UTC),
        judged_up_to=row.judged_up_to,
        told=row.told,
        plan=plan,
    )


def _save(connection: Connection, rollout: Rollout) -> None:
    where = (ROLLOUTS.c.channel == rollout.channel) & (ROLLOUTS.c.seq == rollout.seq)
    values = {
        "stage": rollout.stage,
        "status": rollout.status,
        "reason": rollout.reason,
        "stage_began_at_s": rollout.stage_began_at.timestamp(),
        "judged_up_to": rollout.judged_up_to,
    }
    connection.execute(update(ROLLOUTS).where(where).values(**values))


def _subject(rollout: Rollout) -> str:
    return f"{rollout.channel}/{rollout.seq}"
