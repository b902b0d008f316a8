"""The stores of vectors, each opened and emptied in its own way, for tests/conformance/test_vector_stores.py."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from projectone.assist.vectors.matrix import MatrixVectors
from projectone.assist.vectors.protocol import VectorStore
from projectone.assist.vectors.sqlite import VECTORS_TABLE, SqliteVectors
from projectone.storage.database import Database


@dataclass(frozen=True, kw_only=True)
class Opening:
    """How a store is opened.

    Attributes:
        open: Opens it, by default with vectors of the suite's width.
        empty: Deletes everything in it.
        folder: Where it lies on this disk, if it does.
        is_kept: Whether its vectors outlive the process.
        is_for_one: Whether only one process may have it open.
    """

    open: Callable[..., VectorStore]
    empty: Callable[[], None]
    folder: Path | None = None
    is_kept: bool = True
    is_for_one: bool = False


class OwnDatabase(SqliteVectors):
    """With a connection of its own, closed with it: as another process has."""

    def __init__(self, path: Path, width: int) -> None:
        self.database = Database(path, (VECTORS_TABLE,))
        super().__init__(self.database, width)

    def close(self) -> None:
        super().close()
        self.database.close()


@contextlib.contextmanager
def matrix(_: pytest.TempPathFactory, width: int) -> Iterator[Opening]:
    yield Opening(open=lambda: MatrixVectors(width), empty=lambda: None, is_kept=False)


@contextlib.contextmanager
def sqlite(folders: pytest.TempPathFactory, width: int) -> Iterator[Opening]:
    folder = folders.mktemp("sqlite")

    def empty() -> None:
        for path in folder.iterdir():
            path.unlink()

    yield Opening(open=lambda w=width: OwnDatabase(folder / "device.sqlite", w), empty=empty, folder=folder)


STORES = (
    pytest.param(matrix, id="matrix"),
    pytest.param(sqlite, id="sqlite"),
)
