"""The graph's memory: LangGraph's SQLite saver, opened durable, strict, sealed and under the lease.

Strict reading makes a row that names a function harmless, but reads it. The seal refuses it: every value carries a
keyed digest, so a row that somebody else wrote, changed or moved here from another run ends the reading.
"""

from __future__ import annotations

import hmac
import logging
import secrets
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from langchain_core.runnables import RunnableConfig
from langgraph.checkpoint.base import ChannelVersions, Checkpoint, CheckpointMetadata
from langgraph.checkpoint.serde.jsonplus import JsonPlusSerializer
from langgraph.checkpoint.sqlite import SqliteSaver

from projectone.errors import StorageError
from projectone.storage.files import write_atomically
from projectone.storage.sqlite import Cursor, open_connection, refusals_told

_KEY_BYTES = 32
_SEAL_BYTES = 32


@dataclass(frozen=True)
class _Probe:
    """A class of ours that saved state has no business to call."""

    word: str


class SealedSerializer(JsonPlusSerializer):
    """LangGraph's serialiser with a keyed digest (HMAC-SHA-256) in front of every value."""

    def __init__(self, key: bytes) -> None:
        super().__init__()
        self._key = key

    def dumps_typed(self, obj: Any) -> tuple[str, bytes]:  # noqa: ANN401 - as LangGraph's own
        """The value's type and its bytes, sealed."""
        kind, content = super().dumps_typed(obj)
        return kind, self._seal(kind, content) + content

    def loads_typed(self, data: tuple[str, bytes]) -> Any:  # noqa: ANN401 - as LangGraph's own
        """The value, if its seal holds.

        Raises:
            StorageError: if it does not.
        """
        kind, sealed = data
        seal, content = sealed[:_SEAL_BYTES], sealed[_SEAL_BYTES:]
        if not hmac.compare_digest(seal, self._seal(kind, content)):
            raise StorageError(
                "checkpoints: a saved value is not one that this run saved; restore the file, or remove it"
            )
        return super().loads_typed((kind, content))

    def _seal(self, kind: str, content: bytes) -> bytes:
        return hmac.digest(self._key, kind.encode() + b"\0" + content, "sha256")


class FencedSaver(SqliteSaver):
    """Saves nothing for a worker whose lease is stale, and raises our errors where the database refuses."""

    def __init__(
        self,
        connection: Any,  # noqa: ANN401 - the driver's own type
        serializer: SealedSerializer,
        check: Callable[[], None],
    ) -> None:
        super().__init__(connection, serde=serializer)
        self._check = check

    @contextmanager
    def cursor(self, transaction: bool = True) -> Iterator[Cursor]:
        """What every reading and writing of the saver goes through. A write that fails leaves nothing behind.

        Raises:
            StorageError: if the database refused: it is locked, full, or no longer a database.
        """
        then = "the run goes on from its last checkpoint once no other program holds the file and the disk has room"
        with refusals_told("checkpoints", then), super().cursor(transaction) as cursor:
            try:
                yield cursor
            except BaseException:
                self.conn.rollback()  # the saver's own way out is to commit what it has
                raise

    def put(
        self,
        config: RunnableConfig,
        checkpoint: Checkpoint,
        metadata: CheckpointMetadata,
        new_versions: ChannelVersions,
    ) -> RunnableConfig:
        """Save a checkpoint, under the lease."""
        self._check()
        return super().put(config, checkpoint, metadata, new_versions)

    def put_writes(
        self, config: RunnableConfig, writes: Sequence[tuple[str, Any]], task_id: str, task_path: str = ""
    ) -> None:
        """Save a node's result, under the lease."""
        self._check()
        super().put_writes(config, writes, task_id, task_path)


@contextmanager
def open_checkpointer(path: Path, thread: str, key: bytes, check: Callable[[], None]) -> Iterator[FencedSaver]:
    """The saver over the file at `path`, for one thread.

    Args:
        path: Its database; made if it is missing.
        thread: The run's thread id. Its values are sealed with a key of their own.
        key: The secret that the keys of all threads come from.
        check: Raises LeaseError if this worker may no longer write.

    Raises:
        StorageError: if saved state could run code when it is read, or the file does not keep its promises.
    """
    assert_strict_reader()
    connection = open_connection(path)
    # The saver unpacks rows as tuples, and writes several of them before it commits: not one commit for each.
    connection.row_factory = None
    connection.isolation_level = "IMMEDIATE"
    try:
        yield FencedSaver(connection, SealedSerializer(hmac.digest(key, thread.encode(), "sha256")), check)
    finally:
        connection.close()


def load_key(path: Path) -> bytes:
    """The secret in the file at `path`; made if it is missing. Call it under the lease: two must not make one."""
    if not path.exists():
        write_atomically(path, secrets.token_bytes(_KEY_BYTES))
        path.chmod(0o600)
    key = path.read_bytes()
    if len(key) != _KEY_BYTES:
        raise StorageError(f"{path.name!r}: expected {_KEY_BYTES} bytes, got {len(key)}; restore it from the backup")
    return key


def assert_strict_reader() -> None:
    """Prove that a saved row which names a function does not call it.

    Raises:
        StorageError: if it does. LangGraph was then imported before this package could switch that off.
    """
    logger = logging.getLogger("langgraph.checkpoint.serde.jsonplus")
    was_disabled, logger.disabled = logger.disabled, True  # the refusal is logged as a warning; here it is the wish
    try:
        serialiser = JsonPlusSerializer()
        value = serialiser.loads_typed(serialiser.dumps_typed(_Probe("called")))
    finally:
        logger.disabled = was_disabled
    if isinstance(value, _Probe):
        raise StorageError(
            "checkpoints: saved state can run code; expected LANGGRAPH_STRICT_MSGPACK=true before langgraph is imported"
        )
