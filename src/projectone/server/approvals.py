"""Rows: what a person is asked before a model goes out, and what they said. One answer for each question.

A question is bound to all that it is about: the run, both models, the verdict. Another verdict is another question.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Final, Literal

from sqlalchemy import Column, Connection, Engine, Float, Row, String, Table, Text, insert, select, update

from projectone.contracts.texts import printable
from projectone.contracts.versions import DEFAULT_FAMILY, Family
from projectone.errors import DataError
from projectone.server.audit import SERVER, Act, record
from projectone.server.database import METADATA, reading, writing
from projectone.server.runs import RUNS, Guard

Answer = Literal["approved", "vetoed", "judge-again", "expired", "withdrawn"]
_ACTS: Final[dict[Answer, Act]] = {
    "approved": "run-approved",
    "vetoed": "run-vetoed",
    "judge-again": "run-judged-again",
    "expired": "approval-expired",
    "withdrawn": "approval-withdrawn",
}
MAX_NOTE_CHARACTERS: Final = 2_000

APPROVALS = Table(
    "approvals",
    METADATA,
    Column("subject_sha256", String(64), primary_key=True),
    Column("run_id", String(36), nullable=False, index=True),
    Column("decision", String(16), nullable=False),
    Column("production_sha256", String(64), nullable=False),
    Column("candidate_sha256", String(64), nullable=False),
    Column("asked_at_s", Float, nullable=False),
    Column("expires_at_s", Float, nullable=False),
    Column("answer", String(16)),
    Column("answered_by", String(96)),
    Column("note", Text),
    Column("answered_at_s", Float),
)


@dataclass(frozen=True, kw_only=True)
class Question:
    """What a person is asked.

    Attributes:
        subject_sha256: Digest of everything that the answer is about.
        decision: The gate's own: ``"hold"`` or ``"promote"``.
        production_sha256: The model that the candidate was judged against.
    """

    subject_sha256: str
    run_id: str
    decision: str
    production_sha256: str
    candidate_sha256: str


@dataclass(frozen=True, kw_only=True)
class Approval:
    """A question with its time and, once it was given, the answer."""

    question: Question
    asked_at: datetime
    expires_at: datetime
    answer: Answer | None
    answered_by: str | None
    note: str | None
    answered_at: datetime | None

    @property
    def in_words(self) -> str:
        """Who said what, for people."""
        if self.answer is None:
            return f"waits for a person until {self.expires_at:%Y-%m-%d %H:%M} UTC"
        if self.answer == "expired":
            return f"nobody decided by {self.expires_at:%Y-%m-%d %H:%M} UTC"
        if self.answer == "withdrawn":
            return "a sample was withdrawn while it waited for a person"
        note = f": {self.note}" if self.note else ""
        said = "sent back to be judged again" if self.answer == "judge-again" else self.answer
        return f"{said} by {self.answered_by} on {self.answered_at:%Y-%m-%d}{note}"


class Approvals:
    """Questions and answers.

    Args:
        engine: The server's database.
        released: Digest of the weights that a family released last; None before its first release.
        clock: Now, with its zone.
    """

    def __init__(
        self,
        engine: Engine,
        *,
        released: Callable[[Family], str | None],
        clock: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self._engine = engine
        self._released = released
        self._clock = clock

    def ask(self, question: Question, *, lifetime: timedelta, guard: Guard) -> None:
        """Put a question, and let its run wait for the answer. A question that was put is left as it is."""
        row, now_s = APPROVALS.c, self._clock().timestamp()
        with writing(self._engine) as connection:
            guard(connection)
            known = connection.execute(select(row.answer).where(row.subject_sha256 == question.subject_sha256)).all()
            if not known:
                times = {"asked_at_s": now_s, "expires_at_s": now_s + lifetime.total_seconds()}
                connection.execute(insert(APPROVALS).values(**vars(question), **times))
            if not known or known[0].answer is None:
                run = update(RUNS).where(RUNS.c.run_id == question.run_id, RUNS.c.state == "running")
                # What happens after the answer is counted anew.
                connection.execute(run.values(state="waiting", attempts=0))

    def find(self, subject_sha256: str) -> Approval | None:
        """What became of a question."""
        query = select(APPROVALS).where(APPROVALS.c.subject_sha256 == subject_sha256)
        with reading(self._engine) as connection:
            row = connection.execute(query).one_or_none()
        return None if row is None else _approval(row)

    def of_run(self, run_id: str) -> list[Approval]:
        """Every question about a run, the newest first."""
        return questions_of(self._engine, run_id)

    def waiting(self) -> list[Approval]:
        """What was not answered yet, the oldest first."""
        query = select(APPROVALS).where(APPROVALS.c.answer.is_(None)).order_by(APPROVALS.c.asked_at_s)
        with reading(self._engine) as connection:
            return [_approval(row) for row in connection.execute(query)]

    def answer(
        self,
        run_id: str,
        answer: Answer,
        *,
        by: str = SERVER,
        note: str | None = None,
        subject_sha256: str | None = None,
    ) -> Approval:
        """Answer what is asked about a run, once; the run goes on.

        Args:
            run_id: The run that waits.
            answer: What is decided.
            by: Account of the person.
            note: Why, in their words; kept as one line in which everything can be seen.
            subject_sha256: The question that was read; None where there was no time for another one.

        Raises:
            DataError: ``not-waiting`` if nothing is asked about the run, or it is answered; ``other-question`` if it
                is not the one that was read; ``production-changed`` if the candidate was judged against another model;
                ``same-production`` if judging again would tell nothing.
        """
        row, now, released_sha256 = APPROVALS.c, self._clock(), self._released(self._family_of(run_id))
        with writing(self._engine) as connection:
            open_one = select(APPROVALS).where(row.run_id == run_id, row.answer.is_(None))
            found = connection.execute(open_one.order_by(row.asked_at_s.desc()).limit(1)).one_or_none()
            if found is None:
                raise _not_waiting(connection, run_id)
            question = _approval(found).question
            if subject_sha256 not in (None, question.subject_sha256):
                raise DataError("other-question", f"run {run_id}: was judged again meanwhile; read it once more")
            _refuse_stale(question, answer, released_sha256)
            mine = update(APPROVALS).where(row.subject_sha256 == question.subject_sha256, row.answer.is_(None))
            values = {"answer": answer, "answered_by": by, "answered_at_s": now.timestamp()}
            values |= {"note": None if note is None else _as_line(note)}
            if connection.execute(mine.values(**values)).rowcount != 1:  # another one was quicker
                raise _not_waiting(connection, run_id)
            connection.execute(
                update(RUNS).where(RUNS.c.run_id == run_id, RUNS.c.state == "waiting").values(state="running")
            )
            record(
                connection, _ACTS[answer], run_id, by=by, now=now, decision=question.decision,
                subject_sha256=question.subject_sha256,
            )  # fmt: skip
            done = connection.execute(select(APPROVALS).where(row.subject_sha256 == question.subject_sha256)).one()
        return _approval(done)

    def _family_of(self, run_id: str) -> Family:
        with reading(self._engine) as connection:
            family: Family | None = connection.execute(select(RUNS.c.family).where(RUNS.c.run_id == run_id)).scalar()
        return family or DEFAULT_FAMILY


def questions_of(engine: Engine, run_id: str) -> list[Approval]:
    """Every question about a run, the newest first."""
    query = select(APPROVALS).where(APPROVALS.c.run_id == run_id).order_by(APPROVALS.c.asked_at_s.desc())
    with reading(engine) as connection:
        return [_approval(row) for row in connection.execute(query)]


def _refuse_stale(question: Question, answer: Answer, released_sha256: str | None) -> None:
    # Before the first release production is the base, and stays it.
    production_sha256 = released_sha256 or question.production_sha256
    is_same = production_sha256 == question.production_sha256
    if answer == "approved" and not is_same:
        raise DataError(
            "production-changed",
            f"run {question.run_id}: its model was judged against {question.production_sha256[:12]}, production is "
            f"{production_sha256[:12]} now; let it be judged again "
            f"(`projectone-server work judge-again {question.run_id}`)",
        )
    if answer == "judge-again" and is_same:
        raise DataError(
            "same-production",
            f"run {question.run_id}: production is still what its model was judged against; approve or veto it",
        )


def _not_waiting(connection: Connection, run_id: str) -> DataError:
    row = APPROVALS.c
    newest = select(APPROVALS).where(row.run_id == run_id).order_by(row.asked_at_s.desc()).limit(1)
    before = connection.execute(newest).one_or_none()
    if before is not None:
        return DataError("not-waiting", f"run {run_id}: is decided already: {_approval(before).in_words}")
    run = connection.execute(select(RUNS.c.state, RUNS.c.reason).where(RUNS.c.run_id == run_id)).one_or_none()
    if run is None:
        return DataError("run-unknown", f"run {run_id!r}: there is none of this id")
    why = f" ({run.reason})" if run.reason else ""
    return DataError(
        "not-waiting",
        f"run {run_id}: is {run.state}{why} and waits for nobody; what was refused is only released by a new run",
    )


def _approval(row: Row[Any]) -> Approval:
    plain = dict(row._mapping)
    question = Question(**{name: plain[name] for name in Question.__dataclass_fields__})
    asked_at, expires_at, answered_at = (
        None if plain[name] is None else datetime.fromtimestamp(plain[name], UTC)
        for name in ("asked_at_s", "expires_at_s", "answered_at_s")
    )
    assert asked_at is not None and expires_at is not None  # columns that are never empty
    return Approval(
        question=question,
        asked_at=asked_at,
        expires_at=expires_at,
        answer=plain["answer"],
        answered_by=plain["answered_by"],
        note=plain["note"],
        answered_at=answered_at,
    )


def _as_line(note: str) -> str | None:
    return printable(" ".join(note.split()))[:MAX_NOTE_CHARACTERS] or None
