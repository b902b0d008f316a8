"""Tables of the store of keys, a database of its own: a copy of the samples never holds what opens them."""

from __future__ import annotations

from pathlib import Path

from sqlalchemy import Boolean, Column, DateTime, Engine, LargeBinary, MetaData, String, Table, Uuid

from projectone.server.database import WRITER_OF_KEYS, open_engine, writing

KEY_TABLES = MetaData()
MASTER_KEYS = Table(
    "master_keys",
    KEY_TABLES,
    Column("master_id", String(64), primary_key=True),
    Column("created_at", DateTime(timezone=True), nullable=False),
    Column("is_current", Boolean, nullable=False),
)
# After a withdrawal the row stays as a tombstone without a key, so that no other is made for the same consent. A row
# without key and `destroyed_at`: everything under the consent expired or was taken back, and what comes gets another.
CONSENT_KEYS = Table(
    "consent_keys",
    KEY_TABLES,
    Column("receipt_id", Uuid, primary_key=True),
    Column("public_key", LargeBinary),
    Column("mac_key", LargeBinary),
    Column("master_id", String(64), index=True),
    Column("wrapped", LargeBinary),
    Column("destroyed_at", DateTime(timezone=True)),
)
# What people took back one by one: rows restored from before are emptied again.
DELETIONS = Table(
    "noted_deletions",
    KEY_TABLES,
    Column("sample_id", Uuid, primary_key=True),
    Column("contributor_id", String(96), primary_key=True),
    Column("deleted_at", DateTime(timezone=True), nullable=False),
)


def open_key_database(url: str) -> Engine:
    """The database of keys, with its tables; a file is closed to everybody else before anything is in it.

    Raises:
        SettingsError, StorageError: as `open_engine`.
    """
    engine = open_engine(url, writer=WRITER_OF_KEYS)
    if engine.dialect.name == "sqlite" and engine.url.database:
        Path(engine.url.database).touch(mode=0o600)
    with writing(engine) as connection:
        KEY_TABLES.create_all(connection)
    return engine
