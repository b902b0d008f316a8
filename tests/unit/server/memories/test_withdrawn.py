"""With the last of a person's consents go the memories that a product said are theirs, and nobody else's."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from pathlib import Path
from uuid import UUID

import pytest
from sqlalchemy import select
from tests.unit.server.memories.rooms import ANNA, BERT, DAY, EVERYBODY, NOW, OTHER_ANNA, Room, about, served

from projectone.errors import RefusedError, StorageError
from projectone.server.audit import AUDIT_LOG
from projectone.server.database import reading
from projectone.server.memories.client import HttpMemories
from projectone.server.memories.rows import HostedRows, every_link
from projectone.server.memories.tables import HOSTED_MEMORIES, HOSTED_MEMORY_LINKS
from projectone.server.memories.withdrawn import account, forget_withdrawn

LATER = NOW + DAY
ENDED = {"person-anna": LATER}


@pytest.fixture
def room(tmp_path: Path) -> Iterator[Room]:
    made = Room(tmp_path)
    for owner in EVERYBODY:
        made.memories.remember(owner, "green tea", about(), NOW)
    yield made
    made.close()


def withdraw(room: Room, ended: Mapping[str, datetime] = ENDED, now: datetime = LATER) -> int:
    return forget_withdrawn(room.engine, room.keys.destroy, lambda: ended, now)


def content(room: Room) -> bytes:
    """Everything that the database's files hold; of a database without files, what its rows do."""
    if room.engine.dialect.name == "sqlite":
        return b"".join(path.read_bytes() for path in sorted(room.folder.glob("*.sqlite*")))
    with reading(room.engine) as connection:
        rows = [row for table in (HOSTED_MEMORIES, HOSTED_MEMORY_LINKS) for row in connection.execute(select(table))]
    return b"".join(value if isinstance(value, bytes) else str(value).encode() for row in rows for value in row)


def test_rows_and_key_go_at_once_vectors_with_the_next_sweep_and_others_stay(room: Room) -> None:
    room.memories.link(ANNA, "person-anna", NOW)
    room.memories.link(BERT, "person-bert", NOW)
    (row,) = HostedRows(room.engine, ANNA).newest(1)
    key = HostedRows(room.engine, ANNA).key()
    assert key is not None and row.sealed in content(room) and b"annaperson-anna" in content(room)
    assert withdraw(room) == 1
    assert row.sealed not in content(room) and b"annaperson-anna" not in content(room)
    assert key[0] in room.keys.destroyed()
    assert room.texts(ANNA) == room.found(ANNA, "green tea") == []
    assert room.texts(BERT) == room.texts(OTHER_ANNA) == ["green tea"]
    assert room.store.count(ANNA) == 1  # a vector without a row, which finds nothing
    room.memories.sweep(LATER, ["shop", "bank"])
    assert room.store.count(ANNA) == 0 and room.store.count(BERT) == 1
    assert withdraw(room) == 0 and [link[0] for link in every_link(room.engine)] == [BERT]


def test_the_receipt_of_the_last_consent_counts_what_went_with_it_and_says_what_has_not_gone(room: Room) -> None:
    for owner in (ANNA, OTHER_ANNA):
        room.memories.link(owner, "person-anna", NOW)
    room.memories.remember(ANNA, "black tea", about(), NOW)
    assert account(room.engine, "person-anna", LATER) == (0, False)
    assert account(room.engine, "person-bert", LATER) == (0, True)
    withdraw(room)
    assert account(room.engine, "person-anna", LATER) == (3, True)  # of two products
    assert account(room.engine, "person-anna", LATER + DAY) == (0, True)
    room.memories.link(ANNA, "person-anna", LATER + DAY)  # she agreed again: that belongs to the next one
    assert account(room.engine, "person-anna", LATER) == (3, True)


def test_the_record_says_it_once_and_why(room: Room) -> None:
    room.memories.link(ANNA, "person-anna", NOW)
    withdraw(room)
    room.memories.sweep(LATER, ["shop"])
    with reading(room.engine) as connection:
        entries = [str(entry) for entry in connection.execute(select(AUDIT_LOG))]
    (told,) = [entry for entry in entries if "memories-forgotten" in entry]
    assert ANNA.key in told and "withdrawn" in told and "anna" not in told.replace(ANNA.key, "")


def test_of_two_withdrawals_at_the_same_time_one_is_on_record(room: Room) -> None:
    room.memories.link(ANNA, "person-anna", NOW)
    n_others: list[int] = []

    def destroy_while_another_comes(keys: Sequence[UUID]) -> int:
        if not n_others:
            n_others.append(0)
            n_others[0] = withdraw(room)
        return room.keys.destroy(keys)

    n_here = forget_withdrawn(room.engine, destroy_while_another_comes, lambda: ENDED, LATER)
    assert (n_here, n_others) == (0, [1]) and room.texts(ANNA) == []
    with reading(room.engine) as connection:
        entries = [str(entry) for entry in connection.execute(select(AUDIT_LOG))]
    assert sum("memories-forgotten" in entry for entry in entries) == 1


def test_of_two_at_the_same_time_the_late_one_takes_nothing_of_who_agreed_again_meanwhile(room: Room) -> None:
    room.memories.link(ANNA, "person-anna", NOW)

    def agree_again() -> dict[str, datetime]:
        """What the late one reads is from before all this."""
        assert withdraw(room) == 1
        room.memories.link(ANNA, "person-anna", LATER + DAY)
        room.memories.remember(ANNA, "black tea", about(at=LATER + DAY), LATER + DAY)
        return ENDED

    assert forget_withdrawn(room.engine, room.keys.destroy, agree_again, LATER + DAY) == 0
    room.now = LATER + DAY
    assert room.texts(ANNA) == room.found(ANNA, "black tea") == ["black tea"]
    assert [link.linked_s for link in every_link(room.engine)] == [(LATER + DAY).timestamp()]
    assert withdraw(room, {"person-anna": LATER + 2 * DAY}, LATER + 2 * DAY) == 1 and room.texts(ANNA) == []


@pytest.mark.parametrize("links_first", [True, False])
def test_what_a_product_remembers_and_links_while_the_key_is_destroyed_stays(room: Room, links_first: bool) -> None:
    room.memories.link(ANNA, "person-anna", NOW)

    def while_it_goes(keys: Sequence[UUID]) -> int:
        n_destroyed = room.keys.destroy(keys)
        if links_first:
            room.memories.link(ANNA, "person-anna", LATER + DAY)
        room.memories.remember(ANNA, "black tea", about(at=LATER + DAY), LATER + DAY)
        room.memories.link(ANNA, "person-anna", LATER + DAY)
        return n_destroyed

    forget_withdrawn(room.engine, while_it_goes, lambda: ENDED, LATER + DAY)
    assert room.texts(ANNA) == ["black tea"] and account(room.engine, "person-anna", LATER) == (1, True)
    assert [link[:2] for link in every_link(room.engine)] == [(ANNA, "person-anna")]
    assert withdraw(room) == 0, "that withdrawal is done with"
    assert withdraw(room, {"person-anna": LATER + 2 * DAY}, LATER + 2 * DAY) == 1 and room.texts(ANNA) == []


def test_of_two_sweeps_the_late_one_takes_nothing_that_was_remembered_since(
    room: Room, monkeypatch: pytest.MonkeyPatch
) -> None:
    room.memories.link(ANNA, "person-anna", NOW)
    withdraw(room)
    key_of = HostedRows.key

    def key_of_before(rows: HostedRows) -> tuple[UUID, bool] | None:
        """Read, and then the other one ends it and a product goes on."""
        found = key_of(rows)
        monkeypatch.setattr(HostedRows, "key", key_of)
        room.memories.remember(ANNA, "black tea", about(at=LATER), LATER)
        return found

    monkeypatch.setattr(HostedRows, "key", key_of_before)
    room.memories.sweep(LATER, ["shop"])
    assert room.texts(ANNA) == room.found(ANNA, "black tea") == ["black tea"]


@pytest.mark.parametrize("ended", [{}, {"person-bert": LATER}, {"person-anna": NOW - DAY}])
def test_who_still_agrees_or_came_back_before_the_link_keeps_theirs(room: Room, ended: Mapping[str, datetime]) -> None:
    room.memories.link(ANNA, "person-anna", NOW)
    assert withdraw(room, ended) == 0 and room.texts(ANNA) == ["green tea"]


def test_what_nobody_linked_is_not_reached_and_a_link_can_be_taken_back(room: Room) -> None:
    assert withdraw(room) == 0 and room.texts(ANNA) == ["green tea"]
    room.memories.link(ANNA, "person-anna", NOW)
    room.memories.link(ANNA, "person-anna", LATER + DAY)  # the same again: its first moment counts
    room.memories.link(BERT, "person-anna", NOW)
    room.memories.link(BERT, None, NOW)
    assert withdraw(room) == 1 and room.texts(BERT) == ["green tea"]


def test_a_product_may_remember_again_and_links_again(room: Room) -> None:
    room.memories.link(ANNA, "person-anna", NOW)
    withdraw(room)
    room.memories.remember(ANNA, "black tea", about(at=LATER), LATER)  # before any sweep
    assert room.texts(ANNA) == ["black tea"] and every_link(room.engine) == []
    assert withdraw(room) == 0 and room.texts(ANNA) == ["black tea"]
    room.memories.link(ANNA, "person-anna", LATER + DAY)
    room.memories.forget(ANNA, LATER)
    assert every_link(room.engine) == []  # forgetting lets go of the link too
    room.memories.link(ANNA, "person-anna", LATER + DAY)
    assert room.memories.forget(ANNA, LATER) == 0 and every_link(room.engine) == []


@pytest.mark.parametrize("is_swept", [False, True])
def test_a_link_that_is_younger_than_a_withdrawal_counts_for_the_next_one(room: Room, is_swept: bool) -> None:
    room.memories.link(ANNA, "person-anna", NOW)
    withdraw(room)
    room.memories.link(ANNA, "person-anna", LATER + DAY)  # she agreed again
    if is_swept:
        room.memories.sweep(LATER + DAY, ["shop"])
    room.memories.remember(ANNA, "black tea", about(at=LATER), LATER + DAY)  # which ends what the withdrawal began
    assert room.texts(ANNA) == ["black tea"]
    assert withdraw(room, {"person-anna": LATER + 2 * DAY}) == 1 and room.texts(ANNA) == []


def test_a_refused_key_keeps_nobody_elses_memories(room: Room) -> None:
    refused: list[UUID] = []

    def fail_once(keys: Sequence[UUID]) -> int:
        if not refused:
            refused.extend(keys)
            raise StorageError("disk")
        return room.keys.destroy(keys)

    room.memories.link(ANNA, "person-anna", NOW)
    room.memories.link(BERT, "person-anna", NOW)
    with pytest.raises(StorageError):
        forget_withdrawn(room.engine, fail_once, lambda: {"person-anna": LATER}, LATER)
    assert (room.texts(ANNA), room.texts(BERT)) == ([], [])
    assert len(every_link(room.engine)) == 1


def test_what_a_failing_store_of_keys_held_up_is_done_the_next_time(room: Room) -> None:
    room.memories.link(ANNA, "person-anna", NOW)

    def fail(_: Sequence[UUID]) -> int:
        raise StorageError("disk")

    with pytest.raises(StorageError):
        forget_withdrawn(room.engine, fail, lambda: ENDED, LATER)
    assert room.texts(ANNA) == []  # nothing is served from the first moment on
    assert withdraw(room) == 1 and room.texts(ANNA) == []


def test_the_product_gives_the_link_over_http_for_its_own_people_alone(room: Room) -> None:
    tokens = {name: room.tenants.grant(name, by="ada", now=NOW) for name in ("shop", "bank")}
    with served(room) as url, HttpMemories(url, "shop", tokens["shop"]) as shop:
        shop.link(ANNA, "person-anna")
        shop.link(BERT, "person-bert")
        shop.link(BERT, None)
        with pytest.raises(ValueError, match="tenant"):
            shop.link(OTHER_ANNA, "person-anna")
        with pytest.raises(RefusedError, match="contributor_id"):
            shop.link(ANNA, "no name")
    assert [link[:2] for link in every_link(room.engine)] == [(ANNA, "person-anna")]
