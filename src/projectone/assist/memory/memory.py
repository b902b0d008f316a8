"""Relational memory: rows and vectors that come and go together, whatever happens between the two.

A row is what is true; a vector only finds it. So an answer is always taken from rows: of the owner who asks, not run
out, with a vector of the embedder in use. A vector without a row is never served, and the sweeper removes it.
"""

from __future__ import annotations

import threading
import uuid
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final
from uuid import UUID

from projectone.assist.memory.housekeeping import delete_expired, owners, shorten
from projectone.assist.memory.retention import Retention
from projectone.assist.memory.rows import About, OwnedRows, Remembered
from projectone.assist.memory.steady_clock import SteadyClock
from projectone.assist.protocols import Vectors
from projectone.assist.vectors.protocol import MAX_HITS, Item, Owner, VectorStore
from projectone.errors import DataError
from projectone.storage.database import Database

MAX_MEMORIES: Final = 100_000
"""Of one owner: what the time of a look-up was measured with. The oldest are let go first."""
MAX_CHARACTERS: Final = 2_000
_SHORTEST_PREFIX: Final = 4
_BATCH: Final = 64


@dataclass(frozen=True)
class Recalled:
    """A memory that was found, and how far what it means is from what was asked: 0 is the same, 2 the opposite."""

    memory: Remembered
    distance: float


@dataclass(frozen=True)
class Swept:
    """What a sweep did: memories that ran out or were too many, vectors removed, vectors made."""

    n_expired: int
    n_removed: int
    n_embedded: int


class Memory:
    """What people said, each for themself. Every call names an owner; there is none without.

    Args:
        database: With `MEMORY_TABLES` in it.
        vectors: Gives the store; asked when it is first needed.
        embed: Texts to vectors.
        embedded_by: The embedder's name: vectors of another one are made anew, not compared.
        retention: How long which kind is kept.
    """

    def __init__(
        self,
        database: Database,
        vectors: Callable[[], VectorStore],
        embed: Callable[[Sequence[str]], Vectors],
        *,
        embedded_by: str,
        retention: Retention | None = None,
    ) -> None:
        self._database = database
        self._open_vectors = vectors
        self._vectors: VectorStore | None = None
        self._embed = embed
        self._embedded_by = embedded_by
        self.retention = retention or Retention()
        self._clock = SteadyClock(database)
        self._lock = threading.Lock()

    def remember(self, owner: Owner, what: str, about: About, now: datetime) -> Remembered | None:
        """Keep what was said; None if its kind is not kept that long, or nothing in it could be compared.

        What was remembered of the same recording before is replaced. Not to be called inside a transaction.

        Raises:
            DataError: if there is no text, or too much.
            StorageError: if it could not be kept; then nothing of it is.
        """
        text = what.strip()
        if not text or len(text) > MAX_CHARACTERS:
            raise DataError("memory-text", f"memory: expected 1 to {MAX_CHARACTERS} characters, got {len(text)}")
        vector = self._embed([text])[0]
        kept_s = self._clock.seconds(now) - max(0.0, (now - about.said_at).total_seconds())
        seconds = self.retention.seconds(about.kind)
        expires_s = None if seconds is None else kept_s + seconds
        if not vector.any() or (expires_s is not None and expires_s <= self._clock.seconds(now)):
            return None
        expires_at = None if expires_s is None else datetime.fromtimestamp(expires_s, UTC)
        memory = Remembered(uuid.uuid4(), text, about, expires_at)

        def write(rows: OwnedRows, memory: Remembered) -> None:
            rows.add(memory, kept_s=kept_s, expires_s=expires_s, embedded_by=self._embedded_by)

        self._keep(owner, [(memory, vector)], lambda rows, memory_id: True, write)
        self._remove_vectors(owner)
        return memory

    def recall(self, owner: Owner, text: str, k: int, now: datetime) -> list[Recalled]:
        """The owner's memories that are nearest to a text, the nearest first; `k` of them if there are so many.

        Raises:
            ValueError: if `k` is not between 1 and `MAX_HITS`.
        """
        vector = self._embed([text])[0]
        if not vector.any():
            return []
        now_s = self._clock.seconds(now)
        rows, store, n_asked = OwnedRows(self._database, owner), self._store(), k
        moment = datetime.fromtimestamp(now_s, UTC)
        while True:
            hits = store.nearest(vector, owner, n_asked, moment)
            known = rows.these([hit.id for hit in hits], now_s=now_s, embedded_by=self._embedded_by) if hits else {}
            found = [Recalled(known[hit.id], hit.distance) for hit in hits if hit.id in known]
            if len(found) >= k or len(hits) < n_asked or n_asked == MAX_HITS:
                return found[:k]
            n_asked = min(2 * n_asked, MAX_HITS)  # vectors without a row took the places of others

    def newest(self, owner: Owner, limit: int, now: datetime, *, skip: int = 0) -> list[Remembered]:
        """The owner's last memories, newest first, without so many of the newest."""
        return OwnedRows(self._database, owner).newest(limit, now_s=self._clock.seconds(now), skip=skip)

    def search(self, owner: Owner, words: str, limit: int, now: datetime) -> list[Remembered]:
        """The owner's memories that hold all of these words, or parts of words, newest first."""
        wanted, found = words.casefold().split(), []
        for memory in OwnedRows(self._database, owner).every(now_s=self._clock.seconds(now)):
            held = f"{memory.text}\n{' '.join(memory.about.names)}".casefold()
            if all(word in held for word in wanted):
                found.append(memory)
                if len(found) == limit:
                    break
        return found

    def find(self, owner: Owner, named: str, now: datetime) -> Remembered:
        """The owner's memory with this id, or the only one whose id begins so.

        Raises:
            DataError: if there is none, or more than one.
        """
        found: list[Remembered] = []
        if len(named) >= _SHORTEST_PREFIX and set(named) <= set("0123456789abcdef-"):
            found = OwnedRows(self._database, owner).beginning(named, now_s=self._clock.seconds(now))
        if len(found) == 1:
            return found[0]
        problem = "several memories begin so; give more of the id" if found else "no such memory"
        raise DataError("memory-unknown", f"{named[:40]!r}: {problem} (`projectone memory` lists them)")

    def count(self, owner: Owner, now: datetime) -> int:
        """How many memories the owner has."""
        return OwnedRows(self._database, owner).n_alive(now_s=self._clock.seconds(now))

    def drop(self, owner: Owner, ids: Sequence[UUID]) -> int:
        """Forget these memories of the owner for good, rows, vectors and what the log has of them; gives how many."""
        n_dropped = OwnedRows(self._database, owner).delete(ids)
        self._remove_vectors(owner)
        self._database.empty_log()
        return n_dropped

    def note_intent(self, owner: Owner, recording_id: str, intent: str | None) -> bool:
        """Note what the owner meant in a recording; False if nothing is remembered of it."""
        return OwnedRows(self._database, owner).note_intent(recording_id, intent)

    def drop_recording(self, owner: Owner, recording_id: str) -> int:
        """Forget what the owner said in a recording for good; gives how many memories that was."""
        n_dropped = OwnedRows(self._database, owner).delete_recording(recording_id)
        if n_dropped:
            self._remove_vectors(owner)
            self._database.empty_log()
        return n_dropped

    def forget(self, owner: Owner) -> int:
        """Forget everything of the owner for good; gives how many memories there were."""
        rows = OwnedRows(self._database, owner)
        n_forgotten = rows.delete_all()  # killed after this, the next sweep goes on from here
        store = self._store()
        with self._database.transaction():
            n_forgotten += rows.delete_all()  # what another process kept meanwhile
            store.forget(owner)
            rows.strike(rows.remains())
        self._database.empty_log()
        return n_forgotten

    def tidy(self, owner: Owner) -> int:
        """Remove the vectors of the owner's rows that somebody else deleted; gives how many. A look where none are."""
        return self._remove_vectors(owner)

    def sweep(self, now: datetime, *, n_texts: int = 0) -> Swept:
        """Let go of what ran out, remove vectors without a row, and make some of those that are missing.

        Args:
            now: What the machine's clock shows.
            n_texts: How many vectors to make at most; each costs milliseconds.
        """
        everybody = owners(self._database)
        if not everybody:
            return Swept(0, 0, 0)
        now_s = self._clock.seconds(now)
        shorten(self._database, self.retention)
        n_expired = delete_expired(self._database, now_s)
        n_removed = n_embedded = 0
        for owner in everybody:
            rows = OwnedRows(self._database, owner)
            if rows.n_rows() > MAX_MEMORIES:
                n_expired += rows.delete_oldest(MAX_MEMORIES)
            n_removed += self._remove_vectors(owner)
            if n_texts > n_embedded:
                self._begin_anew_if_torn(owner)
                n_embedded += self._make_missing(owner, n_texts - n_embedded)
        if n_expired or n_removed:
            self._database.empty_log()
        return Swept(n_expired, n_removed, n_embedded)

    def close(self) -> None:
        """Let go of the store."""
        with self._lock:
            if self._vectors is not None:
                self._vectors.close()
                self._vectors = None

    def _store(self) -> VectorStore:
        with self._lock:
            if self._vectors is None:
                self._vectors = self._open_vectors()
            return self._vectors

    def _keep(
        self,
        owner: Owner,
        made: Sequence[tuple[Remembered, Vectors]],
        is_wanted: Callable[[OwnedRows, UUID], bool],
        write: Callable[[OwnedRows, Remembered], None],
    ) -> None:
        """Vectors and their rows: each vector's name is noted before it is made, and struck out in its row's commit.

        The rows' transaction is open while the store writes: nobody deletes a row between its vector and itself. So
        this must not be called inside a transaction: what is noted would not be kept yet.
        """
        rows, store = OwnedRows(self._database, owner), self._store()
        ids = [memory.memory_id for memory, _ in made]
        is_done = False
        while not is_done:
            for each in ids:
                rows.announce(each)
            with self._database.transaction():
                is_done = all(rows.is_announced(each) for each in ids)
                if is_done:  # else a sweeper in another process struck one out meanwhile
                    wanted = [(memory, vector) for memory, vector in made if is_wanted(rows, memory.memory_id)]
                    store.put([_item(owner, memory, vector) for memory, vector in wanted])
                    for memory, _ in wanted:
                        write(rows, memory)
                    rows.strike(ids)

    def _remove_vectors(self, owner: Owner) -> int:
        rows = OwnedRows(self._database, owner)
        if not rows.remains():
            return 0
        store = self._store()
        with self._database.transaction():
            ids = rows.remains()
            store.drop(ids, owner)
            rows.strike(ids)
        return len(ids)

    def _begin_anew_if_torn(self, owner: Owner) -> None:
        """Vectors of another embedder, or other ones than there are rows: none of them counts any more."""
        rows, store = OwnedRows(self._database, owner), self._store()
        with self._database.transaction():
            if rows.is_embedded_by_others(self._embedded_by) or store.count(owner) != rows.n_embedded():
                rows.unmark()
                store.forget(owner)

    def _make_missing(self, owner: Owner, n_texts: int) -> int:
        rows, n_made = OwnedRows(self._database, owner), 0
        while n_made < n_texts and (missing := rows.without_vector(min(_BATCH, n_texts - n_made))):
            made = list(zip(missing, self._embed([memory.text for memory in missing]), strict=True))
            self._keep(
                owner, made, OwnedRows.has, lambda rows, memory: rows.mark_embedded(memory.memory_id, self._embedded_by)
            )
            n_made += len(missing)
        return n_made


def _item(owner: Owner, memory: Remembered, vector: Vectors) -> Item:
    return Item(memory.memory_id, owner, vector, memory.expires_at, memory.about.kind)
