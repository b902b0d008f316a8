"""Room that is kept on a disk for what must be possible also when it is full: taking back, and making room."""

from __future__ import annotations

import contextlib
import errno
import os
from collections.abc import Callable
from pathlib import Path
from typing import Final, TypeVar

from projectone.errors import StorageError

N_BYTES: Final = 1 << 20
"""Several times what the log of a database takes for a withdrawal with all that was given under it."""

_SQLITE_FULL = 13
_Result = TypeVar("_Result")


class Reserve:
    """A file that holds nothing but its place, and is given up when the disk is full.

    Args:
        path: Where it lies: on the disk that may be full.
        n_bytes: How much is kept.
    """

    def __init__(self, path: Path, n_bytes: int = N_BYTES) -> None:
        self._path = path
        self._n_bytes = n_bytes

    def hold(self) -> None:
        """Keep the room, if there is any: a disk that is full already keeps none."""
        with contextlib.suppress(OSError):
            if self._path.exists() and self._path.stat().st_size == self._n_bytes:
                return
            try:
                with self._path.open("wb") as stream:
                    _take(stream.fileno(), self._n_bytes)
            except OSError:
                self._path.unlink(missing_ok=True)  # a part of it would look whole to nobody, and help nobody

    def run(self, work: Callable[[], _Result]) -> _Result:
        """Do `work`; on a full disk once more, with the room that was kept.

        Args:
            work: Changes all of what it changes, or nothing.

        Raises:
            StorageError: if even that was not enough, or the disk refused for another reason.
        """
        try:
            return work()
        except (OSError, StorageError) as error:
            if not is_full(error) or not self._path.exists():
                raise
        self._path.unlink(missing_ok=True)
        result = work()
        self.hold()
        return result


def is_full(error: BaseException) -> bool:
    """Whether it was raised, or caused, by a disk without room."""
    cause: BaseException | None = error
    while cause is not None:
        if isinstance(cause, OSError) and cause.errno in (errno.ENOSPC, errno.EDQUOT):
            return True
        if getattr(cause, "sqlite_errorcode", None) == _SQLITE_FULL:
            return True
        cause = cause.__cause__
    return False


def _take(file: int, n_bytes: int) -> None:
    """Blocks of the disk, not a hole: a file system may promise the same room to others otherwise."""
    allocate = getattr(os, "posix_fallocate", None)
    if allocate is not None:
        allocate(file, 0, n_bytes)
        return
    os.write(file, os.urandom(n_bytes))  # macOS: bytes that no file system makes smaller
