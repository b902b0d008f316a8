"""A server's memories on rows and vectors of their own, and a service that real clients reach on loopback."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import uvicorn

from projectone.assist.embeddings import HashingEmbedder
from projectone.assist.first_turn import FirstTurn
from projectone.assist.memory import About, Kind, Retention
from projectone.assist.vectors.opening import open_vectors
from projectone.assist.vectors.protocol import Owner, VectorStore
from projectone.server.audit import AUDIT_LOG
from projectone.server.database import METADATA, open_engine
from projectone.server.keys import ConsentKeys, open_key_database
from projectone.server.memories.hosted import HostedMemories
from projectone.server.memories.routes import MemoryRoutes
from projectone.server.memories.tables import (
    HOSTED_MEMORIES,
    HOSTED_MEMORY_KEYS,
    HOSTED_MEMORY_LINKS,
    HOSTED_MEMORY_WITHDRAWALS,
    MEMORY_TENANTS,
)
from projectone.server.memories.tenants import Tenants
from projectone.server.replicas.app import create_app
from projectone.server.replicas.asking import LocalModels
from projectone.server.replicas.models import ModelPlaces
from projectone.storage.keyfiles import KeyFiles

NOW = datetime(2026, 11, 1, tzinfo=UTC)
DAY = timedelta(days=1)
WIDTH = 64
TABLES = [
    AUDIT_LOG,
    HOSTED_MEMORIES,
    HOSTED_MEMORY_KEYS,
    HOSTED_MEMORY_LINKS,
    HOSTED_MEMORY_WITHDRAWALS,
    MEMORY_TENANTS,
]
ANNA, BERT, OTHER_ANNA = Owner("shop", "anna"), Owner("shop", "bert"), Owner("bank", "anna")
EVERYBODY = (ANNA, BERT, OTHER_ANNA)


def about(kind: Kind = "said", at: datetime = NOW) -> About:
    return About(kind=kind, said_at=at)


class Room:
    """A home of memories; opened again, it is the same one."""

    def __init__(
        self,
        folder: Path,
        *,
        database: str = "",
        vectors: str = "sqlite",
        retention: Retention | None = None,
        change: Callable[[VectorStore], VectorStore] = lambda store: store,
    ) -> None:
        self.folder = folder
        self.now = NOW
        (folder / "keys").mkdir(parents=True, exist_ok=True)
        self.engine = open_engine(database or f"sqlite:///{folder}/rows.sqlite")
        METADATA.create_all(self.engine, tables=TABLES)  # what the migrations give, without their time
        self.keys = ConsentKeys(
            open_key_database(f"sqlite:///{folder}/keys/consents.sqlite"), KeyFiles(folder / "keys", can_unwrap=True)
        )
        self.keys.ensure_master()
        self.store = change(open_vectors(vectors, WIDTH, folder))
        self.tenants = Tenants(self.engine, retention or Retention())
        self.memories = HostedMemories(
            self.engine,
            self.keys,
            self.store,
            HashingEmbedder(WIDTH).embed,
            embedded_by="hashing-64",
            keeps=self.tenants.retention,
        )

    def texts(self, owner: Owner) -> list[str]:
        return [memory.text for memory in self.memories.newest(owner, 50, self.now)]

    def found(self, owner: Owner, text: str) -> list[str]:
        return [each.memory.text for each in self.memories.recall(owner, text, 5, self.now)]

    def close(self) -> None:
        self.memories.close()
        self.keys.close()
        self.engine.dispose()


@contextlib.contextmanager
def served(room: Room, first_turn: FirstTurn | None = None) -> Iterator[str]:
    """The service of a room, over real HTTP; gives its address."""
    models = LocalModels(ModelPlaces(), {})
    routes = MemoryRoutes(room.memories, room.tenants, first_turn=lambda: first_turn, clock=lambda: room.now).routes()
    app = create_app(models, (), token="the-token-of-the-models", beside=routes)
    server = uvicorn.Server(uvicorn.Config(app, port=0, log_level="warning", lifespan="off", ws="none"))
    listener = server.config.bind_socket()
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]})
    thread.start()
    try:
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"
    finally:
        server.should_exit = True
        thread.join()
        listener.close()
