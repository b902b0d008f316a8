"""The database keeps its promises, or does not open."""

import contextlib
import sys
import threading
import traceback
from pathlib import Path

import pytest
from sqlalchemy import Column, Integer, MetaData, Table, event, insert, select, text

from projectone.errors import SettingsError, StorageError
from projectone.server.database import assert_database, describe_database, open_engine, reading, writing

NUMBERS = Table("numbers", MetaData(), Column("n", Integer))


def test_the_settings_that_make_a_commit_durable_are_on(tmp_path: Path) -> None:
    engine = open_engine(f"sqlite:///{tmp_path}/rows.sqlite")
    names = ("journal_mode", "synchronous", "foreign_keys", "busy_timeout", "trusted_schema", "secure_delete")
    with reading(engine) as connection:
        found = [connection.execute(text(f"PRAGMA {name}")).scalar() for name in names]
    assert found == ["wal", 2, 1, 10_000, 0, 1]
    engine.dispose()


def test_a_database_that_cannot_keep_them_is_refused() -> None:
    engine = open_engine("sqlite://")  # in memory there is no journal to write ahead
    with pytest.raises(StorageError, match="journal_mode: expected 'wal', got 'memory'"):
        assert_database(engine)
    engine.dispose()


def test_connections_of_forty_threads_are_kept(tmp_path: Path) -> None:
    engine = open_engine(f"sqlite:///{tmp_path}/rows.sqlite")
    opened: list[object] = []
    event.listen(engine, "connect", lambda connection, _record: opened.append(connection))
    for _ in range(2):
        with contextlib.ExitStack() as held:
            for _ in range(40):
                held.enter_context(reading(engine)).execute(text("SELECT 1"))
    assert len(opened) == 40
    engine.dispose()


def test_a_failed_block_changes_nothing(tmp_path: Path) -> None:
    engine = open_engine(f"sqlite:///{tmp_path}/rows.sqlite")
    with writing(engine) as connection:
        NUMBERS.metadata.create_all(connection)
    with pytest.raises(RuntimeError), writing(engine) as connection:
        connection.execute(insert(NUMBERS).values(n=1))
        raise RuntimeError
    with reading(engine) as connection:
        assert connection.execute(select(NUMBERS)).all() == []
    engine.dispose()


def test_what_a_writer_has_read_stays_true_until_it_commits(tmp_path: Path) -> None:
    engine = open_engine(f"sqlite:///{tmp_path}/rows.sqlite")
    with writing(engine) as connection:
        NUMBERS.metadata.create_all(connection)
        connection.execute(insert(NUMBERS).values(n=0))

    def add_one() -> None:
        for _ in range(8):
            with writing(engine) as connection:
                n = connection.execute(select(NUMBERS.c.n)).scalar_one()
                connection.execute(NUMBERS.update().values(n=n + 1))

    threads = [threading.Thread(target=add_one) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    with reading(engine) as connection:
        assert connection.execute(select(NUMBERS.c.n)).scalar_one() == 32
    engine.dispose()


def test_a_refusal_of_the_database_is_a_storage_error(tmp_path: Path) -> None:
    (tmp_path / "rows.sqlite").write_bytes(b"no database" * 100)
    engine = open_engine(f"sqlite:///{tmp_path}/rows.sqlite")
    with pytest.raises(StorageError), reading(engine) as connection:
        connection.execute(text("SELECT 1"))
    engine.dispose()


def test_no_error_of_the_database_shows_what_was_to_be_written(tmp_path: Path) -> None:
    said = " ".join(("nobody", "else", "shall", "know"))  # not as one piece: tracebacks show source lines
    engine = open_engine(f"sqlite:///{tmp_path}/rows.sqlite")
    with pytest.raises(StorageError, match="no such table") as caught, writing(engine) as connection:
        connection.execute(text("INSERT INTO samples VALUES (:said)"), {"said": said})
    engine.dispose()
    assert said not in "".join(traceback.format_exception(caught.value))


def test_a_missing_driver_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "psycopg", None)  # as where it is not installed
    with pytest.raises(SettingsError, match=r"pip install 'psycopg\[binary\]'.*postgresql\+psycopg://") as caught:
        open_engine("postgresql://u:secret@host/db")
    assert "secret" not in str(caught.value)


def test_a_url_that_makes_no_sense_is_explained_without_its_password() -> None:
    with pytest.raises(SettingsError, match="database URL"):
        open_engine("nonsense")
    with pytest.raises(SettingsError, match="expected one of sqlite, postgresql, got 'mysql'") as caught:
        open_engine("mysql://u:secret@host/db")
    assert "secret" not in str(caught.value)
    assert "secret" not in describe_database("postgresql://u:secret@host/db")
    shown = describe_database("postgresql://host/db?user=u&password=secret&sslpassword=secret&host=/run")
    assert "secret" not in shown and "user=u" in shown
