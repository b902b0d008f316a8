"""Vectors in PostgreSQL with pgvector: beside the rows of a team that has them there.

There is no index over vectors, on purpose. The primary key finds an owner's rows and all of them are compared: an
approximate index would look among everybody and leave a small owner with a part of their own. The order is by an
expression that no index can serve, so one that somebody makes later changes no answer.
"""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Iterator, Sequence
from datetime import datetime
from typing import Any, Final, LiteralString
from uuid import UUID

import psycopg
from pgvector import Vector as Dense
from pgvector.psycopg import register_vector

from projectone.assist.vectors.protocol import (
    NEVER,
    Hit,
    Item,
    Owner,
    Vector,
    checked_k,
    direction,
    expiry_us,
    rows_of,
)
from projectone.errors import StorageError

_TABLE: Final = f"""
CREATE TABLE projectone_vectors (
    owner char(64) NOT NULL,
    id uuid NOT NULL,
    kind varchar(32) NOT NULL,
    expires_us bigint NOT NULL,
    vector vector({{width}}) NOT NULL,
    PRIMARY KEY (owner, id)
);
CREATE INDEX projectone_vectors_by_expiry ON projectone_vectors (expires_us) WHERE expires_us < {NEVER}
"""
_WIDTH: Final = (
    "SELECT atttypmod FROM pg_attribute WHERE attrelid = to_regclass('projectone_vectors') AND attname = 'vector'"
)
_PUT: Final = (
    "INSERT INTO projectone_vectors (owner, id, kind, expires_us, vector) VALUES (%s, %s, %s, %s, %b) "
    "ON CONFLICT (owner, id) DO UPDATE "
    "SET kind = excluded.kind, expires_us = excluded.expires_us, vector = excluded.vector"
)
# `+ 0`: an index over vectors serves `ORDER BY vector <=> ...` alone.
_NEAREST: Final = (
    "SELECT id, kind, (vector <=> %b) + 0 AS distance FROM projectone_vectors "
    "WHERE owner = %s AND expires_us > %s ORDER BY distance, id LIMIT %s"
)
_EXPIRED: Final = f"FROM projectone_vectors WHERE expires_us <= %s AND expires_us < {NEVER}"
_MAKING: Final = 5_310_431  # the lock of whoever makes the table; any number that nobody else takes
_TIMEOUT_S: Final = 5
_STATEMENT_TIMEOUT: Final = "SET statement_timeout = '30s'"


class PostgresqlVectors:
    """A `VectorStore` in a PostgreSQL database; several processes and machines may use it at once.

    Deleted rows are out of reach at once. Their bytes go when PostgreSQL vacuums and the log and the backups age:
    that is the operator's to set (docs/vectors.md).

    Args:
        url: As libpq takes it, `postgresql://user:password@host/database`. The table is made if it is missing.
        width: Numbers of a vector.

    Raises:
        StorageError: if the server cannot be reached, has no pgvector, or keeps vectors of another width.
    """

    def __init__(self, url: str, width: int) -> None:
        self._url = url
        self._width = width
        self._connection: psycopg.Connection[Any] | None = None
        self._lock = threading.Lock()
        with self._connected():
            pass

    def put(self, items: Sequence[Item]) -> None:
        """See `VectorStore`."""
        # In one order: two that put the same do not wait for each other in a circle.
        rows = sorted(rows_of(items, self._width), key=lambda row: (row.owner, row.id))
        with self._connected() as connection, connection.transaction(), connection.cursor() as cursor:
            cursor.executemany(_PUT, [(row.owner, row.id, row.kind, row.expires_us, Dense(row.vector)) for row in rows])

    def nearest(self, query: Vector, owner: Owner, k: int, now: datetime) -> list[Hit]:
        """See `VectorStore`."""
        asked, n, now_us = Dense(direction(query, self._width)), checked_k(k), expiry_us(now)
        with self._connected() as connection:
            _sweep(connection, now_us)
            rows = connection.execute(_NEAREST, (asked, owner.key, now_us, n)).fetchall()
        return [Hit(identifier, min(2.0, max(0.0, distance)), kind) for identifier, kind, distance in rows]

    def drop(self, ids: Sequence[UUID], owner: Owner) -> int:
        """See `VectorStore`."""
        sql = "DELETE FROM projectone_vectors WHERE owner = %s AND id = ANY(%s)"
        with self._connected() as connection:
            return connection.execute(sql, (owner.key, list(ids))).rowcount

    def forget(self, owner: Owner) -> int:
        """See `VectorStore`."""
        with self._connected() as connection:
            return connection.execute("DELETE FROM projectone_vectors WHERE owner = %s", (owner.key,)).rowcount

    def sweep(self, now: datetime) -> int:
        """See `VectorStore`."""
        with self._connected() as connection:
            return _sweep(connection, expiry_us(now))

    def count(self, owner: Owner) -> int:
        """See `VectorStore`."""
        with self._connected() as connection:
            return _number(connection, "SELECT count(*) FROM projectone_vectors WHERE owner = %s", owner.key)

    def close(self) -> None:
        """Hang up."""
        with self._lock:
            if self._connection is not None:
                self._connection.close()
                self._connection = None

    @contextlib.contextmanager
    def _connected(self) -> Iterator[psycopg.Connection[Any]]:
        """The connection, for one thread at a time; a new one where the old one broke."""
        with self._lock:
            try:
                if self._connection is None or self._connection.closed:
                    self._connection = _connect(self._url, self._width)
                yield self._connection
            except psycopg.Error as error:
                if isinstance(error, psycopg.OperationalError) and self._connection is not None:
                    self._connection.close()
                raise StorageError(f"vectors in PostgreSQL: {_first_line(error)}") from error


def _connect(url: str, width: int) -> psycopg.Connection[Any]:
    connection = psycopg.connect(url, autocommit=True, connect_timeout=_TIMEOUT_S, application_name="projectone")
    try:
        connection.execute(_STATEMENT_TIMEOUT)
        with connection.transaction():
            connection.execute("SELECT pg_advisory_xact_lock(%s)", (_MAKING,))
            connection.execute("CREATE EXTENSION IF NOT EXISTS vector")
            found = connection.execute(_WIDTH).fetchone()
            if found is None:
                connection.execute(_TABLE.format(width=int(width)))
            elif found[0] != width:
                raise StorageError(f"the vectors that are kept are {found[0]} numbers wide, expected {width}: {_ANEW}")
        register_vector(connection)
    except BaseException:
        connection.close()
        raise
    return connection


_ANEW: Final = "they were made by another encoder; DROP TABLE projectone_vectors, and they are made anew"


def _sweep(connection: psycopg.Connection[Any], now_us: int) -> int:
    if not _number(connection, f"SELECT count(*) FROM (SELECT 1 {_EXPIRED} LIMIT 1) AS one", now_us):
        return 0
    return connection.execute(f"DELETE {_EXPIRED}", (now_us,)).rowcount


def _number(connection: psycopg.Connection[Any], sql: LiteralString, parameter: str | int) -> int:
    found = connection.execute(sql, (parameter,)).fetchone()
    return int(found[0]) if found is not None else 0


def _first_line(error: psycopg.Error) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0]
