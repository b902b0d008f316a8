"""Rows: what is remembered of whom, sealed. There is no way to them without naming their owner.

What is forgotten leaves an empty row for an hour: whoever was just making its vector sees that and takes it back.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final, NamedTuple
from uuid import UUID, uuid4

from sqlalchemy import (
    ColumnElement,
    Connection,
    Engine,
    and_,
    delete,
    func,
    insert,
    or_,
    select,
    update,
)

from projectone.assist.memory import KINDS, Retention
from projectone.assist.vectors.protocol import Owner
from projectone.errors import StorageError
from projectone.server.database import reading, writing
from projectone.server.memories.tables import (
    HOSTED_MEMORIES,
    HOSTED_MEMORY_KEYS,
    HOSTED_MEMORY_LINKS,
    HOSTED_MEMORY_WITHDRAWALS,
)

GONE_FOR_S: Final = 3600.0
_ROW, _KEY, _LINK = HOSTED_MEMORIES.c, HOSTED_MEMORY_KEYS.c, HOSTED_MEMORY_LINKS.c
_AT_ONCE: Final = 500
_EMPTY: Final[dict[str, Any]] = {"sealed": b"", "said_s": 0.0, "embedded_by": None}


@dataclass(frozen=True, kw_only=True)
class SealedRow:
    """A memory as it is kept."""

    memory_id: UUID
    kind: str
    sealed: bytes
    said_s: float
    kept_s: float
    expires_s: float | None
    embedded_by: str | None = None


class Link(NamedTuple):
    """Whose consents an owner gave, as a product said, and since when (Unix seconds)."""

    owner: Owner
    contributor_id: str
    linked_s: float


class HostedRows:
    """The rows of one owner. Every statement names the owner; nothing of another's is read, changed or counted."""

    def __init__(self, engine: Engine, owner: Owner) -> None:
        if owner.is_shared:
            raise ValueError("owner: expected a person; memories are nobody's in common")
        self.owner = owner
        self._engine = engine
        self._names = {"tenant": owner.tenant, "person": owner.user}
        self._theirs = and_(_ROW.tenant == owner.tenant, _ROW.person == owner.user)
        self._alive = and_(self._theirs, _ROW.gone_s.is_(None))
        self._key = and_(_KEY.tenant == owner.tenant, _KEY.person == owner.user)
        self._link = and_(_LINK.tenant == owner.tenant, _LINK.person == owner.user)

    def key(self) -> tuple[UUID, bool] | None:
        """The id of the owner's key, and whether forgetting has begun; None if there is none."""
        with reading(self._engine) as connection:
            found = connection.execute(select(HOSTED_MEMORY_KEYS).where(self._key)).one_or_none()
        return None if found is None else (found.key_id, found.is_forgotten)

    def make_key(self) -> None:
        """Give the owner a key's id, if there is none."""
        try:
            with writing(self._engine) as connection:
                if connection.execute(select(_KEY.key_id).where(self._key)).one_or_none() is None:
                    values = {**self._names, "key_id": uuid4(), "is_forgotten": False}
                    connection.execute(insert(HOSTED_MEMORY_KEYS).values(**values))
        except StorageError:
            if self.key() is None:  # else somebody else was quicker
                raise

    def add(self, row: SealedRow, key_id: UUID) -> bool:
        """Keep one; False if what it was sealed with is not the owner's key any more. A known id is left as it is."""
        is_theirs = and_(self._key, _KEY.key_id == key_id, _KEY.is_forgotten.is_(False))
        with writing(self._engine) as connection:
            if connection.execute(select(_KEY.key_id).where(is_theirs).with_for_update()).one_or_none() is None:
                return False
            known = select(_ROW.memory_id).where(self._theirs, _ROW.memory_id == row.memory_id)
            if connection.execute(known).one_or_none() is None:
                connection.execute(insert(HOSTED_MEMORIES).values(**self._names, **vars(row)))
        return True

    def mark(self, memory_id: UUID, embedded_by: str) -> bool:
        """Note who made its vector; False if there is no such row any more."""
        here = (self._alive, _ROW.memory_id == memory_id)
        with writing(self._engine) as connection:
            return connection.execute(update(HOSTED_MEMORIES).where(*here).values(embedded_by=embedded_by)).rowcount > 0

    def unmark(self) -> None:
        """No vector of this owner counts any more."""
        with writing(self._engine) as connection:
            connection.execute(update(HOSTED_MEMORIES).where(self._theirs).values(embedded_by=None))

    def these(self, ids: Sequence[UUID]) -> dict[UUID, SealedRow]:
        """Those of these ids that are this owner's."""
        found: dict[UUID, SealedRow] = {}
        with reading(self._engine) as connection:
            for begin in range(0, len(ids), _AT_ONCE):
                some = _ROW.memory_id.in_(ids[begin : begin + _AT_ONCE])
                for row in connection.execute(select(HOSTED_MEMORIES).where(self._alive, some)):
                    found[row.memory_id] = _to_row(row)
        return found

    def newest(self, limit: int) -> list[SealedRow]:
        """The last ones, newest first."""
        query = select(HOSTED_MEMORIES).where(self._alive).order_by(_ROW.said_s.desc(), _ROW.memory_id).limit(limit)
        with reading(self._engine) as connection:
            return [_to_row(row) for row in connection.execute(query)]

    def without_vector(self, limit: int, *, embedded_by: str) -> list[SealedRow]:
        """Those that cannot be found by what they mean with this embedder."""
        is_missing = or_(_ROW.embedded_by.is_(None), _ROW.embedded_by != embedded_by)
        with reading(self._engine) as connection:
            found = connection.execute(select(HOSTED_MEMORIES).where(self._alive, is_missing).limit(limit))
            return [_to_row(row) for row in found]

    def n_alive(self) -> int:
        """How many there are."""
        with reading(self._engine) as connection:
            query = select(func.count()).select_from(HOSTED_MEMORIES).where(self._alive)
            return int(connection.execute(query).scalar_one())

    def n_embedded(self) -> int:
        """How many are said to have a vector."""
        query = select(func.count()).select_from(HOSTED_MEMORIES).where(self._alive, _ROW.embedded_by.is_not(None))
        with reading(self._engine) as connection:
            return int(connection.execute(query).scalar_one())

    def empty(self, ids: Sequence[UUID], now_s: float) -> int:
        """Let go of these; gives how many there were."""
        parts = [ids[begin : begin + _AT_ONCE] for begin in range(0, len(ids), _AT_ONCE)]
        return sum(self._empty(_ROW.memory_id.in_(part), now_s) for part in parts)

    def empty_expired(self, retention: Retention, now_s: float) -> int:
        """Let go of what has run out; a look where nothing has. Gives how many."""
        is_over = run_out(retention, now_s)
        with reading(self._engine) as connection:
            if connection.execute(select(_ROW.memory_id).where(self._alive, is_over).limit(1)).one_or_none() is None:
                return 0
        return self._empty(is_over, now_s)

    def empty_oldest(self, most: int, now_s: float) -> int:
        """Let go of the oldest of more than `most`; gives how many."""
        query = select(_ROW.memory_id).where(self._alive).order_by(_ROW.said_s.desc(), _ROW.memory_id).offset(most)
        with reading(self._engine) as connection:
            ids = list(connection.execute(query.limit(10 * _AT_ONCE)).scalars())
        return self.empty(ids, now_s)

    def begin_forgetting(self, *, begun: UUID | None = None) -> UUID | None:
        """Nothing more is kept or found with the owner's key from now on; gives its id, None if there is none.

        Args:
            begun: The key of one that was begun before; None with the owner's own word, with which the link goes too.
                Nothing happens where the owner has another key by now: what is sealed with that came afterwards.
        """
        which = self._key if begun is None else and_(self._key, _KEY.key_id == begun)
        with writing(self._engine) as connection:
            found = connection.execute(select(_KEY.key_id).where(which).with_for_update()).scalar_one_or_none()
            connection.execute(update(HOSTED_MEMORY_KEYS).where(which).values(is_forgotten=True))
            if begun is None:
                connection.execute(delete(HOSTED_MEMORY_LINKS).where(self._link))
        return found

    def begin_withdrawal(self, link: Link, withdrawn_at: datetime) -> tuple[bool, UUID | None]:
        """As `begin_forgetting`, with the last consent of whoever is linked; how many go is noted.

        Gives whether the link is still the one that was seen. If not, somebody else has ended it.
        """
        with writing(self._engine) as connection:
            if connection.execute(select(_LINK.linked_s).where(self._is(link))).one_or_none() is None:
                return False, None
            key = connection.execute(select(HOSTED_MEMORY_KEYS).where(self._key).with_for_update()).one_or_none()
            if key is None:
                return True, None
            if not key.is_forgotten:
                n_alive = connection.execute(select(func.count()).select_from(HOSTED_MEMORIES).where(self._alive))
                _note_withdrawal(connection, link.contributor_id, withdrawn_at, n_alive.scalar_one())
                connection.execute(update(HOSTED_MEMORY_KEYS).where(self._key).values(is_forgotten=True))
            return True, key.key_id

    def end_withdrawal(self, connection: Connection, link: Link, key_id: UUID | None, now_s: float) -> int | None:
        """Empty every row and let go of the link, in the caller's transaction; gives how many rows there were.

        None if somebody else has ended it. Where the owner has another key by now, its rows stay and so does the link,
        which counts for withdrawals from now on.
        """
        key = connection.execute(select(_KEY.key_id).where(self._key)).scalar_one_or_none()
        if key not in (None, key_id):
            connection.execute(update(HOSTED_MEMORY_LINKS).where(self._is(link)).values(linked_s=now_s))
            return None
        if connection.execute(delete(HOSTED_MEMORY_LINKS).where(self._is(link))).rowcount == 0:
            return None
        return self._empty_all(connection, now_s)

    def end_forgetting(self, connection: Connection, key_id: UUID, now_s: float) -> bool:
        """Let go of the key's id and empty every row, in the caller's transaction; False if somebody else has."""
        if connection.execute(delete(HOSTED_MEMORY_KEYS).where(self._key, _KEY.key_id == key_id)).rowcount == 0:
            return False
        self._empty_all(connection, now_s)
        return True

    def link(self, contributor_id: str | None, now_s: float) -> None:
        """Note whose consents the owner gave; None lets go of it.

        The same again keeps its first moment, but not while the owner is being forgotten: then it is for what comes.
        """
        known = select(_LINK.linked_s).where(self._link, _LINK.contributor_id == contributor_id)
        going = select(_KEY.key_id).where(self._key, _KEY.is_forgotten)
        with writing(self._engine) as connection:
            is_known = contributor_id is not None and connection.execute(known).one_or_none() is not None
            if is_known and connection.execute(going).one_or_none() is None:
                return
            connection.execute(delete(HOSTED_MEMORY_LINKS).where(self._link))
            if contributor_id is not None:
                values = {**self._names, "contributor_id": contributor_id, "linked_s": now_s}
                connection.execute(insert(HOSTED_MEMORY_LINKS).values(**values))

    def gone(self) -> list[UUID]:
        """Ids of empty rows."""
        with reading(self._engine) as connection:
            query = select(_ROW.memory_id).where(self._theirs, _ROW.gone_s.is_not(None)).limit(10 * _AT_ONCE)
            return list(connection.execute(query).scalars())

    def delete_gone(self, before_s: float) -> None:
        """Delete the rows that are empty for so long."""
        with writing(self._engine) as connection:
            connection.execute(delete(HOSTED_MEMORIES).where(self._theirs, _ROW.gone_s <= before_s))

    def _is(self, link: Link) -> ColumnElement[bool]:
        return and_(self._link, _LINK.contributor_id == link.contributor_id, _LINK.linked_s == link.linked_s)

    def _empty_all(self, connection: Connection, now_s: float) -> int:
        change = update(HOSTED_MEMORIES).where(self._alive).values(**_EMPTY, gone_s=now_s)
        return int(connection.execute(change).rowcount)

    def _empty(self, which: ColumnElement[bool], now_s: float) -> int:
        with writing(self._engine) as connection:
            change = update(HOSTED_MEMORIES).where(self._alive, which).values(**_EMPTY, gone_s=now_s)
            return int(connection.execute(change).rowcount)


def run_out(retention: Retention, now_s: float) -> ColumnElement[bool]:
    """What may be kept no longer: by its own moment, or by a retention that is shorter now than it was then."""
    over = [_ROW.expires_s <= now_s]
    for kind in KINDS:
        if (seconds := retention.seconds(kind)) is not None:
            over.append(and_(_ROW.kind == kind, _ROW.kept_s <= now_s - seconds))
    return or_(*over)


def owners_with_work(engine: Engine, keeps: dict[str, Retention], now_s: float, *, embedded_by: str) -> list[Owner]:
    """Owners for whom a sweep has something to do, by tenants with their retention."""
    owned = (_ROW.tenant, _ROW.person)
    is_over = or_(
        _ROW.expires_s <= now_s, *(and_(_ROW.tenant == name, run_out(keep, now_s)) for name, keep in keeps.items())
    )
    is_missing = or_(_ROW.embedded_by.is_(None), _ROW.embedded_by != embedded_by)
    queries = (
        select(*owned).where(or_(_ROW.gone_s.is_not(None), is_over)).distinct(),
        select(*owned).where(_ROW.gone_s.is_(None), is_missing).distinct(),
        select(_KEY.tenant, _KEY.person).where(_KEY.is_forgotten),
    )
    with reading(engine) as connection:
        found = {(row.tenant, row.person) for query in queries for row in connection.execute(query)}
    return [Owner(*names) for names in sorted(found)]


def owners_over(engine: Engine, most: int) -> list[Owner]:
    """Owners with more than `most` memories."""
    owned = (_ROW.tenant, _ROW.person)
    query = select(*owned).where(_ROW.gone_s.is_(None)).group_by(*owned).having(func.count() > most)
    with reading(engine) as connection:
        return [Owner(*names) for names in connection.execute(query)]


def every_owner(engine: Engine, tenant: str | None = None) -> list[Owner]:
    """Everybody of whom there is a key, and so perhaps a row."""
    query = select(_KEY.tenant, _KEY.person).order_by(_KEY.tenant, _KEY.person)
    with reading(engine) as connection:
        rows = connection.execute(query if tenant is None else query.where(_KEY.tenant == tenant))
        return [Owner(*names) for names in rows]


def every_key(engine: Engine) -> list[tuple[Owner, UUID, bool]]:
    """Whose key is which, and whether forgetting has begun."""
    with reading(engine) as connection:
        found = connection.execute(select(HOSTED_MEMORY_KEYS).order_by(_KEY.tenant, _KEY.person))
        return [(Owner(row.tenant, row.person), row.key_id, row.is_forgotten) for row in found]


def every_link(engine: Engine) -> list[Link]:
    """Whose consents are whose, as products said, and since when."""
    with reading(engine) as connection:
        found = connection.execute(select(HOSTED_MEMORY_LINKS).order_by(_LINK.tenant, _LINK.person))
        return [Link(Owner(row.tenant, row.person), row.contributor_id, row.linked_s) for row in found]


def _note_withdrawal(connection: Connection, contributor_id: str, withdrawn_at: datetime, n_memories: int) -> None:
    values = {"contributor_id": contributor_id, "withdrawn_at": withdrawn_at, "n_memories": n_memories}
    connection.execute(insert(HOSTED_MEMORY_WITHDRAWALS).values(entry_id=uuid4(), **values))


def withdrawals_of(engine: Engine, contributor_id: str) -> list[tuple[datetime, int]]:
    """When a person's last consents ended, and how many memories went each time; once for each product's person."""
    table = HOSTED_MEMORY_WITHDRAWALS
    query = select(table.c.withdrawn_at, table.c.n_memories).where(table.c.contributor_id == contributor_id)
    with reading(engine) as connection:
        found = connection.execute(query).all()
    # SQLite keeps no zone: what it gives is UTC.
    return [(moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC), n) for moment, n in found]


def _to_row(row: Any) -> SealedRow:  # noqa: ANN401 - a SQLAlchemy row has no type of its own
    return SealedRow(
        memory_id=row.memory_id,
        kind=row.kind,
        sealed=row.sealed,
        said_s=row.said_s,
        kept_s=row.kept_s,
        expires_s=row.expires_s,
        embedded_by=row.embedded_by,
    )
