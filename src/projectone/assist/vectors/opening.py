"""Opens the store of vectors that a setting names."""

from __future__ import annotations

from pathlib import Path

from projectone.assist.vectors.addresses import kind_of, milvus_words, read_vectors
from projectone.assist.vectors.protocol import VectorStore
from projectone.assist.vectors.sqlite import SqliteVectors
from projectone.errors import SettingsError

VECTORS_FILE = "vectors.sqlite"
"""Below a home, where vectors are kept in a file. It is in no backup: it lies open, and is made anew from texts."""

_EXTRAS = {"PostgreSQL": "pgvector", "Milvus": "milvus"}


def open_vectors(where: str, width: int, home: Path) -> VectorStore:
    """The store that a setting names, ready.

    Args:
        where: See `addresses.EXPECTED`.
        width: Numbers of a vector.
        home: The folder in which `sqlite` keeps its file.

    Raises:
        SettingsError: if nothing is named so, or its library is not installed.
        StorageError: if the store cannot be reached or does not fit.
    """
    try:
        kind = kind_of(read_vectors(where))
        if kind == "PostgreSQL":
            from projectone.assist.vectors.postgresql import PostgresqlVectors

            return PostgresqlVectors(where, width)
        if kind == "Milvus":
            from projectone.assist.vectors.milvus import MilvusVectors

            uri, token, database = milvus_words(where)
            return MilvusVectors(uri, width, token=token, database=database)
    except ValueError as error:  # what was given may hold a password
        raise SettingsError(f"store of vectors: {error}") from error
    except ImportError as error:
        advice = f"{error.name} is not installed; pip install 'projectone[{_EXTRAS[kind]}]'"
        raise SettingsError(f"store of vectors: {advice}") from error
    return SqliteVectors.in_file(home / VECTORS_FILE, width)
