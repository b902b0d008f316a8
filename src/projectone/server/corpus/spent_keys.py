"""Keys of consents under which no sample is left: they go, so that a backup of what was erased opens no more."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import Connection, Engine, exists, select

from projectone.server.audit import record
from projectone.server.corpus.tables import CONSENTS, SAMPLES
from projectone.server.corpus.vault import Vault
from projectone.server.database import reading, writing


def destroy_spent_keys(engine: Engine, vault: Vault, now: datetime, *, receipt_id: UUID | None = None) -> int:
    """Destroy the key of every consent in force, or of this one, whose samples all expired or were taken back.

    Gives how many. An upload holds its consent till its commit, and asks then whether the key it sealed with is still
    there; so either it is here before and the key stays, or it is sealed again. Safe to repeat and to interrupt.
    """
    with reading(engine) as connection:
        spent = list(_spent(connection, () if receipt_id is None else (CONSENTS.c.receipt_id == receipt_id,)))
    alive = vault.alive() if spent else set()
    return sum(_end(engine, vault, found, now) for found in spent if found in alive)


def _end(engine: Engine, vault: Vault, receipt_id: UUID, now: datetime) -> bool:
    this = CONSENTS.c.receipt_id == receipt_id
    with writing(engine) as connection:
        connection.execute(select(CONSENTS.c.receipt_id).where(this).with_for_update()).one()
        is_ended = receipt_id in _spent(connection, (this,)) and vault.end(receipt_id)
        if is_ended:
            record(connection, "key-destroyed", receipt_id, now=now)
    return is_ended


def _spent(connection: Connection, these: tuple[Any, ...]) -> Iterator[UUID]:
    """Consents in force with samples, none of which is left. Where there never was one, a first may be on its way."""
    theirs = SAMPLES.c.consent_receipt_id == CONSENTS.c.receipt_id
    query = select(CONSENTS.c.receipt_id).where(
        CONSENTS.c.withdrawn_at.is_(None), exists().where(theirs), ~exists().where(theirs, SAMPLES.c.state != "erased")
    )
    yield from connection.execute(query.where(*these)).scalars()
