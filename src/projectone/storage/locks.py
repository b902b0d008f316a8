"""A lock between processes that dies with its holder."""

from __future__ import annotations

import contextlib
import fcntl
from collections.abc import Iterator
from pathlib import Path

from projectone.errors import LeaseError, StorageError
from projectone.storage.files import make_folder


@contextlib.contextmanager
def exclusive_lock(path: Path, *, what: str, is_waiting: bool = False) -> Iterator[None]:
    """Hold `path` alone for the block; the kernel lets go when the process ends, however it ends.

    Args:
        path: The lock file; made if it is missing, never removed (removing it would allow two holders).
        what: What is being done, for the message to whoever comes second.
        is_waiting: Wait for the holder instead of giving up.

    Raises:
        LeaseError: if another process or thread holds it.
        StorageError: if the disk refused the lock file.
    """
    try:
        make_folder(path.parent)
        stream = path.open("ab")
    except OSError as error:
        raise StorageError(f"{str(path)!r}: {error.strerror}") from error
    with stream:
        try:
            fcntl.flock(stream, fcntl.LOCK_EX | (0 if is_waiting else fcntl.LOCK_NB))
        except BlockingIOError as error:
            raise LeaseError(f"{what}: another process is doing this now; try again when it is done") from error
        yield  # closing the file lets go
