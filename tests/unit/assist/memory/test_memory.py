"""Rows and vectors that come and go together, whatever happens between the two."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from uuid import UUID, uuid4

import numpy as np
import pytest
from tests.unit.assist.memory.rooms import ANA, BEN, T0, WIDTH, days, open_database, open_memory, recalled, say

from projectone.assist.embeddings import HashingEmbedder
from projectone.assist.memory import About, Retention
from projectone.assist.memory.memory import MAX_CHARACTERS
from projectone.assist.vectors.matrix import MatrixVectors
from projectone.assist.vectors.protocol import Hit, Item, Owner, Vector
from projectone.assist.vectors.sqlite import SqliteVectors
from projectone.errors import DataError, StorageError
from projectone.storage.database import Database


@pytest.fixture
def database(tmp_path: Path) -> Iterator[Database]:
    opened = open_database(tmp_path)
    yield opened
    opened.close()


def test_what_was_said_is_found_by_what_it_means_with_what_it_was_about(database: Database) -> None:
    memory = open_memory(database)
    about = About("said", T0, ("Anna",), "call", "recording-1")
    kept = memory.remember(ANA, "please call Anna tomorrow", about, T0)
    say(memory, ANA, "the weather in Rome")
    (found,) = memory.recall(ANA, "call Anna", 1, T0)
    assert kept is not None and found.memory == kept and found.memory.about == about
    assert found.distance < 0.6
    assert memory.search(ANA, "ANNA tom", 5, T0) == [kept]


def test_the_same_recording_is_remembered_once(database: Database) -> None:
    memory = open_memory(database)
    for text in ("call Ann", "call Anna"):
        memory.remember(ANA, text, About("said", T0, recording_id="r1"), T0)
    assert [each.text for each in memory.newest(ANA, 9, T0)] == ["call Anna"]
    assert SqliteVectors(database, WIDTH).count(ANA) == 1


@pytest.mark.parametrize("text", ["", "  ", "x" * (MAX_CHARACTERS + 1)])
def test_no_text_and_too_much_are_refused(database: Database, text: str) -> None:
    with pytest.raises(DataError, match="1 to 2000"):
        open_memory(database).remember(ANA, text, About("said", T0), T0)


def test_what_says_nothing_is_neither_kept_nor_looked_for(database: Database) -> None:
    memory = open_memory(database)
    assert memory.remember(ANA, "?!", About("said", T0), T0) is None
    assert memory.recall(ANA, "...", 3, T0) == []


def test_a_shared_owner_has_no_memories(database: Database) -> None:
    with pytest.raises(ValueError, match="expected a person"):
        open_memory(database).newest(Owner.shared("product"), 3, T0)


def test_one_owner_never_sees_another_whatever_they_do(database: Database) -> None:
    """3,000 calls at random over six owners with names made to be mixed up, against a plain list for each."""
    memory, draw = open_memory(database), np.random.default_rng(7)
    people = [Owner(t, u) for t, u in (("a", "b"), ("ab", "c"), ("a", "bc"), ("A", "b"), ("a", "b "), ("%", "_"))]
    texts = ["call Anna", "weather in Rome", "call a taxi", "play some music", "what is new"]
    known: dict[Owner, set[UUID]] = {owner: set() for owner in people}
    for _ in range(300):
        owner, text = people[draw.integers(6)], texts[draw.integers(5)]
        action = draw.integers(10)
        if action < 5:
            known[owner].add(say(memory, owner, text).memory_id)
        elif action < 7 and known[owner]:
            mine = sorted(known[owner])[0]
            stranger = next(each for each in people if each != owner)
            assert memory.drop(stranger, [mine]) == 0  # an id that somebody learned gives them nothing
            with pytest.raises(DataError):
                memory.find(stranger, str(mine), T0)
            assert memory.drop(owner, [mine]) == 1
            known[owner].discard(mine)
        elif action == 7 and draw.random() < 0.2:
            assert memory.forget(owner) == len(known[owner])
            known[owner].clear()
        assert recalled(memory, owner, text) == known[owner]
    for owner in people:
        assert {each.memory_id for each in memory.newest(owner, 999, T0)} == known[owner]
        assert memory.count(owner, T0) == len(known[owner])


def test_a_store_that_mixes_owners_up_is_not_believed(database: Database) -> None:
    """The control: the store gives everybody's vectors; rows say whose they are."""

    class Mixing(MatrixVectors):
        def nearest(self, query: Vector, owner: Owner, k: int, now: datetime) -> list[Hit]:
            hits = [hit for each in (ANA, BEN) for hit in super(Mixing, self).nearest(query, each, k, now)]
            return sorted(hits, key=lambda hit: hit.distance)[:k]

    store = Mixing(WIDTH)
    memory = open_memory(database, store=store)
    say(memory, ANA, "my doctor is Nguyen")
    say(memory, BEN, "my doctor is Kowalska")
    vector = HashingEmbedder(WIDTH).embed(["my doctor"])[0]
    assert len(store.nearest(vector, BEN, 9, T0)) == 2  # without the rows Ben would have Ana's
    assert [each.memory.text for each in memory.recall(BEN, "my doctor", 9, T0)] == ["my doctor is Kowalska"]


def test_each_kind_is_kept_as_long_as_agreed_and_not_served_a_moment_longer(database: Database) -> None:
    memory = open_memory(database, retention=Retention.parse("said=10 asked=1 noted=forever"))
    said, asked, noted = (say(memory, ANA, "call Anna", kind=kind).memory_id for kind in ("said", "asked", "noted"))
    moment = timedelta(milliseconds=1)
    for now, wanted in (
        (T0 + days(1) - moment, {said, asked, noted}),
        (T0 + days(1), {said, noted}),
        (T0 + days(10) - moment, {said, noted}),
        (T0 + days(10), {noted}),
        (T0 + days(999), {noted}),
    ):
        assert recalled(memory, ANA, "call Anna", now) == wanted
        assert {each.memory_id for each in memory.newest(ANA, 9, now)} == wanted
        assert len(memory.search(ANA, "anna", 9, now)) == memory.count(ANA, now) == len(wanted)
    memory.sweep(T0 + days(999))
    assert SqliteVectors(database, WIDTH).count(ANA) == 1
    assert memory.remember(ANA, "call Anna", About("said", T0), T0 + days(1010)) is None  # too old when it came


def test_a_shorter_time_counts_for_what_is_there_and_a_longer_one_does_not(database: Database) -> None:
    kept = say(open_memory(database, retention=Retention.parse("said=30")), ANA, "call Anna")
    longer = open_memory(database, retention=Retention.parse("said=forever"))
    longer.sweep(T0 + days(29))
    assert longer.newest(ANA, 1, T0 + days(29)) == [kept]
    shorter = open_memory(database, retention=Retention.parse("said=7"))
    shorter.sweep(T0 + days(29))
    assert shorter.newest(ANA, 1, T0 + days(29)) == []


def test_the_oldest_go_when_there_are_too_many(database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("projectone.assist.memory.memory.MAX_MEMORIES", 3)
    memory = open_memory(database)
    for hour in range(5):
        say(memory, ANA, f"call number {hour}", T0 + timedelta(hours=hour))
    assert memory.sweep(T0 + days(1)).n_expired == 2
    assert [each.text[-1] for each in memory.newest(ANA, 9, T0 + days(1))] == ["4", "3", "2"]


def test_vectors_of_another_embedder_are_not_compared_but_made_anew(database: Database) -> None:
    say(open_memory(database), ANA, "call Anna")
    newer = open_memory(database, embedded_by="another")
    assert newer.recall(ANA, "call Anna", 1, T0) == []
    assert newer.sweep(T0, n_texts=10).n_embedded == 1
    assert [each.memory.text for each in newer.recall(ANA, "call Anna", 1, T0)] == ["call Anna"]


def test_vectors_that_were_lost_are_made_again(database: Database) -> None:
    memory = open_memory(database)
    for text in ("call Anna", "call Ben", "call Cleo"):
        say(memory, ANA, text)
    SqliteVectors(database, WIDTH).forget(ANA)
    assert memory.recall(ANA, "call", 9, T0) == []
    assert memory.sweep(T0, n_texts=2).n_embedded == 2
    assert memory.sweep(T0, n_texts=2).n_embedded == 1
    assert memory.sweep(T0, n_texts=2).n_embedded == 0
    assert len(memory.recall(ANA, "call", 9, T0)) == 3


def test_vectors_without_a_row_take_nobodys_place(database: Database) -> None:
    store = SqliteVectors(database, WIDTH)
    memory = open_memory(database)
    kept = say(memory, ANA, "call Anna")
    vector = HashingEmbedder(WIDTH).embed(["call Anna"])[0]
    store.put([Item(uuid4(), ANA, vector, None, "said") for _ in range(20)])
    assert [each.memory for each in memory.recall(ANA, "call Anna", 1, T0)] == [kept]


def test_a_store_that_refuses_leaves_nothing_half_kept(database: Database) -> None:
    class Full(MatrixVectors):
        def put(self, items: Sequence[Item]) -> None:
            raise StorageError("disk full")

    memory = open_memory(database, store=Full(WIDTH))
    with pytest.raises(StorageError):
        say(memory, ANA, "call Anna")
    assert memory.newest(ANA, 9, T0) == []
    assert memory.sweep(T0).n_removed == 1  # the name that was noted before
    assert database.query("SELECT * FROM memory_remains") == []


def test_what_is_forgotten_is_in_no_byte_of_the_files(tmp_path: Path) -> None:
    database = open_database(tmp_path)
    memory = open_memory(database)
    texts = {owner: f"the secret of {owner.user} is {number}" for owner, number in ((ANA, 74412), (BEN, 90817))}
    for owner, text in texts.items():
        say(memory, owner, text)
    vectors = {owner: _direction(text) for owner, text in texts.items()}

    def found(part: bytes) -> bool:
        return any(part in path.read_bytes() for path in tmp_path.iterdir())

    assert all(found(texts[owner].encode()) and found(vectors[owner]) for owner in texts)  # the control
    assert memory.forget(ANA) == 1
    assert not found(b"74412") and not found(vectors[ANA])
    assert found(texts[BEN].encode()) and found(vectors[BEN])
    (ben,) = memory.newest(BEN, 9, T0)
    memory.drop(BEN, [ben.memory_id])
    assert not found(b"90817") and not found(vectors[BEN])
    database.close()


def test_what_ran_out_is_in_no_byte_of_the_files(tmp_path: Path) -> None:
    database = open_database(tmp_path)
    memory = open_memory(database, retention=Retention.parse("said=1"))
    say(memory, ANA, "the number is 74412")
    memory.sweep(T0 + days(1))
    kept = b"".join(path.read_bytes() for path in tmp_path.iterdir())
    assert b"74412" not in kept and _direction("the number is 74412") not in kept
    database.close()


def _direction(text: str) -> bytes:
    vector: bytes = HashingEmbedder(WIDTH).embed([text])[0].tobytes()
    return vector[:64]


def test_a_clock_that_goes_back_brings_nothing_back_and_keeps_nothing_longer(tmp_path: Path) -> None:
    """Clocks that jump back and forth at random, over starts; only time that passed forward counts, and all of it."""
    draw = np.random.default_rng(3)
    for _ in range(5):
        home = tmp_path / str(draw.integers(1 << 40))
        database, now, passed = open_database(home), T0, 0.0
        memory = open_memory(database, retention=Retention.parse("said=10"))
        kept = say(memory, ANA, "call Anna", now).memory_id
        is_gone = False
        for _ in range(40):
            step = float(draw.uniform(-20, 3) if draw.random() < 0.3 else draw.uniform(0, 1.5))
            now += days(step)
            passed += max(0.0, step)
            if draw.random() < 0.2:
                memory.close()
                memory = open_memory(database, retention=Retention.parse("said=10"))
            is_found = kept in recalled(memory, ANA, "call Anna", now)
            assert is_found == (kept in {each.memory_id for each in memory.newest(ANA, 9, now)})
            assert not (is_gone and is_found)  # what ran out once stays away
            is_gone |= not is_found
            assert is_gone == (passed >= 10) or abs(passed - 10) < 0.5  # starts lose up to an hour each
        assert is_gone
        database.close()


def test_a_plain_clock_would_bring_it_back(database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    """The control of the one before."""
    monkeypatch.setattr("projectone.assist.memory.steady_clock.SteadyClock.seconds", lambda self, now: now.timestamp())
    memory = open_memory(database, store=_NeverSweeping(WIDTH), retention=Retention.parse("said=10"))
    kept = say(memory, ANA, "call Anna")
    assert memory.newest(ANA, 9, T0 + days(11)) == []
    assert memory.newest(ANA, 9, T0) == [kept]


class _NeverSweeping(MatrixVectors):
    def _sweep(self, now_us: int) -> int:
        return 0


def test_what_is_remembered_says_when_it_is_let_go(database: Database) -> None:
    memory = open_memory(database)
    facts = say(memory, ANA, "call Anna").facts()
    assert facts["expires_at"] == (T0 + days(90)).isoformat()
    assert say(memory, ANA, "call Anna", kind="noted").facts()["expires_at"] is None
    assert datetime.fromisoformat(facts["said_at"]) == T0.astimezone(UTC)
