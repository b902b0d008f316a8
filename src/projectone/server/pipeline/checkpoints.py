"""The graph's memory: LangGraph's SQLite saver, opened durable, strict and under the lease."""

from __future__ import annotations

import logging
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
from projectone.storage.sqlite import open_connection


@dataclass(frozen=True)
class _Probe:
    """A class of ours that saved state has no business to call."""

    word: str


class FencedSaver(SqliteSaver):
    """Saves nothing for a worker whose lease is stale."""

    def __init__(self, connection: Any, check: Callable[[], None]) -> None:  # noqa: ANN401 - the driver's own type
        super().__init__(connection)
        self._check = check

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
def open_checkpointer(path: Path, check: Callable[[], None]) -> Iterator[FencedSaver]:
    """The saver over the file at `path`.

    Args:
        path: Its database; made if it is missing.
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
        yield FencedSaver(connection, check)
    finally:
        connection.close()


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
