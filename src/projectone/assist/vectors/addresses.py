"""How a setting names a store of vectors. No library of a store, nor numpy, is loaded by asking."""

from __future__ import annotations

from typing import Final
from urllib.parse import unquote, urlsplit

SQLITE: Final = "sqlite"
EXPECTED: Final = (
    "`sqlite`, `postgresql://USER:PASSWORD@HOST/DATABASE` or `milvus://USER:PASSWORD@HOST:PORT/DATABASE` "
    "(`milvus+tls://` with TLS, `milvus:///PATH` for a file of milvus-lite)"
)
_POSTGRESQL: Final = ("postgresql", "postgres")
_MILVUS: Final = {"milvus": "http", "milvus+tls": "https"}
_MILVUS_PORT: Final = 19530


def read_vectors(text: str) -> str:
    """The setting as it was given.

    Raises:
        ValueError: if no store is named so.
    """
    parts = urlsplit(text)
    is_known = text == SQLITE or parts.scheme in (*_POSTGRESQL, *_MILVUS)
    if not is_known or (parts.scheme in _MILVUS and not parts.hostname and len(parts.path) < 2):
        raise ValueError(f"expected {EXPECTED}")
    return text


def kind_of(where: str) -> str:
    """What kind of store a setting names; nothing of its address or password."""
    scheme = urlsplit(where).scheme
    return "PostgreSQL" if scheme in _POSTGRESQL else "Milvus" if scheme in _MILVUS else "SQLite"


def milvus_words(where: str) -> tuple[str, str, str]:
    """What Milvus' client is told: its own address (or a file), `user:password` or nothing, and the database.

    Raises:
        ValueError: if the port is no number.
    """
    parts = urlsplit(where)
    if not parts.hostname:
        return unquote(parts.path), "", ""
    token = f"{unquote(parts.username)}:{unquote(parts.password or '')}" if parts.username else ""
    uri = f"{_MILVUS[parts.scheme]}://{parts.hostname}:{parts.port or _MILVUS_PORT}"
    return uri, token, unquote(parts.path.strip("/"))
