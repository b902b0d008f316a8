"""Memories of many people: each sees their own, nothing stale, and nothing after it was forgotten."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from sqlalchemy import insert, select, true
from tests.conformance.vector_stores import postgresql_server
from tests.unit.server.memories.rooms import ANNA, BERT, DAY, EVERYBODY, NOW, OTHER_ANNA, WIDTH, Room, about

from projectone.assist.memory import Retention
from projectone.assist.vectors.matrix import MatrixVectors
from projectone.assist.vectors.protocol import Hit, Item, Owner
from projectone.errors import DataError, StorageError
from projectone.server.audit import AuditLog
from projectone.server.database import reading, writing
from projectone.server.memories.rows import HostedRows
from projectone.server.memories.tables import HOSTED_MEMORIES, HOSTED_MEMORY_KEYS

SECRET = "zebras live in a purple lighthouse"


@pytest.fixture(scope="module")
def postgresql() -> Iterator[str]:
    pytest.importorskip("pgvector")
    with postgresql_server() as url:
        yield url


@pytest.fixture
def room(tmp_path: Path) -> Iterator[Room]:
    made = Room(tmp_path)
    yield made
    made.close()


@pytest.fixture(params=["sqlite", pytest.param("postgresql", marks=pytest.mark.slow)])
def any_room(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Room]:
    database, vectors = "", "sqlite"
    if request.param == "postgresql":
        url = request.getfixturevalue("postgresql")
        database, vectors = url.replace("postgresql:", "postgresql+psycopg:", 1), url
    made = Room(tmp_path, database=database, vectors=vectors)
    yield made
    made.close()


def test_each_person_sees_their_own_until_it_runs_out_or_is_forgotten(any_room: Room) -> None:
    room = any_room
    for number, owner in enumerate(EVERYBODY):
        made = room.memories.remember(owner, f"tea for person {number}", about(), NOW)
        assert made is not None and made.expires_at == NOW + 90 * DAY
        room.memories.remember(owner, f"note of person {number}", about("noted"), NOW)
    for number, owner in enumerate(EVERYBODY):
        assert set(room.texts(owner)) == {f"tea for person {number}", f"note of person {number}"}
        assert room.found(owner, "tea for person")[0] == f"tea for person {number}"
        assert len(room.found(owner, "tea")) == room.memories.count(owner, NOW) == 2
    stranger = room.memories.newest(BERT, 1, NOW)[0].memory_id
    assert room.memories.drop(ANNA, [stranger], NOW) == 0 and len(room.texts(BERT)) == 2
    assert room.memories.forget(ANNA, NOW) == 2
    assert room.texts(ANNA) == room.found(ANNA, "tea") == [] and room.store.count(ANNA) == 0
    assert len(room.found(OTHER_ANNA, "tea")) == len(room.found(BERT, "tea")) == 2
    room.now = NOW + 90 * DAY
    assert room.texts(BERT) == room.found(BERT, "tea") == ["note of person 1"]
    assert room.memories.sweep(room.now, ["shop", "bank"]).n_expired == 1  # of the other Anna, who did not look
    room.memories.remember(ANNA, "tea again", about(at=room.now), room.now)
    assert room.found(ANNA, "tea") == ["tea again"]
    for owner in EVERYBODY:
        room.memories.forget(owner, room.now)
    room.memories.sweep(room.now + timedelta(hours=2), [])
    with reading(room.engine) as connection:
        assert not connection.execute(select(HOSTED_MEMORIES)).all()
        assert not connection.execute(select(HOSTED_MEMORY_KEYS)).all()


class Careless(MatrixVectors):
    """Knows no owners: everybody's vectors are everybody's."""

    def put(self, items: Sequence[Item]) -> None:
        super().put([Item(item.id, ANNA, item.vector, item.expires_at, item.kind) for item in items])

    def nearest(self, query: Any, owner: Owner, k: int, now: datetime) -> list[Hit]:
        return super().nearest(query, ANNA, k, now)


@pytest.mark.parametrize("is_checked", [True, False])
def test_a_store_that_mixes_people_up_is_not_believed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, is_checked: bool
) -> None:
    room = Room(tmp_path, change=lambda store: store.close() or Careless(WIDTH))  # type: ignore[func-returns-value]
    room.memories.remember(ANNA, SECRET, about(), NOW)
    room.memories.remember(BERT, "a boat", about(), NOW)
    if not is_checked:  # the control: rows that are asked for by id alone
        real = HostedRows.__init__

        def careless(self: HostedRows, engine: Any, owner: Owner) -> None:
            real(self, engine, owner)
            self._alive = true()

        monkeypatch.setattr(HostedRows, "__init__", careless)
        monkeypatch.setattr("projectone.server.memories.hosted.unseal", lambda *_, **__: b'{"text": "?", "names": []}')
        with pytest.raises(KeyError):  # it came as far as reading Anna's row with Bert's key
            room.found(BERT, SECRET)
    else:
        assert room.found(BERT, SECRET) == ["a boat"]
    room.close()


def test_a_row_that_lies_with_somebody_else_opens_for_nobody(room: Room) -> None:
    made = room.memories.remember(ANNA, SECRET, about(), NOW)
    room.memories.remember(BERT, "a boat", about(), NOW)
    assert made is not None
    with writing(room.engine) as connection:
        change = HOSTED_MEMORIES.update().where(HOSTED_MEMORIES.c.memory_id == made.memory_id)
        connection.execute(change.values(person="bert"))
    with pytest.raises(Exception, match="changed, or belong to another"):
        room.texts(BERT)


def test_what_ran_out_is_not_found_and_does_not_come_back_with_the_clock(tmp_path: Path) -> None:
    room = Room(tmp_path, retention=Retention.parse("said=2 asked=0"))
    assert room.memories.remember(ANNA, "not kept", about("asked"), NOW) is None
    room.memories.remember(ANNA, SECRET, about(), NOW)
    room.now = NOW + 2 * DAY - timedelta(seconds=1)
    assert room.found(ANNA, SECRET) == room.texts(ANNA) == [SECRET]  # the control
    room.now = NOW + 2 * DAY
    assert room.found(ANNA, SECRET) == room.texts(ANNA) == []
    room.now = NOW
    assert room.found(ANNA, SECRET) == room.texts(ANNA) == []
    room.close()


def test_a_product_keeps_things_shorter_at_once_and_never_longer(room: Room) -> None:
    room.memories.remember(ANNA, SECRET, about(), NOW)
    room.tenants.grant("shop", keep="said=30 noted=7", by="ada", now=NOW)
    assert room.tenants.retention("shop").described() == {"said": 30, "asked": 30, "noted": 7}
    room.tenants.grant("bank", keep="said=forever", by="ada", now=NOW)
    assert room.tenants.retention("bank").described() == {"said": 90, "asked": 30, "noted": None}
    room.now = NOW + 30 * DAY
    assert room.found(ANNA, SECRET) == []
    room.memories.remember(BERT, SECRET, about(at=NOW + DAY), room.now)
    assert room.memories.sweep(NOW + 31 * DAY, ["shop"]).n_expired == 1


def test_nothing_is_readable_on_disk_and_forgetting_reaches_old_backups(room: Room) -> None:
    def on_disk(what: bytes) -> bool:
        return any(what in path.read_bytes() for path in room.folder.rglob("*") if path.is_file())

    made = room.memories.remember(ANNA, SECRET, about(), NOW)
    assert made is not None and not on_disk(SECRET.encode())
    with reading(room.engine) as connection:
        backup = [
            (table, [dict(row) for row in connection.execute(select(table)).mappings()])
            for table in (HOSTED_MEMORIES, HOSTED_MEMORY_KEYS)
        ]
    sealed = backup[0][1][0]["sealed"]
    assert on_disk(sealed)
    room.memories.forget(ANNA, NOW, by="ada")
    assert not on_disk(sealed)
    with writing(room.engine) as connection:  # an old backup comes back
        for table, rows in backup:
            connection.execute(table.delete())
            connection.execute(insert(table), rows)
    assert room.texts(ANNA) == []
    assert room.memories.remember(ANNA, "tea", about(), NOW) is not None  # with a key of its own
    assert room.texts(ANNA) == ["tea"]
    (entry,) = AuditLog(room.engine).newest(9, act="memories-forgotten")[1:]
    assert (entry.subject, entry.actor, entry.facts) == (ANNA.key, "ada", {"memories": 1})


def test_a_restart_forgets_nothing_and_a_lost_store_is_made_anew(tmp_path: Path) -> None:
    first = Room(tmp_path)
    first.memories.remember(ANNA, SECRET, about(), NOW)
    first.close()
    (tmp_path / "vectors.sqlite").unlink()
    again = Room(tmp_path)
    assert again.texts(ANNA) == [SECRET] and again.found(ANNA, SECRET) == []
    assert again.memories.unmark_lost() == 1
    assert again.memories.sweep(NOW, ["shop"]).n_embedded == 1
    assert again.found(ANNA, SECRET) == [SECRET] and again.memories.unmark_lost() == 0
    again.close()


class Interrupted(MatrixVectors):
    """Does something before it keeps a vector."""

    before: Any = None

    def put(self, items: Sequence[Item]) -> None:
        if self.before is not None:
            does, self.before = self.before, None
            does()
        super().put(items)


def interrupted(folder: Path) -> tuple[Room, Interrupted]:
    room = Room(folder, change=lambda store: store.close() or Interrupted(WIDTH))  # type: ignore[func-returns-value]
    assert isinstance(room.store, Interrupted)
    return room, room.store


def test_killed_before_its_vector_a_memory_gets_it_with_the_next_sweep(tmp_path: Path) -> None:
    room, store = interrupted(tmp_path)

    def kill() -> None:
        raise KeyboardInterrupt

    store.before = kill
    with pytest.raises(KeyboardInterrupt):
        room.memories.remember(ANNA, SECRET, about(), NOW)
    assert room.found(ANNA, SECRET) == []
    assert room.memories.sweep(NOW, ["shop"]).n_embedded == 1
    assert room.found(ANNA, SECRET) == [SECRET]
    room.close()


def test_forgotten_while_its_vector_was_made_nothing_of_it_stays(tmp_path: Path) -> None:
    room, store = interrupted(tmp_path)
    store.before = lambda: room.memories.forget(ANNA, NOW)
    room.memories.remember(ANNA, SECRET, about(), NOW)
    assert room.texts(ANNA) == [] and store.count(ANNA) == 0
    room.close()


def test_a_store_out_of_reach_keeps_nothing_and_a_repeat_is_kept_once(tmp_path: Path) -> None:
    room, store = interrupted(tmp_path)

    def refuse() -> None:
        raise StorageError("vectors: out of reach")

    store.before, memory_id = refuse, uuid4()
    with pytest.raises(StorageError):
        room.memories.remember(ANNA, SECRET, about(), NOW)
    assert room.texts(ANNA) == []
    for _ in range(2):
        room.memories.remember(ANNA, SECRET, about(), NOW, memory_id=memory_id)
    assert room.texts(ANNA) == room.found(ANNA, SECRET) == [SECRET]
    room.memories.drop(ANNA, [memory_id], NOW)
    assert room.memories.remember(ANNA, SECRET, about(), NOW, memory_id=memory_id) is None  # a late repeat
    assert room.found(ANNA, SECRET) == []
    room.close()


def test_forgetting_that_was_killed_goes_on_with_the_next_sweep(room: Room, monkeypatch: pytest.MonkeyPatch) -> None:
    room.memories.remember(ANNA, SECRET, about(), NOW)
    with monkeypatch.context() as killed:
        killed.setattr(HostedRows, "end_forgetting", lambda *_: (_ for _ in ()).throw(KeyboardInterrupt))
        with pytest.raises(KeyboardInterrupt):
            room.memories.forget(ANNA, NOW)
    assert room.texts(ANNA) == room.found(ANNA, SECRET) == []
    room.memories.sweep(NOW, ["shop"])
    with reading(room.engine) as connection:
        assert [row.sealed for row in connection.execute(select(HOSTED_MEMORIES))] == [b""]


@pytest.mark.parametrize("text", ["", "  ", "x" * 2_001])
def test_what_is_no_memory_is_refused_without_saying_what_it_was(room: Room, text: str) -> None:
    with pytest.raises(DataError) as refused:
        room.memories.remember(ANNA, text, about(), NOW)
    assert "x" * 20 not in str(refused.value)
    with pytest.raises(ValueError, match="person"):
        room.memories.remember(Owner.shared("shop"), "tea", about(), NOW)
