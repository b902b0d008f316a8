"""Tables of the Hub, and one row of them that every room speaks of: the repository."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from sqlalchemy import BigInteger, Boolean, Column, Float, ForeignKey, Integer, LargeBinary, String, Table, Text

from projectone.server.database import METADATA

MAIN = "refs/heads/main"
_LOOKUP_BATCH = 500  # SQLite accepts 32,766 variables; a smaller statement is planned faster
# Of whole models: over 2 GiB. SQLite's integers are long enough.
_SIZE = BigInteger().with_variant(Integer, "sqlite")

TOKENS = Table(
    "hub_tokens",
    METADATA,
    Column("digest", String(64), primary_key=True),
    Column("name", String(96), nullable=False),
    Column("role", String(8), nullable=False),
    Column("namespaces", Text, nullable=False),
    Column("expires_at_s", Float),
    Column("created_at_s", Float, nullable=False),
)
REPOS = Table(
    "hub_repos",
    METADATA,
    Column("id", Integer, primary_key=True, autoincrement=True),
    Column("kind", String(8), nullable=False),
    Column("namespace", String(96), nullable=False),
    Column("name", String(96), nullable=False),
    Column("private", Boolean, nullable=False),
    Column("writes", Integer, nullable=False),
    Column("created_at_s", Float, nullable=False),
    sqlite_autoincrement=True,  # an id is never given again, so an old upload URL cannot reach a new repository
)
NAMES = Table(
    "hub_names",
    METADATA,
    Column("kind", String(8), primary_key=True),
    # Lower case: two names that differ in case only would meet in one folder of a client's cache.
    Column("folded", String(193), primary_key=True),
    Column("repo_id", ForeignKey("hub_repos.id", ondelete="CASCADE"), nullable=False),
)
REFS = Table(
    "hub_refs",
    METADATA,
    Column("repo_id", ForeignKey("hub_repos.id", ondelete="CASCADE"), primary_key=True),
    Column("name", String(255), primary_key=True),
    Column("target", String(40), nullable=False),
)
OBJECTS = Table(
    "hub_objects",
    METADATA,
    Column("repo_id", ForeignKey("hub_repos.id", ondelete="CASCADE"), primary_key=True),
    Column("oid", String(40), primary_key=True),
    Column("kind", String(8), nullable=False),
    Column("body", LargeBinary),  # trees and commits; the bytes of files lie in the blob store
    Column("size_bytes", _SIZE),
    Column("pool_sha256", String(64)),
    Column("lfs_sha256", String(64)),
)
UPLOADS = Table(
    "hub_uploads",
    METADATA,
    Column("repo_id", ForeignKey("hub_repos.id", ondelete="CASCADE"), primary_key=True),
    Column("sha256", String(64), primary_key=True),
    Column("size_bytes", _SIZE, nullable=False),
    Column("uploaded_at_s", Float, nullable=False, server_default="0"),
)


@dataclass(frozen=True)
class Repo:
    """One repository."""

    id: int
    kind: str
    namespace: str
    name: str
    private: bool
    created_at_s: float

    @property
    def full_name(self) -> str:
        """Namespace and name, as the client writes them."""
        return f"{self.namespace}/{self.name}"

    @property
    def path(self) -> str:
        """Where its pages are, below the Hub's address."""
        return self.full_name if self.kind == "models" else f"{self.kind}/{self.full_name}"


def batches(values: Iterable[str]) -> Iterator[list[str]]:
    """The different values, in runs short enough for one statement."""
    ordered = sorted(set(values))
    for start in range(0, len(ordered), _LOOKUP_BATCH):
        yield ordered[start : start + _LOOKUP_BATCH]
