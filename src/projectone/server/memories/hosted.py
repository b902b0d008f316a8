"""Memories of many people: a row is what is true, a vector only finds it, and each person's rows have their own key.

A row comes before its vector and goes before it. So a vector without a row is never served, and a sweep makes or
removes what a kill left half done. Forgetting destroys the person's key first: rows in old backups open no more.
"""

from __future__ import annotations

import contextlib
import json
import threading
from collections.abc import Callable, Iterable, Sequence
from datetime import UTC, datetime
from typing import Final, cast
from uuid import UUID, uuid4

from projectone.assist.memory import MAX_CHARACTERS, About, Kind, Recalled, Remembered, Retention, Swept
from projectone.assist.protocols import Vectors
from projectone.assist.vectors.protocol import MAX_HITS, Item, Owner, VectorStore
from projectone.contracts.base import canonical_json
from projectone.errors import DataError, KeyDestroyedError, StorageError
from projectone.server.audit import SERVER, record
from projectone.server.database import Engine, forget_freed_pages, writing
from projectone.server.keys import ConsentKeys
from projectone.server.memories.rows import (
    GONE_FOR_S,
    HostedRows,
    SealedRow,
    every_owner,
    owners_over,
    owners_with_work,
)
from projectone.storage.sealed import seal, unseal

MAX_MEMORIES: Final = 100_000
"""Of one person, as on a device; the oldest are let go first."""
_TRIES: Final = 3
_BATCH: Final = 64


class HostedMemories:
    """What people said to a team's product, each for themself. Every call names an owner; there is none without.

    Args:
        engine: The server's database.
        keys: Seal and open; a person's key is destroyed when they are forgotten.
        vectors: Where vectors are.
        embed: Texts to vectors.
        embedded_by: The embedder's name: vectors of another one are not compared, a sweep makes them anew.
        keeps: By tenant, how long which kind is kept.
    """

    def __init__(
        self,
        engine: Engine,
        keys: ConsentKeys,
        vectors: VectorStore,
        embed: Callable[[Sequence[str]], Vectors],
        *,
        embedded_by: str,
        keeps: Callable[[str], Retention],
    ) -> None:
        self._engine = engine
        self._keys = keys
        self._vectors = vectors
        self._embed_texts = embed
        self._embedded_by = embedded_by
        self._keeps = keeps
        self._turn = threading.Lock()

    def remember(
        self, owner: Owner, what: str, about: About, now: datetime, *, memory_id: UUID | None = None
    ) -> Remembered | None:
        """Keep what was said; None if its kind is not kept that long, or nothing in it could be compared.

        Args:
            owner: Whose it is.
            what: The text.
            about: What is known of it; its recording and its source are a device's and are not kept.
            now: The time.
            memory_id: Its name among this owner's. The same again is kept once, and not at all for an hour after it
                was forgotten.

        Raises:
            DataError: if there is no text, or too much.
            StorageError: if it could not be kept; then nothing of it is.
        """
        text, now_s = what.strip(), now.timestamp()
        if not text or len(text) > MAX_CHARACTERS:
            raise DataError("memory-text", f"memory: expected 1 to {MAX_CHARACTERS} characters, got {len(text)}")
        vector = self._embed([text])[0]
        kept_s = min(now_s, about.said_at.timestamp())
        seconds = self._keeps(owner.tenant).seconds(about.kind)
        expires_s = None if seconds is None else kept_s + seconds
        if not vector.any() or (expires_s is not None and expires_s <= now_s):
            return None
        rows, wanted = HostedRows(self._engine, owner), memory_id or uuid4()
        words = canonical_json({"text": text, "names": list(about.names), "intent": about.intent})
        said_s = about.said_at.timestamp()
        for _ in range(_TRIES):
            key_id, public_key = self._key_of(owner, now)
            sealed = seal(words, public_key, context=_context(owner, wanted))
            row = SealedRow(
                memory_id=wanted, kind=about.kind, sealed=sealed, said_s=said_s, kept_s=kept_s, expires_s=expires_s
            )
            if rows.add(row, key_id):
                break
        else:
            raise StorageError("memory: its owner is being forgotten; send it again later")
        kept = rows.these([wanted]).get(wanted)
        if kept is None:
            return None
        (memory,) = self._open(owner, [kept]) or (None,)
        if kept.embedded_by is None and memory is not None and memory.text == text:
            self._put(owner, rows, [(memory, vector)], or_empty_s=now_s)
        return memory

    def recall(self, owner: Owner, text: str, k: int, now: datetime) -> list[Recalled]:
        """The owner's memories that are nearest to a text, the nearest first; `k` of them if there are so many.

        Raises:
            ValueError: if `k` is not between 1 and `MAX_HITS`.
            StorageError: if a store did not answer.
        """
        vector, rows, n_asked = self._embed([text])[0], HostedRows(self._engine, owner), k
        if not vector.any():
            return []
        rows.empty_expired(self._keeps(owner.tenant), now.timestamp())
        while True:
            hits = self._vectors.nearest(vector, owner, n_asked, now)
            known = rows.these([hit.id for hit in hits]) if hits else {}
            found = [hit for hit in hits if hit.id in known and known[hit.id].embedded_by == self._embedded_by]
            if len(found) >= k or len(hits) < n_asked or n_asked == MAX_HITS:
                break
            n_asked = min(2 * n_asked, MAX_HITS)  # vectors without a row took the places of others
        opened = {memory.memory_id: memory for memory in self._open(owner, [known[hit.id] for hit in found[:k]])}
        return [Recalled(opened[hit.id], hit.distance) for hit in found[:k] if hit.id in opened]

    def newest(self, owner: Owner, limit: int, now: datetime) -> list[Remembered]:
        """The owner's last memories, newest first."""
        rows = HostedRows(self._engine, owner)
        rows.empty_expired(self._keeps(owner.tenant), now.timestamp())
        return self._open(owner, rows.newest(limit))

    def count(self, owner: Owner, now: datetime) -> int:
        """How many memories the owner has."""
        rows = HostedRows(self._engine, owner)
        rows.empty_expired(self._keeps(owner.tenant), now.timestamp())
        return rows.n_alive()

    def drop(self, owner: Owner, ids: Sequence[UUID], now: datetime) -> int:
        """Forget these memories of the owner for good; gives how many there were."""
        n_dropped = HostedRows(self._engine, owner).empty(ids, now.timestamp())
        self._vectors.drop(ids, owner)
        if n_dropped:
            forget_freed_pages(self._engine)
        return n_dropped

    def forget(self, owner: Owner, now: datetime, *, by: str = SERVER) -> int:
        """Forget everything of the owner for good, on the record; gives how many memories there were.

        Killed in between, the next sweep goes on from there; nothing is found from the first moment on.
        """
        return self._forget(owner, now, by=by)

    def _forget(self, owner: Owner, now: datetime, *, by: str = SERVER, begun: UUID | None = None) -> int:
        """As `forget`, or finish what was begun with this key; that keeps a link, and what another key has sealed."""
        rows = HostedRows(self._engine, owner)
        is_emptied = (key := rows.key()) is not None and key[1]  # by a withdrawal, which is on the record
        key_id, n_forgotten = rows.begin_forgetting(begun=begun), rows.n_alive()
        if key_id is None and begun is not None:
            return 0
        if key_id is not None:
            self._keys.destroy([key_id])
        self._vectors.forget(owner)
        if key_id is not None:
            with writing(self._engine) as connection:
                is_ended_here = rows.end_forgetting(connection, key_id, now.timestamp())
                if is_ended_here and (n_forgotten or not is_emptied):
                    record(connection, "memories-forgotten", owner.key, by=by, now=now, memories=n_forgotten)
            if not is_ended_here:
                rows.unmark()  # somebody was quicker: what was remembered since is there, but not its vectors
            forget_freed_pages(self._engine)
        return n_forgotten

    def link(self, owner: Owner, contributor_id: str | None, now: datetime) -> None:
        """Say whose consents the owner gave: their memories are forgotten with the last of them. None: nobody's."""
        HostedRows(self._engine, owner).link(contributor_id, now.timestamp())

    def sweep(self, now: datetime, tenants: Iterable[str], *, n_texts: int = 1_000) -> Swept:
        """Let go of what ran out, finish what was begun, and make some of the vectors that are missing.

        Args:
            now: The time.
            tenants: Those whose retention may have become shorter.
            n_texts: How many vectors to make at most; each costs milliseconds.
        """
        now_s, keeps = now.timestamp(), {name: self._keeps(name) for name in tenants}
        n_expired = n_removed = n_embedded = 0
        for owner in owners_over(self._engine, MAX_MEMORIES):
            n_expired += HostedRows(self._engine, owner).empty_oldest(MAX_MEMORIES, now_s)
        for owner in owners_with_work(self._engine, keeps, now_s, embedded_by=self._embedded_by):
            rows = HostedRows(self._engine, owner)
            if (key := rows.key()) is not None and key[1]:
                self._forget(owner, now, begun=key[0])
            n_expired += rows.empty_expired(self._keeps(owner.tenant), now_s)
            if gone := rows.gone():
                n_removed += self._vectors.drop(gone, owner)
                rows.delete_gone(now_s - GONE_FOR_S)
            while n_embedded < n_texts and (n_made := self._make_missing(owner, rows, n_texts - n_embedded)):
                n_embedded += n_made
        if n_expired or n_removed:
            forget_freed_pages(self._engine)
        return Swept(n_expired, n_removed, n_embedded)

    def unmark_lost(self) -> int:
        """Look whose vectors are fewer than their rows say, as after a restored backup; sweeps make them anew.

        Returns:
            How many people that is.
        """
        n_torn = 0
        for owner in every_owner(self._engine):
            rows = HostedRows(self._engine, owner)
            before, n_vectors = rows.n_embedded(), self._vectors.count(owner)
            # Counted twice: somebody may have remembered or forgotten something between the two stores.
            if n_vectors < min(before, rows.n_embedded()):
                rows.unmark()
                n_torn += 1
        return n_torn

    def close(self) -> None:
        """Let go of the store of vectors."""
        self._vectors.close()

    def _embed(self, texts: Sequence[str]) -> Vectors:
        with self._turn:  # one encoder, many threads
            return self._embed_texts(texts)

    def _key_of(self, owner: Owner, now: datetime) -> tuple[UUID, bytes]:
        """The id of the owner's key, and its half that seals."""
        rows = HostedRows(self._engine, owner)
        for _ in range(_TRIES):
            key = rows.key()
            if key is None:
                rows.make_key()
                continue
            if not key[1]:
                with contextlib.suppress(KeyDestroyedError):  # forgotten, and then an older database was restored
                    return key[0], self._keys.for_sealing(key[0]).public_key
            self._forget(owner, now, begun=key[0])
        raise StorageError("memory: its owner is being forgotten; send it again later")

    def _open(self, owner: Owner, rows: Sequence[SealedRow]) -> list[Remembered]:
        """The memories in rows; of an owner whose key was destroyed there are none."""
        key = HostedRows(self._engine, owner).key() if rows else None
        if key is None or key[1]:
            return []
        try:
            private = self._keys.for_opening(key[0])
        except KeyDestroyedError:
            return []
        return [_to_memory(row, unseal(row.sealed, private, context=_context(owner, row.memory_id))) for row in rows]

    def _put(
        self, owner: Owner, rows: HostedRows, made: Sequence[tuple[Remembered, Vectors]], *, or_empty_s: float | None
    ) -> None:
        items = [Item(each.memory_id, owner, vector, each.expires_at, each.about.kind) for each, vector in made]
        try:
            self._vectors.put(items)
        except StorageError:
            if or_empty_s is not None:
                rows.empty([item.id for item in items], or_empty_s)
            raise
        lost = [item.id for item in items if not rows.mark(item.id, self._embedded_by)]
        if lost:  # forgotten while the vector was made
            self._vectors.drop(lost, owner)

    def _make_missing(self, owner: Owner, rows: HostedRows, n_texts: int) -> int:
        missing = self._open(owner, rows.without_vector(min(_BATCH, n_texts), embedded_by=self._embedded_by))
        if missing:
            vectors = self._embed([memory.text for memory in missing])
            self._put(owner, rows, list(zip(missing, vectors, strict=True)), or_empty_s=None)
        return len(missing)


def _context(owner: Owner, memory_id: UUID) -> bytes:
    return f"hosted memory {owner.key} {memory_id}".encode()


def _to_memory(row: SealedRow, content: bytes) -> Remembered:
    words = json.loads(content)
    said_at = datetime.fromtimestamp(row.said_s, UTC)
    about = About(kind=cast(Kind, row.kind), said_at=said_at, names=tuple(words["names"]), intent=words["intent"])
    expires_at = None if row.expires_s is None else datetime.fromtimestamp(row.expires_s, UTC)
    return Remembered(row.memory_id, words["text"], about, expires_at)
