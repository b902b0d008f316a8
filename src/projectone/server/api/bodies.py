"""Bodies on their way in: in memory while there is room for everybody's, on the disk beyond that."""

from __future__ import annotations

import contextlib
import io
import tempfile
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import IO

from fastapi.concurrency import run_in_threadpool

# Fifty phones that send half a minute each at once; a slow crowd of them fills no more than this either.
_MAX_BYTES = 48 * 2**20
_MAX_BODY_BYTES = 4 * 2**20
_FLUSH_BYTES = 256 * 1024


class BodyRoom:
    """The memory that all bodies on their way in may take together; what does not fit goes to the disk.

    Args:
        max_bytes: Of all bodies; 0 keeps everything on the disk.
        max_body_bytes: Of a single one.
    """

    def __init__(self, *, max_bytes: int = _MAX_BYTES, max_body_bytes: int = _MAX_BODY_BYTES) -> None:
        self.n_bytes = 0
        self._max_bytes = max_bytes
        self._max_body_bytes = max_body_bytes
        self._lock = threading.Lock()

    @contextlib.contextmanager
    def incoming(self, folder: Path) -> Iterator[IncomingBody]:
        """A body for the block; nothing of it stays. `folder` is where it goes if there is no room."""
        body = IncomingBody(self, folder)
        try:
            yield body
        finally:
            body.close()

    def take(self, n_bytes: int, n_held: int) -> bool:
        """Whether a body that holds `n_held` bytes here may hold so many more; they are then counted."""
        with self._lock:
            has_room = n_held + n_bytes <= self._max_body_bytes and self.n_bytes + n_bytes <= self._max_bytes
            self.n_bytes += n_bytes if has_room else 0
        return has_room

    def give_back(self, n_bytes: int) -> None:
        """What was taken is free again."""
        with self._lock:
            self.n_bytes -= n_bytes


class IncomingBody:
    """One body: written piece by piece on the event loop, then read as a stream."""

    def __init__(self, room: BodyRoom, folder: Path) -> None:
        self._room = room
        self._folder = folder
        self._pieces: list[bytes] = []
        self._n_held = 0
        self._n_waiting = 0
        self._file: IO[bytes] | None = None

    async def write(self, piece: bytes) -> None:
        """Take the next bytes.

        Raises:
            OSError: if they went to the disk and it refused.
        """
        self._pieces.append(piece)
        if self._file is None:
            if self._room.take(len(piece), self._n_held):
                self._n_held += len(piece)
                return
            self._file = tempfile.TemporaryFile(dir=self._folder)  # noqa: SIM115 - `close` closes it
            self._n_waiting = self._n_held
        self._n_waiting += len(piece)
        if self._n_waiting >= _FLUSH_BYTES:
            await self._flush(self._file)

    async def stream(self) -> IO[bytes]:
        """The whole body, at its beginning.

        Raises:
            OSError: as `write`.
        """
        if self._file is None:
            content, self._pieces = b"".join(self._pieces), []
            return io.BytesIO(content)
        await self._flush(self._file)
        self._file.seek(0)
        return self._file

    def close(self) -> None:
        """Let go of the bytes."""
        self._pieces = []
        self._give_back()
        if self._file is not None:
            self._file.close()

    async def _flush(self, file: IO[bytes]) -> None:
        pieces, self._pieces, self._n_waiting = self._pieces, [], 0
        if pieces:
            await run_in_threadpool(file.write, b"".join(pieces))
        self._give_back()

    def _give_back(self) -> None:
        self._room.give_back(self._n_held)
        self._n_held = 0
