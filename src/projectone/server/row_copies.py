"""Rows of one database carried over into another, of either kind, table by table."""

from __future__ import annotations

from datetime import UTC, datetime

from sqlalchemy import Column, Connection, DateTime, Engine, Integer, MetaData, Table, func, insert, inspect, select

from projectone.errors import SettingsError
from projectone.server.database import describe_database, reading, writing

_N_ROWS = 1000


def carry_rows(source: Engine, target: Engine, tables: MetaData) -> None:
    """Every row of these tables, as they are at one moment, into a database whose tables are empty: all, or none.

    Raises:
        SettingsError: if there are rows already.
        StorageError: if a database refused.
    """
    with reading(source) as rows, writing(target) as connection:
        _require_no_rows(connection, tables)
        for table in tables.sorted_tables:
            _carry_table(rows, connection, table)


def require_no_rows(engine: Engine, tables: MetaData) -> None:
    """Refuse a database in which rows are; one without tables, or with empty ones, will do.

    Raises:
        SettingsError: naming a table that is not empty.
        StorageError: if the database cannot be asked.
    """
    with reading(engine) as connection:
        _require_no_rows(connection, tables)


def has_rows(engine: Engine, tables: MetaData) -> bool:
    """Whether any of these tables holds a row; errors of the database as `require_no_rows`."""
    with reading(engine) as connection:
        return _first_with_rows(connection, tables) is not None


def _require_no_rows(connection: Connection, tables: MetaData) -> None:
    if (name := _first_with_rows(connection, tables)) is not None:
        place = describe_database(connection.engine.url)
        raise SettingsError(
            f"{place}: expected a database without rows, got one with {name!r}: rename it, so that nothing of it is "
            "lost, and make an empty one in its place"
        )


def _first_with_rows(connection: Connection, tables: MetaData) -> str | None:
    there = set(inspect(connection).get_table_names())
    for table in tables.sorted_tables:
        if table.name in there and connection.execute(select(func.count()).select_from(table)).scalar_one():
            return table.name
    return None


def _carry_table(rows: Connection, target: Connection, table: Table) -> None:
    """In the order of their keys: the order in which rows were written may tell what they do not say."""
    moments = [column.name for column in table.columns if isinstance(column.type, DateTime)]
    query = select(table).order_by(*table.primary_key.columns)
    for page in rows.execute(query, execution_options={"yield_per": _N_ROWS}).mappings().partitions(_N_ROWS):
        values = [dict(row) for row in page]
        for row in values:
            row |= {name: _utc(row[name]) for name in moments if row[name] is not None}
        target.execute(insert(table), values)
    numbered = table.autoincrement_column
    if numbered is not None and target.dialect.name == "postgresql":
        _count_on(target, table, numbered)


def _count_on(target: Connection, table: Table, numbered: Column[int]) -> None:
    """Have PostgreSQL number the next row behind the last one: it counts beside the table."""
    newest = target.execute(select(func.max(numbered))).scalar()
    if newest is not None:
        sequence = func.pg_get_serial_sequence(table.name, numbered.name)
        target.execute(select(func.setval(sequence, newest, type_=Integer)))


def _utc(moment: datetime) -> datetime:
    """SQLite forgets the zone, and PostgreSQL gives moments in that of its session; all that is written is UTC."""
    return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)
