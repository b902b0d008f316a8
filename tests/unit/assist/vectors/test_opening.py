"""Which store a setting opens, and what is said where it cannot."""

from __future__ import annotations

import contextlib
import sys
from pathlib import Path

import pytest

from projectone.assist.vectors.addresses import kind_of, milvus_words, read_vectors
from projectone.assist.vectors.opening import open_vectors
from projectone.assist.vectors.sqlite import SqliteVectors
from projectone.errors import SettingsError, StorageError


def test_sqlite_is_a_file_in_the_home(tmp_path: Path) -> None:
    with contextlib.closing(open_vectors("sqlite", 4, tmp_path)) as store:
        assert isinstance(store, SqliteVectors)
    assert [path.name for path in tmp_path.iterdir()] == ["vectors.sqlite"]


@pytest.mark.parametrize(
    "text", ["", "Sqlite", "http://a", "mysql://u:secret@h/d", "milvus://", "milvus:///", "sqlite://"]
)
def test_other_names_are_refused_without_repeating_them(text: str, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"`sqlite`, `postgresql://"):
        read_vectors(text)
    with pytest.raises(SettingsError) as refused:
        open_vectors(text, 4, tmp_path)
    assert "secret" not in str(refused.value)


def test_what_milvus_is_told() -> None:
    assert milvus_words("milvus://anna:p%40ss@host/db") == ("http://host:19530", "anna:p@ss", "db")
    assert milvus_words("milvus+tls://host:443") == ("https://host:443", "", "")
    assert milvus_words("milvus:///data/with%20space.db") == ("/data/with space.db", "", "")
    with pytest.raises(SettingsError):
        open_vectors("milvus://host:port", 4, Path())


def test_the_kind_tells_nothing_of_the_address() -> None:
    kinds = [kind_of(url) for url in ("sqlite", "postgres://u:p@h/d", "postgresql:///d", "milvus+tls://h")]
    assert kinds == ["SQLite", "PostgreSQL", "PostgreSQL", "Milvus"]


@pytest.mark.parametrize(
    ("url", "library", "extra"), [("postgresql:///d", "psycopg", "pgvector"), ("milvus://h", "pymilvus", "milvus")]
)
def test_a_library_that_is_missing_is_named_with_its_extra(
    url: str, library: str, extra: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("postgresql", "milvus"):
        monkeypatch.delitem(sys.modules, f"projectone.assist.vectors.{name}", raising=False)
    monkeypatch.setitem(sys.modules, library, None)
    with pytest.raises(SettingsError, match=rf"{library} is not installed; pip install 'projectone\[{extra}\]'"):
        open_vectors(url, 4, tmp_path)


def test_a_server_that_does_not_answer_is_told_without_its_password(tmp_path: Path) -> None:
    pytest.importorskip("psycopg")
    with pytest.raises(StorageError, match="PostgreSQL") as refused:
        open_vectors("postgresql://anna:secret@127.0.0.1:1/rows", 4, tmp_path)
    assert "secret" not in str(refused.value)
