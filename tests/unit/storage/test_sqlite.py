import sqlite3
from collections.abc import Callable
from pathlib import Path
from typing import cast

import pytest

from projectone.errors import StorageError
from projectone.storage import sqlite
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


def test_a_process_that_waited_runs_no_migration_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Two commands of a new device start at once: both see a database without tables, and one of them is first."""
    opened = sqlite.open_connection

    def overtaken(path: Path) -> sqlite3.Connection:
        monkeypatch.setattr(sqlite, "open_connection", opened)
        connection = opened(path)
        late = LateReader(connection, before=lambda: open_database(path, [FIRST, SECOND]).close())
        return cast(sqlite3.Connection, late)

    monkeypatch.setattr(sqlite, "open_connection", overtaken)
    connection = open_database(tmp_path / "d.sqlite", [FIRST, SECOND])
    assert [row["name"] for row in connection.execute("PRAGMA table_info(clips)")] == ["name", "words"]
    connection.close()


class LateReader:
    """A connection whose first transaction waits until another process is done."""

    def __init__(self, connection: sqlite3.Connection, before: Callable[[], None]) -> None:
        self._connection = connection
        self._before: Callable[[], None] | None = before

    def execute(self, statement: str) -> sqlite3.Cursor:
        if statement.startswith("BEGIN") and self._before is not None:
            self._before, before = None, self._before
            before()
        return self._connection.execute(statement)

    def __getattr__(self, name: str) -> object:
        return getattr(self._connection, name)


def test_a_trigger_is_one_statement_of_a_migration(tmp_path: Path) -> None:
    trigger = "CREATE TRIGGER t BEFORE DELETE ON clips BEGIN SELECT RAISE(ABORT, 'no; never'); END;\n"
    connection = open_database(tmp_path / "d.sqlite", [f"{FIRST}; {trigger}"])
    connection.execute("INSERT INTO clips VALUES ('a')")
    with pytest.raises(sqlite3.IntegrityError, match="no; never"):
        connection.execute("DELETE FROM clips")
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
