from pathlib import Path

import pytest

from projectone.errors import StorageError
from projectone.storage.sqlite import open_database, transaction

FIRST = "CREATE TABLE clips (name TEXT PRIMARY KEY)"
SECOND = "ALTER TABLE clips ADD COLUMN words INTEGER NOT NULL DEFAULT 0"


def test_migrations_run_once_and_in_order(tmp_path: Path) -> None:
    open_database(tmp_path / "d.sqlite", [FIRST]).close()
    connection = open_database(tmp_path / "d.sqlite", [FIRST, SECOND])
    connection.execute("INSERT INTO clips VALUES ('a', 3)")
    connection.close()
    again = open_database(tmp_path / "d.sqlite", [FIRST, SECOND])
    assert [tuple(row) for row in again.execute("SELECT * FROM clips")] == [("a", 3)]
    again.close()


def test_a_database_of_newer_code_is_refused(tmp_path: Path) -> None:
    open_database(tmp_path / "d.sqlite", [FIRST, SECOND]).close()
    with pytest.raises(StorageError, match="update the app"):
        open_database(tmp_path / "d.sqlite", [FIRST])


def test_a_migration_that_fails_changes_nothing(tmp_path: Path) -> None:
    open_database(tmp_path / "d.sqlite", [FIRST]).close()
    with pytest.raises(StorageError, match="migration 2"):
        open_database(tmp_path / "d.sqlite", [FIRST, f"{SECOND}; SELECT broken FROM nowhere"])
    connection = open_database(tmp_path / "d.sqlite", [FIRST])
    assert [row["name"] for row in connection.execute("PRAGMA table_info(clips)")] == ["name"]
    connection.close()


def test_a_commit_is_durable_by_setting(tmp_path: Path) -> None:
    connection = open_database(tmp_path / "d.sqlite", [FIRST])
    assert connection.execute("PRAGMA synchronous").fetchone()[0] == 2
    assert connection.execute("PRAGMA journal_mode").fetchone()[0] == "wal"
    connection.close()


def test_a_transaction_that_fails_leaves_nothing(tmp_path: Path) -> None:
    connection = open_database(tmp_path / "d.sqlite", [FIRST])
    with pytest.raises(RuntimeError), transaction(connection):
        connection.execute("INSERT INTO clips VALUES ('a')")
        raise RuntimeError
    assert connection.execute("SELECT count(*) FROM clips").fetchone()[0] == 0
    connection.close()


def test_what_is_no_database_is_refused_with_its_name(tmp_path: Path) -> None:
    (tmp_path / "d.sqlite").write_bytes(b"this is a letter, not a database" * 64)
    with pytest.raises(StorageError, match=r"d\.sqlite"):
        open_database(tmp_path / "d.sqlite", [FIRST])
