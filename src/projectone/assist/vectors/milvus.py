"""Vectors in Milvus, or in a file of milvus-lite: for teams that run one.

The index is flat, so that answers are exact: with an approximate one a filter by owner loses two thirds of a small
owner's nearest. Owners are kept apart by a partition key; filters hold digests and numbers alone.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any, Final
from uuid import UUID

from pymilvus import DataType, MilvusClient
from pymilvus.exceptions import MilvusException

from projectone.assist.vectors.protocol import (
    Hit,
    Item,
    Owner,
    Vector,
    checked_k,
    direction,
    expiry_us,
    in_order,
    rows_of,
)
from projectone.errors import StorageError

_COLLECTION: Final = "projectone_vectors_"  # and the width: milvus-lite tells it in no other way
_BATCH: Final = 1_000
_TIMEOUT_S: Final = 30
_N_PARTITIONS: Final = 16
_AT_ONCE: Final = "Strong"  # who reads sees what was acknowledged before


class MilvusVectors:
    """A `VectorStore` in a collection of Milvus.

    Milvus has no transactions: of a `put`, each 1,000 are kept whole or not at all. Deleted vectors are out of reach at
    once; their bytes go when Milvus compacts (docs/vectors.md).

    Args:
        uri: `http://host:19530`, `https://...`, or the path of a file for milvus-lite.
        width: Numbers of a vector.
        token: `user:password` or a key, if the server asks for one.
        database: The database in the server; the default one if empty.

    Raises:
        StorageError: if it cannot be reached, or keeps vectors of another width.
    """

    def __init__(self, uri: str, width: int, *, token: str = "", database: str = "") -> None:
        self._width = width
        self._collection = f"{_COLLECTION}{width}"
        with _refusals_told():
            self._client = MilvusClient(uri, token=token, db_name=database, timeout=_TIMEOUT_S)
        try:
            with _refusals_told():
                self._make_collection()
        except StorageError:
            self._client.close()
            raise

    def put(self, items: Sequence[Item]) -> None:
        """See `VectorStore`."""
        rows = [
            {
                "name": row.owner + row.id.hex,
                "owner": row.owner,
                "kind": row.kind,
                "expires_us": row.expires_us,
                "vector": row.vector,
            }
            for row in rows_of(items, self._width)
        ]
        with _refusals_told():
            for start in range(0, len(rows), _BATCH):
                self._client.upsert(self._collection, rows[start : start + _BATCH], timeout=_TIMEOUT_S)

    def nearest(self, query: Vector, owner: Owner, k: int, now: datetime) -> list[Hit]:
        """See `VectorStore`."""
        asked, n, now_us = direction(query, self._width), checked_k(k), expiry_us(now)
        with _refusals_told():
            self._sweep(now_us)
            (found,) = self._client.search(
                self._collection,
                [asked],
                filter=f"{_of(owner)} and expires_us > {now_us}",
                limit=n,
                output_fields=["kind"],
                consistency_level=_AT_ONCE,
                timeout=_TIMEOUT_S,
            )
        return in_order([_hit(each) for each in found])

    def drop(self, ids: Sequence[UUID], owner: Owner) -> int:
        """See `VectorStore`."""
        n_dropped = 0
        wanted = sorted({identifier.hex for identifier in ids})
        for start in range(0, len(wanted), _BATCH):
            names = ", ".join(f'"{owner.key}{name}"' for name in wanted[start : start + _BATCH])
            n_dropped += self._delete(f"{_of(owner)} and name in [{names}]")
        return n_dropped

    def forget(self, owner: Owner) -> int:
        """See `VectorStore`."""
        return self._delete(_of(owner))

    def sweep(self, now: datetime) -> int:
        """See `VectorStore`."""
        with _refusals_told():
            return self._sweep(expiry_us(now))

    def count(self, owner: Owner) -> int:
        """See `VectorStore`."""
        with _refusals_told():
            return self._count(_of(owner))

    def close(self) -> None:
        """Hang up."""
        self._client.close()

    def _make_collection(self) -> None:
        kept = {name for name in self._client.list_collections(timeout=_TIMEOUT_S) if name.startswith(_COLLECTION)}
        if others := kept - {self._collection}:
            widths = ", ".join(sorted(name.removeprefix(_COLLECTION) for name in others))
            raise StorageError(
                f"the vectors that are kept are {widths} numbers wide, expected {self._width}: they were made by "
                f"another encoder; drop the collection {_COLLECTION}{widths}, and they are made anew"
            )
        if not kept:
            schema = self._client.create_schema(auto_id=False, enable_dynamic_field=False)
            schema.add_field("name", DataType.VARCHAR, max_length=96, is_primary=True)
            schema.add_field("owner", DataType.VARCHAR, max_length=64, is_partition_key=True)
            schema.add_field("kind", DataType.VARCHAR, max_length=32)
            schema.add_field("expires_us", DataType.INT64)
            schema.add_field("vector", DataType.FLOAT_VECTOR, dim=self._width)
            index = self._client.prepare_index_params()
            index.add_index("vector", index_type="FLAT", metric_type="COSINE")
            self._client.create_collection(
                self._collection,
                schema=schema,
                index_params=index,
                num_partitions=_N_PARTITIONS,
                consistency_level=_AT_ONCE,
                timeout=_TIMEOUT_S,
            )
        self._client.load_collection(self._collection, timeout=_TIMEOUT_S)

    def _sweep(self, now_us: int) -> int:
        expired = f"expires_us <= {now_us}"  # no moment is `NEVER`
        if not self._client.query(
            self._collection,
            filter=expired,
            output_fields=["name"],
            limit=1,
            consistency_level=_AT_ONCE,
            timeout=_TIMEOUT_S,
        ):
            return 0
        return self._delete(expired)

    def _delete(self, which: str) -> int:
        with _refusals_told():
            n_there = self._count(which)  # a server's own answer counts what was asked for, there or not
            if n_there:
                self._client.delete(self._collection, filter=which, timeout=_TIMEOUT_S)
            return n_there

    def _count(self, which: str) -> int:
        (row,) = self._client.query(
            self._collection, filter=which, output_fields=["count(*)"], consistency_level=_AT_ONCE, timeout=_TIMEOUT_S
        )
        return int(row["count(*)"])


def _of(owner: Owner) -> str:
    return f'owner == "{owner.key}"'


def _hit(found: Mapping[str, Any]) -> Hit:
    cosine = float(found["distance"])  # Milvus calls it so: for COSINE it is the cosine itself
    return Hit(UUID(found["name"][-32:]), min(2.0, max(0.0, 1.0 - cosine)), str(found["entity"]["kind"]))


@contextlib.contextmanager
def _refusals_told() -> Iterator[None]:
    try:
        yield
    except MilvusException as error:
        raise StorageError(f"vectors in Milvus: {error.message or type(error).__name__}") from error
