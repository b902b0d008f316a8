"""A key pair for every consent, the private half wrapped by a master key. Destroying it is the erasure."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

from sqlalchemy import Connection, Engine, bindparam, delete, func, insert, select, update

from projectone.contracts.base import canonical_json
from projectone.errors import KeyDestroyedError, KeyMissingError, KeyRenewedError, SealError, SettingsError
from projectone.server.database import forget_freed_pages, reading, writing
from projectone.server.group_commits import GroupCommits
from projectone.server.keys.memory import Memory
from projectone.server.keys.tables import CONSENT_KEYS, DELETIONS, MASTER_KEYS
from projectone.storage.keyfiles import MasterKeys
from projectone.storage.sealed import new_key_pair

_REWRAPPED_AT_ONCE = 100
_TRIES = 3
_MAC_BYTES = 32
_PROOF = b"proof"
_NO_KEY = {"public_key": None, "mac_key": None, "master_id": None, "wrapped": None}

_KEY = select(CONSENT_KEYS).where(CONSENT_KEYS.c.receipt_id == bindparam("wanted"))  # made once: each upload asks


@dataclass(frozen=True, repr=False)
class SealingKey:
    """What whoever takes samples in may hold: it seals and recognises, and opens nothing."""

    public_key: bytes
    mac_key: bytes


@dataclass(frozen=True)
class KeyCounts:
    """What lies in the store: keys alive, destroyed by a withdrawal, and spent with the last sample that they sealed.

    `n_to_rewrap` still wait for the current master key.
    """

    n_alive: int
    n_destroyed: int
    n_spent: int
    n_to_rewrap: int


class ConsentKeys:
    """Makes, hands out, rewraps and destroys the keys of consents.

    Args:
        engine: The database of keys, see `open_key_database`.
        master: Wraps the private halves.
        clock: Now, with its zone.
        now_s: A clock that only goes forward, in seconds.
    """

    def __init__(
        self,
        engine: Engine,
        master: MasterKeys,
        *,
        clock: Callable[[], datetime] = lambda: datetime.now(UTC),
        now_s: Callable[[], float] = time.monotonic,
    ) -> None:
        self._engine = engine
        self._master = master
        self._clock = clock
        self._commits = GroupCommits(engine)
        self._sealing: Memory[SealingKey] = Memory(now_s)
        self._opening: Memory[bytes] = Memory(now_s)

    def close(self) -> None:
        """Let go of the database."""
        self._engine.dispose()

    def ensure_master(self) -> str:
        """The current master key's id; makes the first one if there is none."""
        with reading(self._engine) as connection:
            found = _current(connection)
        return found or self._new_master(is_first=True)

    def master_age(self) -> timedelta:
        """How long ago the current master key was made."""
        query = select(MASTER_KEYS.c.created_at).where(MASTER_KEYS.c.is_current)
        with reading(self._engine) as connection:
            made: datetime = connection.execute(query).scalar_one()
        return self._clock() - _utc(made)

    def prove(self) -> None:
        """Wrap and unwrap something with the current master key.

        Raises:
            KeyMissingError, SettingsError, SealError: if what is sealed today could not be opened again.
        """
        master_id, secret = self.ensure_master(), os.urandom(_MAC_BYTES)
        wrapped = self._master.wrap(master_id, secret, context=_PROOF)
        if self._master.unwrap(master_id, wrapped, context=_PROOF) != secret:
            raise SealError(f"master key {master_id}: gives back another secret than it wrapped")

    def for_sealing(self, receipt_id: UUID) -> SealingKey:
        """The half that seals what comes under a consent; made, and durable, when it is first asked for.

        Raises:
            KeyDestroyedError: if the consent was withdrawn.
        """
        if (remembered := self._sealing.get(receipt_id)) is not None:
            return remembered
        with reading(self._engine) as connection:
            row = connection.execute(select(CONSENT_KEYS).where(CONSENT_KEYS.c.receipt_id == receipt_id)).one_or_none()
        if row is None or _is_spent(row):
            row = self._make(receipt_id)
        _refuse_destroyed(row)
        return self._sealing.keep(receipt_id, SealingKey(row.public_key, row.mac_key))

    def for_opening(self, receipt_id: UUID) -> bytes:
        """The private key that opens what came under a consent.

        Raises:
            KeyDestroyedError: if the consent was withdrawn.
            KeyMissingError: if there never was such a key here.
            SettingsError: if this process may not open anything, or lacks the passphrase.
        """
        if (remembered := self._opening.get(receipt_id)) is not None:
            return remembered
        for number in range(_TRIES):
            with reading(self._engine) as connection:
                query = select(CONSENT_KEYS).where(CONSENT_KEYS.c.receipt_id == receipt_id)
                row = connection.execute(query).one_or_none()
            if row is None:
                raise KeyMissingError(f"consent {receipt_id}: expected its key in the store of keys; restore the store")
            _refuse_destroyed(row)
            if _is_spent(row):
                raise KeyDestroyedError(f"consent {receipt_id}: its last sample went, and the key with it")
            try:
                private = self._master.unwrap(row.master_id, row.wrapped, context=_context(receipt_id))
            except KeyMissingError:
                # Rewrapped, and the old master key retired, since the row was read.
                if number == _TRIES - 1:
                    raise
                continue
            return self._opening.keep(receipt_id, private)
        raise AssertionError("the last try raises")

    def destroy(self, receipt_ids: Iterable[UUID]) -> int:
        """End the keys of consents; gives how many were alive. What they sealed is unreadable in every copy, for good.

        Raises:
            StorageError: if the database refused; nothing was destroyed.
        """
        n_destroyed = 0
        wanted = list(receipt_ids)
        with writing(self._engine) as connection:
            for receipt_id in wanted:
                here = CONSENT_KEYS.c.receipt_id == receipt_id
                row = connection.execute(select(CONSENT_KEYS).where(here)).one_or_none()
                values = {**_NO_KEY, "destroyed_at": self._clock()}
                if row is None:
                    connection.execute(insert(CONSENT_KEYS).values(receipt_id=receipt_id, **values))
                elif row.destroyed_at is None:
                    connection.execute(update(CONSENT_KEYS).where(here).values(**values))
                    n_destroyed += 1
        for receipt_id in wanted:
            self._sealing.forget(receipt_id)
            self._opening.forget(receipt_id)
        forget_freed_pages(self._engine)
        return n_destroyed

    def end(self, receipt_id: UUID) -> bool:
        """Destroy the key of a consent under which nothing is left, if it has one. What comes next gets another.

        Raises:
            StorageError: if the database refused; nothing was destroyed.
        """
        here = (CONSENT_KEYS.c.receipt_id == receipt_id, CONSENT_KEYS.c.public_key.is_not(None))
        with writing(self._engine) as connection:
            is_ended = connection.execute(update(CONSENT_KEYS).where(*here).values(**_NO_KEY)).rowcount == 1
        self._sealing.forget(receipt_id)
        self._opening.forget(receipt_id)
        forget_freed_pages(self._engine)
        return is_ended

    def require(self, receipt_id: UUID, public_key: bytes) -> None:
        """Refuse what was sealed with a key that has been ended since. Asks the store, not this process's memory.

        Raises:
            KeyRenewedError: if it has.
            KeyDestroyedError: if the consent was withdrawn.
        """
        with reading(self._engine) as connection:
            row = connection.execute(_KEY, {"wanted": receipt_id}).one_or_none()
        if row is not None:
            _refuse_destroyed(row)
        if row is None or row.public_key != public_key:
            self._sealing.forget(receipt_id)
            raise KeyRenewedError(
                f"consent {receipt_id}: its key was replaced while a sample was sealed; send it again"
            )

    def destroyed(self) -> set[UUID]:
        """Consents whose keys went with a withdrawal."""
        query = select(CONSENT_KEYS.c.receipt_id).where(CONSENT_KEYS.c.destroyed_at.is_not(None))
        with reading(self._engine) as connection:
            return set(connection.execute(query).scalars())

    def alive(self) -> set[UUID]:
        """Consents that have a key."""
        query = select(CONSENT_KEYS.c.receipt_id).where(CONSENT_KEYS.c.public_key.is_not(None))
        with reading(self._engine) as connection:
            return set(connection.execute(query).scalars())

    def note_deleted(self, sample_id: UUID, contributor_id: str) -> datetime:
        """Remember that a person took a sample back, so that rows from before are emptied again; gives since when."""
        theirs = (DELETIONS.c.sample_id == sample_id, DELETIONS.c.contributor_id == contributor_id)
        query = select(DELETIONS.c.deleted_at).where(*theirs)
        with writing(self._engine) as connection:
            if (found := connection.execute(query).scalar()) is not None:
                return _utc(found)
            now = self._clock()
            values = {"sample_id": sample_id, "contributor_id": contributor_id, "deleted_at": now}
            connection.execute(insert(DELETIONS).values(**values))
        return now

    def noted_deleted(self) -> list[tuple[UUID, str, datetime]]:
        """Every sample that a person took back: its id, the person, and when."""
        with reading(self._engine) as connection:
            rows = connection.execute(select(DELETIONS)).all()
        return [(row.sample_id, row.contributor_id, _utc(row.deleted_at)) for row in rows]

    def counts(self) -> KeyCounts:
        """How many keys there are."""
        n = select(func.count()).select_from(CONSENT_KEYS)
        is_alive, is_dead = CONSENT_KEYS.c.public_key.is_not(None), CONSENT_KEYS.c.destroyed_at.is_not(None)
        with reading(self._engine) as connection:
            old = CONSENT_KEYS.c.master_id != _current(connection)
            wanted = (is_alive, is_dead, ~is_alive & ~is_dead, old)
            alive, dead, spent, waiting = (connection.execute(n.where(what)).scalar_one() for what in wanted)
        return KeyCounts(alive, dead, spent, waiting)

    def rotate(self) -> str:
        """Begin with a new master key; gives its id. `rewrap` then takes the old ones out of use."""
        return self._new_master(is_first=False)

    def rotate_if_older(self, days: float) -> bool:
        """Give the keys a new master key if theirs is older, and take every old one out of use; says if it did.

        What an interrupted rotation left to do is done in any case.
        """
        is_old = self.master_age() >= timedelta(days=days)
        if is_old:
            self.rotate()
        while self.rewrap():
            pass
        return is_old

    def rewrap(self) -> int:
        """Wrap some keys anew with the current master key; gives how many still wait. At none, old master keys go.

        What was sealed is not touched: it stays sealed to the same pairs. Safe to repeat and to interrupt.
        """
        with writing(self._engine) as connection:
            current = _current(connection)
            old = CONSENT_KEYS.c.master_id != current
            rows = connection.execute(select(CONSENT_KEYS).where(old).limit(_REWRAPPED_AT_ONCE)).all()
            for row in rows:
                context = _context(row.receipt_id)
                private = self._master.unwrap(row.master_id, row.wrapped, context=context)
                values = {"master_id": current, "wrapped": self._master.wrap(str(current), private, context=context)}
                connection.execute(
                    update(CONSENT_KEYS).where(CONSENT_KEYS.c.receipt_id == row.receipt_id).values(**values)
                )
            n_left = int(connection.execute(select(func.count()).select_from(CONSENT_KEYS).where(old)).scalar_one())
        if not n_left:
            self._retire()
        return n_left

    def _retire(self) -> None:
        """Destroy master keys that wrap nothing. Their rows go last, so that an interrupted end is repeated."""
        forget_freed_pages(self._engine)
        used = select(CONSENT_KEYS.c.master_id).where(CONSENT_KEYS.c.master_id.is_not(None))
        idle = (~MASTER_KEYS.c.is_current, MASTER_KEYS.c.master_id.not_in(used))
        with writing(self._engine) as connection:
            for master_id in connection.execute(select(MASTER_KEYS.c.master_id).where(*idle)).scalars().all():
                self._master.destroy(master_id)
                connection.execute(delete(MASTER_KEYS).where(MASTER_KEYS.c.master_id == master_id))

    def _new_master(self, *, is_first: bool) -> str:
        master_id = self._master.create()
        with writing(self._engine) as connection:
            found = _current(connection)
            if found is None or not is_first:
                connection.execute(update(MASTER_KEYS).values(is_current=False))
                values = {"master_id": master_id, "created_at": self._clock(), "is_current": True}
                connection.execute(insert(MASTER_KEYS).values(**values))
                return master_id
        self._master.destroy(master_id)  # another process was first
        return found

    def _make(self, receipt_id: UUID) -> Any:  # noqa: ANN401 - a SQLAlchemy row has no type of its own
        """A key for a consent that has none; the first uploads of many people at once share a transaction."""
        private, public = new_key_pair()
        here = select(CONSENT_KEYS).where(CONSENT_KEYS.c.receipt_id == receipt_id)

        def make(connection: Connection) -> Any:  # noqa: ANN401 - as above
            row = connection.execute(here).one_or_none()
            if row is None or _is_spent(row):
                # Inside the transaction: a rotation either sees this row or was seen by it.
                master_id = _current(connection)
                if master_id is None:
                    raise SettingsError("the store of keys has no master key: run `projectone-server init`")
                values = {
                    "public_key": public,
                    "mac_key": os.urandom(_MAC_BYTES),
                    "master_id": master_id,
                    "wrapped": self._master.wrap(master_id, private, context=_context(receipt_id)),
                }
                if row is None:
                    connection.execute(insert(CONSENT_KEYS).values(receipt_id=receipt_id, **values))
                else:
                    spent = update(CONSENT_KEYS).where(CONSENT_KEYS.c.receipt_id == receipt_id)
                    connection.execute(spent.values(**values))
            return connection.execute(here).one()

        return self._commits.run(make)


def _current(connection: Connection) -> str | None:
    found: str | None = connection.execute(select(MASTER_KEYS.c.master_id).where(MASTER_KEYS.c.is_current)).scalar()
    return found


def _utc(moment: datetime) -> datetime:
    """SQLite forgets the zone; everything we write is UTC."""
    return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment


def _is_spent(row: Any) -> bool:  # noqa: ANN401 - a SQLAlchemy row has no type of its own
    return row.public_key is None and row.destroyed_at is None


def _refuse_destroyed(row: Any) -> None:  # noqa: ANN401 - a SQLAlchemy row has no type of its own
    if row.destroyed_at is not None:
        raise KeyDestroyedError(f"consent {row.receipt_id}: was withdrawn, and its key destroyed")


def _context(receipt_id: UUID) -> bytes:
    return canonical_json({"kind": "consent key", "receipt": str(receipt_id)})
