"""One suite for every store of vectors: exact for each owner, nothing stale, nobody mixed up, nothing left behind."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import UUID, uuid5

import numpy as np
import pytest
from tests.conformance.vector_stores import STORES, Opening

from projectone.assist.vectors.protocol import MAX_HITS, Item, Owner, Vector, VectorStore
from projectone.errors import DataError, ProjectOneError, StorageError

WIDTH = 16
NOW = datetime(2026, 11, 22, 12, tzinfo=UTC)
NAMES = UUID(int=7)
# What a careless store would read as another owner, as part of a query, or as everybody.
ODD_NAMES = (
    "anna",
    "Anna",
    "anna ",
    "anna\x00",
    "ann",
    "a",
    "%",
    "*",
    "_nna",
    "' OR '1'='1",
    'anna" or owner != "',
    '"; DROP TABLE vectors; --',
    "') or 1=1 --",
    "anna\nbert",
    "../bert",
    "null",
    "None",
    "0",
    "\u00e9",
    "e\u0301",
    "\U0001d552nna",
    "\u202eanna",
    "a" * 256,
)


def vectors(n: int, seed: int = 0) -> Vector:
    return np.random.default_rng(seed).standard_normal((n, WIDTH)).astype(np.float32)


def item(number: int, owner: Owner, vector: Vector, *, expires_at: datetime | None = None, kind: str = "said") -> Item:
    return Item(uuid5(NAMES, str(number)), owner, vector, expires_at, kind)


def ids(store: VectorStore, owner: Owner, query: Vector, *, k: int = 50, now: datetime = NOW) -> list[UUID]:
    return [hit.id for hit in store.nearest(query, owner, k, now)]


def exact(query: Vector, items: list[Item], k: int) -> list[tuple[UUID, float]]:
    """The truth, in double precision and without any of the stores' code."""
    matrix = np.array([each.vector for each in items], np.float64)
    cosines = matrix @ query.astype(np.float64) / np.linalg.norm(matrix, axis=1) / np.linalg.norm(query)
    order = np.argsort(-cosines, kind="stable")[:k]
    return [(items[place].id, 1 - cosines[place]) for place in order]


@pytest.fixture(scope="module", params=STORES)
def opening(request: Any, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Opening]:
    with request.param(tmp_path_factory, WIDTH) as opened:
        yield opened


@pytest.fixture
def store(opening: Opening) -> Iterator[VectorStore]:
    """The store, empty; a server is not started for each test."""
    opening.empty()
    with contextlib.closing(opening.open()) as opened:
        yield opened


def test_every_owner_gets_exactly_the_nearest_of_their_own(store: VectorStore) -> None:
    rng = np.random.default_rng(1)
    owners = [Owner(f"t{n % 3}", f"u{n}") for n in range(60)]
    numbers = rng.permutation(np.repeat(np.arange(60), [n % 12 + (90 if n == 7 else 0) for n in range(60)]))
    # All lie in one cone: a store that looks among everybody first and filters then finds few of a small owner's.
    towards = vectors(1, 2)[0] * 2
    items = [
        item(n, owners[of], vector + towards)
        for n, (of, vector) in enumerate(zip(numbers, vectors(len(numbers)), strict=True))
    ]
    store.put(items)
    n_found = n_due = 0
    for owner in owners:
        theirs = [each for each in items if each.owner == owner]
        for query in vectors(2, 3) + towards:
            hits = store.nearest(query, owner, 10, NOW)
            expected = exact(query, theirs, 10) if theirs else []
            n_due += len(expected)
            n_found += len({hit.id for hit in hits} & {identifier for identifier, _ in expected})
            assert [hit.distance for hit in hits] == pytest.approx([distance for _, distance in expected], abs=2e-6)
    assert n_found == n_due > 500  # recall 1.0


def test_a_hit_says_its_kind_and_its_cosine_distance(store: VectorStore) -> None:
    owner, ahead = Owner("t", "u"), np.eye(WIDTH, dtype=np.float32)
    store.put(
        [
            item(0, owner, ahead[0] * 1e-20, kind="same"),
            item(1, owner, ahead[0] + ahead[1], kind="between"),
            item(2, owner, ahead[1], kind="right-angles"),
            item(3, owner, ahead[0] * -1e18, kind="opposite"),
        ]
    )
    hits = store.nearest(ahead[0] * 3, owner, 10, NOW)
    assert [(hit.id, hit.kind) for hit in hits] == [
        (uuid5(NAMES, str(n)), kind) for n, kind in enumerate(("same", "between", "right-angles", "opposite"))
    ]
    assert [hit.distance for hit in hits] == pytest.approx([0, 1 - 0.5**0.5, 1, 2], abs=1e-6)
    assert all(0 <= hit.distance <= 2 for hit in hits)


def test_owners_with_odd_names_are_not_mixed_up(store: VectorStore) -> None:
    owners = [Owner("t", name) for name in ODD_NAMES] + [Owner(name, "t") for name in ODD_NAMES]
    owners += [Owner.shared(name) for name in ("t", "anna", "%")]
    assert len({owner.key for owner in owners}) == len(owners)
    same_place = vectors(1)[0]
    # Everybody uses the same two ids for the same place.
    store.put([item(n, owner, same_place, kind=f"of-{place}") for place, owner in enumerate(owners) for n in range(2)])
    for place, owner in enumerate(owners):
        hits = store.nearest(same_place, owner, 50, NOW)
        assert sorted((hit.id, hit.kind) for hit in hits) == sorted(
            (uuid5(NAMES, str(n)), f"of-{place}") for n in (0, 1)
        )
    stranger = Owner("t", "nobody")
    assert store.nearest(same_place, stranger, 50, NOW) == []
    assert (store.drop([uuid5(NAMES, "0")], stranger), store.forget(stranger)) == (0, 0)
    for place, owner in enumerate(owners):  # one after the other goes, and nobody else's goes with it
        gone = store.drop([uuid5(NAMES, "1")], owner), store.forget(owner)
        assert gone == (1, 1)
        if place % 16 == 0:
            assert [store.count(other) for other in owners] == [0] * (place + 1) + [2] * (len(owners) - place - 1)


def test_an_id_of_somebody_else_can_be_neither_read_nor_changed(store: VectorStore) -> None:
    anna, bert = Owner("t", "anna"), Owner("t", "bert")
    of_anna, of_bert = vectors(2)
    store.put([item(1, anna, of_anna, kind="hers")])
    store.put([item(1, bert, of_bert, kind="his", expires_at=NOW)])
    assert store.nearest(of_bert, bert, 5, NOW) == []
    assert store.drop([uuid5(NAMES, "1")], bert) == 0  # it expired, and was looked for
    (hit,) = store.nearest(of_anna, anna, 5, NOW)
    assert (hit.kind, round(hit.distance, 5)) == ("hers", 0)


def test_putting_the_same_again_changes_nothing_and_another_replaces_it(store: VectorStore) -> None:
    owner, (here, there, other) = Owner("t", "u"), vectors(3)
    first = [item(1, owner, here), item(2, owner, other)]
    for _ in range(3):
        store.put(first)
    assert store.count(owner) == 2
    store.put([item(1, owner, here), item(1, owner, there, kind="later")])  # twice in one call: the later one
    assert store.count(owner) == 2
    assert next(iter(store.nearest(there, owner, 1, NOW))).kind == "later"
    assert store.nearest(here, owner, 2, NOW)[0].distance > 1e-3


def test_what_expired_is_not_found_and_does_not_come_back_with_the_clock(store: VectorStore) -> None:
    owner, other, (place,) = Owner("t", "u"), Owner("t", "other"), vectors(1)
    minute, microsecond = timedelta(minutes=1), timedelta(microseconds=1)
    ends = {1: NOW, 2: NOW + microsecond, 3: NOW + minute, 4: None, 5: NOW - 365 * 24 * 60 * minute}
    store.put([item(n, owner, place, expires_at=ends[n]) for n in ends])
    store.put([item(9, other, place, expires_at=NOW + minute)])
    names = {n: uuid5(NAMES, str(n)) for n in ends}
    assert set(ids(store, owner, place)) == {names[2], names[3], names[4]}
    assert set(ids(store, owner, place, now=NOW + microsecond)) == {names[3], names[4]}
    # The clock goes back by a year: what had expired stays away, for whoever asks.
    assert set(ids(store, owner, place, now=NOW - 365 * 24 * 60 * minute)) == {names[3], names[4]}
    assert ids(store, owner, place, now=NOW + minute) == [names[4]]
    assert ids(store, other, place, now=NOW) == []  # seen as expired when somebody else asked
    assert (store.count(owner), store.count(other)) == (1, 0)


def test_the_sweep_deletes_what_expired_of_everybody(store: VectorStore) -> None:
    owners, place = [Owner("t", f"u{n}") for n in range(4)], vectors(1)[0]
    store.put([item(n, owner, place, expires_at=NOW if n else None) for owner in owners for n in range(3)])
    assert sum(store.count(owner) for owner in owners) == 12
    assert store.sweep(NOW - timedelta(microseconds=1)) == 0
    assert (store.sweep(NOW), store.sweep(NOW)) == (8, 0)
    assert [store.count(owner) for owner in owners] == [1] * 4


def test_a_longer_or_shorter_time_replaces_the_one_before(store: VectorStore) -> None:
    owner, place = Owner("t", "u"), vectors(1)[0]
    store.put([item(1, owner, place, expires_at=NOW), item(2, owner, place)])
    store.put([item(1, owner, place), item(2, owner, place, expires_at=NOW)])
    assert ids(store, owner, place) == [uuid5(NAMES, "1")]


def test_more_hits_than_there_are_and_an_empty_store(store: VectorStore) -> None:
    owner, place = Owner("t", "u"), vectors(1)[0]
    assert (store.nearest(place, owner, MAX_HITS, NOW), store.count(owner), store.sweep(NOW)) == ([], 0, 0)
    assert (store.forget(owner), store.drop([], owner)) == (0, 0)
    store.put([])
    store.put([item(1, owner, place)])
    assert len(store.nearest(place, owner, MAX_HITS, NOW)) == 1


@pytest.mark.parametrize(
    ("bad", "error"),
    [
        (np.zeros(WIDTH, np.float32), DataError),
        (np.full(WIDTH, np.nan, np.float32), DataError),
        (np.full(WIDTH, np.inf, np.float32), DataError),
        (np.ones(WIDTH - 1, np.float32), ValueError),
        (np.ones((1, WIDTH), np.float32), ValueError),
    ],
    ids=["zero", "nan", "infinite", "narrow", "two axes"],
)
def test_a_vector_that_points_nowhere_is_refused_and_nothing_of_its_call_is_kept(
    store: VectorStore, bad: Vector, error: type[Exception]
) -> None:
    owner, good = Owner("t", "u"), vectors(1)[0]
    with pytest.raises(error):
        store.put([item(1, owner, good), item(2, owner, bad)])
    assert store.count(owner) == 0
    with pytest.raises(error):
        store.nearest(bad, owner, 1, NOW)


def test_words_of_a_person_cannot_be_a_kind_and_moments_need_a_zone(store: VectorStore) -> None:
    owner, good = Owner("t", "u"), item(1, Owner("t", "u"), vectors(1)[0])
    wrong: list[Callable[[], Any]] = [
        lambda: store.put([replace(good, kind="My doctor said")]),
        lambda: store.put([replace(good, kind="")]),
        lambda: store.put([replace(good, expires_at=datetime(2026, 1, 1))]),
        lambda: store.nearest(good.vector, owner, 0, NOW),
        lambda: store.nearest(good.vector, owner, MAX_HITS + 1, NOW),
        lambda: store.sweep(datetime(2026, 1, 1)),
    ]
    for call in wrong:
        with pytest.raises(ValueError, match="expected"):
            call()
    assert store.count(owner) == 0


def test_another_opening_finds_the_same(opening: Opening, store: VectorStore) -> None:
    if not opening.is_kept:
        pytest.skip("this store ends with its process, and says so")
    owner, places = Owner("t", "u"), vectors(5)
    store.put([item(n, owner, place, kind=f"k{n}") for n, place in enumerate(places)])
    before = store.nearest(places[2], owner, 5, NOW)
    store.drop([before[4].id], owner)
    with contextlib.closing(opening.open()) as again:
        assert again.nearest(places[2], owner, 5, NOW) == before[:4]
        again.forget(owner)
    assert store.nearest(places[2], owner, 5, NOW) == []  # not from its memory either


def test_a_store_of_another_width_is_refused(opening: Opening, store: VectorStore) -> None:
    if not opening.is_kept:
        pytest.skip("this store ends with its process, and says so")
    owner = Owner("t", "u")
    store.put([item(1, owner, vectors(1)[0])])
    with pytest.raises(ProjectOneError, match="wide"), contextlib.closing(opening.open(WIDTH * 2)) as wider:
        wider.nearest(np.ones(WIDTH * 2, np.float32), owner, 1, NOW)


def test_nothing_that_names_a_person_reaches_the_store(opening: Opening, store: VectorStore, tmp_path: Path) -> None:
    owner = Owner("tenant-of-anna", "anna-the-person")
    assert "anna" not in f"{owner!r} {owner.key}"
    store.put([item(1, owner, vectors(1)[0])])
    if (folder := opening.folder) is None:
        pytest.skip("nothing on disk")
    store.close()
    assert [path for path in folder.rglob("*") if path.is_file() and b"anna" in path.read_bytes()] == []


def test_an_approximate_index_that_somebody_made_changes_no_answer(opening: Opening, store: VectorStore) -> None:
    if not opening.url:
        pytest.skip("no server on which somebody else could make an index")
    import psycopg  # with the server

    many, few, (towards,) = Owner("t", "many"), Owner("t", "few"), vectors(1)
    store.put([item(n, many, towards + row / 50) for n, row in enumerate(vectors(400))])
    store.put([item(n, few, row - towards) for n, row in enumerate(vectors(10, 5))])
    with psycopg.connect(opening.url, autocommit=True) as connection:
        connection.execute("CREATE INDEX ON projectone_vectors USING hnsw (vector vector_cosine_ops)")
        # The planner is pushed to it, as it would be by millions of rows.
        pushed = "SET enable_sort = off; SET enable_seqscan = off; SET enable_bitmapscan = off; ANALYZE"
        connection.execute(pushed)
        control = connection.execute(
            "SELECT id FROM projectone_vectors WHERE owner = %s ORDER BY vector <=> %s::vector LIMIT 10",
            (few.key, str(towards.tolist())),
        ).fetchall()
        assert len(control) < 10  # by the index the one with few gets hardly any
        mine: Any = store
        with mine._connected() as own:
            own.execute(pushed)
    assert len(store.nearest(towards, few, 10, NOW)) == 10


def test_a_connection_that_ends_within_a_put_leaves_nothing_and_is_made_anew(
    opening: Opening, store: VectorStore
) -> None:
    if not opening.url:
        pytest.skip("no server that could hang up; a kill of the process is in tests/faults/test_vectors_killed.py")
    import psycopg  # with the server

    owner = Owner("t", "u")
    store.put([item(n, owner, row) for n, row in enumerate(vectors(3))])
    with psycopg.connect(opening.url, autocommit=True) as connection:
        connection.execute(
            "CREATE FUNCTION hang_up() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN "
            "IF NEW.kind = 'last' THEN PERFORM pg_terminate_backend(pg_backend_pid()); END IF; RETURN NEW; END $$"
        )
        connection.execute(
            "CREATE TRIGGER hang_up BEFORE INSERT ON projectone_vectors FOR EACH ROW EXECUTE FUNCTION hang_up()"
        )
        more = [item(n + 10, owner, row, kind="last" if n == 30 else "said") for n, row in enumerate(vectors(40))]
        with pytest.raises(StorageError):
            store.put(more)
        connection.execute("DROP FUNCTION hang_up CASCADE")
    assert store.count(owner) == 3
    store.put(more)
    assert store.count(owner) == 43
