"""Writers that wait together are committed together, and told afterwards; one that fails takes nobody with it."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import text
from sqlalchemy.engine.default import DefaultDialect
from tests.fakes.together import together

from projectone.errors import DataError, StorageError
from projectone.server.database import Connection, Engine, open_engine, reading, writing
from projectone.server.group_commits import GroupCommits


@pytest.fixture
def engine(tmp_path: Path) -> Iterator[Engine]:
    engine = open_engine(f"sqlite:///{tmp_path}/rows.sqlite")
    with writing(engine) as connection:
        connection.execute(text("CREATE TABLE kept (n INTEGER PRIMARY KEY)"))
    yield engine
    engine.dispose()


@pytest.fixture
def commits(engine: Engine) -> GroupCommits:
    return GroupCommits(engine)


def keep(n: int) -> Callable[[Connection], int]:
    def work(connection: Connection) -> int:
        connection.execute(text("INSERT INTO kept VALUES (:n)"), {"n": n})
        return n

    return work


def kept(engine: Engine) -> list[int]:
    with reading(engine) as connection:
        return list(connection.execute(text("SELECT n FROM kept ORDER BY n")).scalars())


def counting(monkeypatch: pytest.MonkeyPatch, before: Callable[[], None] = lambda: None) -> list[int]:
    """How many commits there were; `before` runs at the beginning of each."""
    done: list[int] = []
    do_commit = DefaultDialect.do_commit

    def counted(self: Any, connection: Any) -> None:
        before()
        do_commit(self, connection)
        done.append(len(done))

    monkeypatch.setattr(DefaultDialect, "do_commit", counted)
    return done


def test_who_comes_alone_is_committed_at_once(commits: GroupCommits, engine: Engine) -> None:
    assert [commits.run(keep(n)) for n in range(3)] == [0, 1, 2]
    assert kept(engine) == [0, 1, 2]


def test_those_who_wait_together_share_a_commit(
    commits: GroupCommits, engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    done = counting(monkeypatch)
    futures = together(commits, [lambda n=n: commits.run(keep(n)) for n in range(20)])  # type: ignore[misc]
    assert [future.result() for future in futures] == list(range(20))
    assert len(done) == 2  # the one they waited for, and theirs
    assert kept(engine) == list(range(20))


def test_a_transaction_takes_so_many_and_the_others_the_next(engine: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    commits = GroupCommits(engine, max_together=8)
    done = counting(monkeypatch)
    together(commits, [lambda n=n: commits.run(keep(n)) for n in range(20)])  # type: ignore[misc]
    assert len(done) == 1 + 3
    assert kept(engine) == list(range(20))


@pytest.mark.parametrize("failing", ["refuses after it wrote", "breaks a rule of the table"])
def test_one_that_fails_is_told_so_and_the_others_are_kept(failing: str, commits: GroupCommits, engine: Engine) -> None:
    def refuse(connection: Connection) -> int:
        keep(99)(connection)
        if failing == "refuses after it wrote":
            raise DataError("erased", "no")
        return keep(99)(connection)

    works = [keep(1), refuse, keep(2)]
    futures = together(commits, [lambda work=work: commits.run(work) for work in works])  # type: ignore[misc]
    expected = DataError if failing == "refuses after it wrote" else StorageError
    with pytest.raises(expected):
        futures[1].result()
    assert [futures[0].result(), futures[2].result()] == [1, 2]
    assert kept(engine) == [1, 2]


def test_a_commit_that_the_disk_refuses_is_told_to_all_and_not_tried_again(
    commits: GroupCommits, engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    tries: list[int] = []

    def refuse() -> None:
        tries.append(len(tries))
        if len(tries) > 1:  # the first is that of the transaction they wait for
            raise sqlite3.OperationalError("disk I/O error")

    counting(monkeypatch, refuse)
    futures = together(commits, [lambda n=n: commits.run(keep(n)) for n in range(5)])  # type: ignore[misc]
    for future in futures:
        with pytest.raises(StorageError, match="disk I/O error"):
            future.result()
    assert len(tries) == 2
    monkeypatch.undo()
    assert kept(engine) == []
    assert commits.run(keep(7)) == 7
