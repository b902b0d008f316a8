"""A lock between processes that dies with its holder."""

from __future__ import annotations

import contextlib
import fcntl
import time
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Final

from projectone.errors import LeaseError, StorageError
from projectone.storage.files import make_folder

_BUSY: Final = "another process is doing this now; try again when it is done"
_ASK_AGAIN_S: Final = 0.02


@contextlib.contextmanager
def exclusive_lock(
    path: Path, *, what: str, is_waiting: bool = False, wait_s: float = 0.0, busy: str = _BUSY
) -> Iterator[None]:
    """Hold `path` alone for the block; the kernel lets go when the process ends, however it ends.

    Args:
        path: The lock file; made if it is missing, never removed (removing it would allow two holders).
        what: What is being done, for the message to whoever comes second.
        is_waiting: Wait for the holder instead of giving up.
        wait_s: Wait so long for the holder before giving up.
        busy: What is said then.

    Raises:
        LeaseError: if another process or thread holds it, and goes on holding it.
        StorageError: if the disk refused the lock file.
    """
    try:
        make_folder(path.parent)
        stream = path.open("ab")
    except OSError as error:
        raise StorageError(f"{str(path)!r}: {error.strerror}") from error
    with stream:
        try:
            if is_waiting:
                fcntl.flock(stream, fcntl.LOCK_EX)
            else:
                _take(stream, time.monotonic() + wait_s)
        except BlockingIOError as error:
            raise LeaseError(f"{what}: {busy}") from error
        yield  # closing the file lets go


def _take(stream: IO[bytes], until_s: float) -> None:
    """The kernel knows no waiting with an end, so it is asked again and again."""
    while True:
        try:
            return fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            left_s = until_s - time.monotonic()
            if left_s <= 0:
                raise
            time.sleep(min(_ASK_AGAIN_S, left_s))
