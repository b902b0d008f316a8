"""One connection, several rooms."""

from __future__ import annotations

import threading
from pathlib import Path

import pytest

from projectone.errors import StorageError
from projectone.storage.database import Database

TABLE = "CREATE TABLE t (a INTEGER PRIMARY KEY)"


def test_a_block_inside_a_block_joins_it(tmp_path: Path) -> None:
    database = Database(tmp_path / "a.sqlite", [TABLE])
    with pytest.raises(ValueError, match="outer"), database.transaction():
        with database.transaction():
            database.execute("INSERT INTO t VALUES (1)")
        raise ValueError("outer")
    assert database.query("SELECT * FROM t") == []
    with database.transaction(), database.transaction():
        database.execute("INSERT INTO t VALUES (1)")
    assert len(database.query("SELECT * FROM t")) == 1
    database.close()


def test_a_statement_of_another_thread_is_not_rolled_back_with_ours(tmp_path: Path) -> None:
    database = Database(tmp_path / "a.sqlite", [TABLE])
    is_inside = threading.Event()

    def other() -> None:
        is_inside.wait(120)
        database.execute("INSERT INTO t VALUES (2)")

    thread = threading.Thread(target=other)
    thread.start()
    with pytest.raises(ValueError, match="undo"), database.transaction():
        database.execute("INSERT INTO t VALUES (1)")
        is_inside.set()
        thread.join(0.05)
        raise ValueError("undo")
    thread.join()
    assert [row["a"] for row in database.query("SELECT a FROM t")] == [2]
    database.close()


def test_errors_are_ours(tmp_path: Path) -> None:
    database = Database(tmp_path / "a.sqlite", [TABLE])
    with pytest.raises(StorageError):
        database.execute("INSERT INTO nowhere VALUES (1)")
    with pytest.raises(StorageError):
        database.query("SELECT nonsense")
    database.close()


def test_a_log_that_is_to_be_emptied_within_a_change_is_emptied_after_it(tmp_path: Path) -> None:
    database = Database(tmp_path / "a.sqlite", [TABLE])
    log = tmp_path / "a.sqlite-wal"
    with pytest.raises(ValueError, match="undo"), database.transaction():
        database.execute("INSERT INTO t VALUES (1)")
        database.empty_log()
        assert database.is_changing
        raise ValueError("undo")
    with database.transaction(), database.transaction():
        database.execute("INSERT INTO t VALUES (2)")
        database.empty_log()
        database.execute("INSERT INTO t VALUES (3)")
    assert not database.is_changing
    assert log.stat().st_size == 0
    database.execute("INSERT INTO t VALUES (4)")
    assert log.stat().st_size > 0  # asked once, done once
    database.close()
