"""Vectors in the device's file: what is in memory is what the file says, and what is forgotten is in no byte of it."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from uuid import UUID, uuid5

import numpy as np
import pytest

from projectone.assist.vectors.protocol import Item, Owner, Vector, direction
from projectone.assist.vectors.sqlite import VECTORS_TABLE, SqliteVectors
from projectone.storage.database import Database

NOW = datetime(2026, 11, 22, 12, tzinfo=UTC)
ANNA, BERT = Owner("t", "anna"), Owner("t", "bert")
LATER = NOW + timedelta(hours=1)


@contextlib.contextmanager
def opened(folder: Path, width: int = 8, *, kept_bytes: int = 1_000_000) -> Iterator[tuple[SqliteVectors, Database]]:
    database = Database(folder / "device.sqlite", (VECTORS_TABLE,))
    store = SqliteVectors(database, width, kept_bytes=kept_bytes)
    yield store, database
    store.close()
    database.close()


def items(n: int, owner: Owner, *, seed: int = 0, width: int = 8, expires_at: datetime | None = None) -> list[Item]:
    rows = np.random.default_rng(seed).standard_normal((n, width)).astype(np.float32)
    return [Item(uuid5(UUID(int=seed), str(number)), owner, row, expires_at, "said") for number, row in enumerate(rows)]


def left_of(those: list[Item], folder: Path) -> int:
    """In how many files beside each other a piece of these vectors, an id or an owner's key can be found."""
    pieces = []
    for each in those:
        kept = direction(each.vector, len(each.vector)).astype("<f4").tobytes()
        pieces += [kept[start : start + 16] for start in range(0, len(kept) - 15, max(16, len(kept) // 8))]
        pieces.append(each.id.bytes)
    pieces.append(bytes.fromhex(those[0].owner.key))
    return sum(any(piece in path.read_bytes() for piece in pieces) for path in folder.iterdir())


@pytest.mark.parametrize("width", [8, 384, 3000])  # several in a page, a few, and one over several pages
def test_nothing_of_a_forgotten_owner_is_left_in_any_file(tmp_path: Path, width: int) -> None:
    hers, his = items(20, ANNA, seed=1, width=width), items(20, BERT, seed=2, width=width)
    with opened(tmp_path, width) as (store, _):
        store.put([each for pair in zip(hers, his, strict=True) for each in pair])
        assert left_of(hers, tmp_path) > 0
        store.put([*items(10, ANNA, seed=1, width=width)[:5], *hers[5:]])  # replaced: the first ones lie in the log too
        store.nearest(hers[0].vector, ANNA, 3, NOW)
        assert store.forget(ANNA) == 20
        assert left_of(hers, tmp_path) == 0  # while the file is still open
        assert left_of(his, tmp_path) == 1
        assert len(store.nearest(his[0].vector, BERT, 50, NOW)) == 20


def test_what_was_dropped_or_ran_out_is_in_no_file_either(tmp_path: Path) -> None:
    dropped, expired, swept = (items(20, ANNA, seed=n, expires_at=NOW if n > 1 else None) for n in (1, 2, 3))
    with opened(tmp_path) as (store, _):
        store.put(items(3, BERT, seed=9))
        for those, go in (
            (dropped, lambda: store.drop([each.id for each in dropped], ANNA)),
            (expired, lambda: store.nearest(expired[0].vector, BERT, 1, NOW)),
            (swept, lambda: store.sweep(NOW)),
        ):
            store.put(those)
            go()
            assert left_of(those, tmp_path) == 0


def test_control_without_the_two_defences_the_bytes_stay(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    hers = items(20, ANNA, seed=1)
    with opened(tmp_path) as (store, database):
        store.put(hers)
        with monkeypatch.context() as control:
            control.setattr(Database, "empty_log", lambda self: None)
            store.forget(ANNA)
        assert left_of(hers, tmp_path) == 1  # the log
        database.empty_log()
        assert left_of(hers, tmp_path) == 0
        store.put(hers)
        database.query("PRAGMA secure_delete=OFF")
        store.forget(ANNA)
        assert left_of(hers, tmp_path) == 1  # the file


def test_forgetting_is_part_of_an_outer_change_and_the_log_is_emptied_after_it(tmp_path: Path) -> None:
    hers = items(20, ANNA, seed=1)
    with opened(tmp_path) as (store, database):
        store.put(hers)
        with pytest.raises(ValueError, match="undo"), database.transaction():
            store.forget(ANNA)
            assert store.nearest(hers[0].vector, ANNA, 5, NOW) == []
            raise ValueError("undo")
        assert len(store.nearest(hers[0].vector, ANNA, 50, NOW)) == 20
        with database.transaction():
            store.forget(ANNA)
        assert left_of(hers, tmp_path) == 0


def test_what_is_in_memory_is_what_the_file_holds_whoever_changed_it(tmp_path: Path) -> None:
    rng = np.random.default_rng(5)
    truth: dict[tuple[Owner, UUID], Vector] = {}
    with opened(tmp_path) as one, opened(tmp_path, kept_bytes=0) as two:
        for step in range(400):
            store, database = (one, two)[rng.integers(2)]
            owner = (ANNA, BERT)[rng.integers(2)]
            some = [UUID(int=int(n)) for n in rng.integers(30, size=4)]
            vectors = rng.standard_normal((4, 8)).astype(np.float32)
            match rng.integers(8):
                case 0 | 1 | 2:
                    store.put([Item(name, owner, row, LATER, "said") for name, row in zip(some, vectors, strict=True)])
                    truth |= {(owner, name): row for name, row in zip(some, vectors, strict=True)}
                case 3:
                    n_there = sum((owner, name) in truth for name in set(some))
                    assert store.drop(some, owner) == n_there
                    for name in some:
                        truth.pop((owner, name), None)
                case 4 if step % 5 == 0:
                    store.forget(owner)
                    truth = {key: row for key, row in truth.items() if key[0] != owner}
                case 5:
                    with contextlib.suppress(ZeroDivisionError), database.transaction():
                        store.put([Item(some[0], owner, vectors[0], None, "undone")])
                        store.nearest(vectors[0], owner, 5, NOW)
                        store.drop(some[1:], owner)
                        raise ZeroDivisionError
            query = rng.standard_normal(8).astype(np.float32)
            for asked, _ in (one, two):
                found = {hit.id: hit.distance for hit in asked.nearest(query, owner, 50, NOW)}
                theirs = {name: row for (who, name), row in truth.items() if who == owner}
                assert found.keys() == theirs.keys()
                for name, row in theirs.items():
                    cosine = row @ query / np.linalg.norm(row) / np.linalg.norm(query)
                    assert found[name] == pytest.approx(1 - cosine, abs=1e-5)


def test_memory_stays_within_its_bound_and_the_answers_stay_exact(tmp_path: Path) -> None:
    owners = [Owner("t", f"u{n}") for n in range(12)]
    with opened(tmp_path, kept_bytes=9_000) as (store, _):
        for number, owner in enumerate(owners):
            store.put(items(40, owner, seed=number))
        for _ in range(2):
            for number, owner in enumerate(owners):
                assert len(store.nearest(items(1, owner, seed=number)[0].vector, owner, 50, NOW)) == 40
                assert sum(kept.n_bytes for kept in store._kept.values()) <= 9_000
                assert bytes.fromhex(owner.key) in store._kept
        store.close()
        assert store._kept == {}


def test_a_wish_to_know_what_expired_writes_nothing(tmp_path: Path) -> None:
    with opened(tmp_path) as (store, _), opened(tmp_path) as (_, other):
        store.put(items(3, ANNA, expires_at=LATER))
        with other.transaction():  # somebody else writes: reading goes on
            assert len(store.nearest(items(1, ANNA)[0].vector, ANNA, 5, NOW)) == 3
