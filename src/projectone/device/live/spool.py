"""Sound on the disk while it is being said: whatever happens to the program, it is there at the next start.

    <home>/live/<when it began>-<random>.pcm      PCM16, little-endian, 16 kHz, mono; only ever appended to

A piece is written before it is acknowledged, so that a killed program loses none of them. After every second of sound
the file is pushed to the disk itself: a power cut costs at most what came after that (`Spool.n_safe_bytes`). Whoever
has the file open holds a lock on it, which ends with the process.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import re
import secrets
import shutil
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

from projectone.errors import DataError, LeaseError, StorageError
from projectone.storage.files import fsync_file, fsync_folder, make_folder

RATE_HZ = 16_000
BYTES_PER_S = 2 * RATE_HZ
MAX_BYTES = 3600 * BYTES_PER_S
_SYNC_BYTES = BYTES_PER_S
# The finished recording is written before the spool goes: the disk must have room for both, and for rows.
_SPARE_BYTES = 32 * 1024 * 1024
_MAX_UNFINISHED_BYTES = 4 * MAX_BYTES
_ID = re.compile(r"(\d{8}T\d{12})Z-[0-9a-f]{8}")
_MOMENT = "%Y%m%dT%H%M%S%f"


def began_at(live_id: str) -> datetime:
    """When a recording began, as its name says.

    Raises:
        DataError: ``live-unknown`` for what is no such name.
    """
    match = _ID.fullmatch(live_id)
    with contextlib.suppress(ValueError):
        if match is not None:
            return datetime.strptime(match[1], _MOMENT).replace(tzinfo=UTC)
    raise unknown(live_id)


def unknown(live_id: str) -> DataError:
    """Nothing of this name is being recorded, or was left."""
    return DataError("live-unknown", f"{live_id[:60]!r}: no such recording; it was finished or discarded")


class Spool:
    """One recording that grows. Used by one thread at a time, but for `read`.

    Attributes:
        live_id: Its name.
        n_bytes: What is there; the next piece begins here.
        n_safe_bytes: What not even a power cut takes.
    """

    def __init__(self, path: Path, descriptor: int, free_bytes: Callable[[Path], int]) -> None:
        self.live_id = path.stem
        self._path = path
        self._descriptor = descriptor
        self._free_bytes = free_bytes
        found = os.fstat(descriptor).st_size
        self.n_bytes = found - found % 2
        self.n_safe_bytes = 0
        if found % 2:  # half a sample: the rest of it was never written
            os.ftruncate(descriptor, self.n_bytes)

    def append(self, offset: int, piece: bytes) -> None:
        """Add a piece, or what is new of it.

        Args:
            offset: Where it begins. Bytes that are here already must be the same.
            piece: Whole samples.

        Raises:
            DataError: ``live-gap``, ``live-other``, ``live-too-long`` or ``live-odd``; nothing is changed.
            StorageError: if the disk has no room, or failed; what was here before stays.
        """
        if offset < 0 or offset % 2 or len(piece) % 2:
            raise DataError("live-odd", f"expected whole samples of two bytes, got {len(piece)} bytes at {offset}")
        if offset > self.n_bytes:
            raise DataError("live-gap", f"expected sound from byte {self.n_bytes} on, got it from {offset}")
        if offset + len(piece) > MAX_BYTES:
            limit = f"{MAX_BYTES // BYTES_PER_S // 60} minutes"
            raise DataError("live-too-long", f"expected at most {limit}, got more; finish this recording first")
        n_known = min(self.n_bytes - offset, len(piece))
        if self.read(offset, offset + n_known) != piece[:n_known]:
            raise DataError("live-other", f"expected the same sound at byte {offset} as before, got another")
        self._write(piece[n_known:])

    def read(self, first: int, end: int) -> bytes:
        """The sound between two bytes, or what of it is there."""
        return os.pread(self._descriptor, max(0, end - first), first)

    def sync(self) -> None:
        """Make all of it safe from a power cut.

        Raises:
            StorageError: if the disk refused.
        """
        if self.n_safe_bytes < self.n_bytes:
            try:
                fsync_file(self._descriptor)
            except OSError as error:
                raise self._refusal(error.strerror or "it failed") from error
            self.n_safe_bytes = self.n_bytes

    def close(self) -> None:
        """Let go of it; it stays as it is. Harmless when repeated."""
        if self._descriptor >= 0:
            descriptor, self._descriptor = self._descriptor, -1
            os.close(descriptor)  # and with it the lock

    def remove(self) -> None:
        """Let go of it for good."""
        self._path.unlink(missing_ok=True)
        fsync_folder(self._path.parent)
        self.close()

    def _write(self, piece: bytes) -> None:
        if not piece:
            return
        end = self.n_bytes + len(piece)
        is_due = end - self.n_safe_bytes >= _SYNC_BYTES
        if is_due and self._free_bytes(self._path.parent) < end + _SPARE_BYTES:
            raise self._refusal("too little of it is free")
        try:
            written = 0
            while written < len(piece):
                written += os.pwrite(self._descriptor, memoryview(piece)[written:], self.n_bytes + written)
        except OSError as error:
            with contextlib.suppress(OSError):  # what is behind `n_bytes` is not counted anyhow
                os.ftruncate(self._descriptor, self.n_bytes)
            raise self._refusal(error.strerror or "it failed") from error
        self.n_bytes = end
        if is_due:
            self.sync()

    def _refusal(self, problem: str) -> StorageError:
        kept_s = self.n_bytes / BYTES_PER_S
        return StorageError(
            f"the disk cannot take more of this recording ({problem}): the {kept_s:.1f} s until here are kept; "
            "free some space, then finish it or go on"
        )


class Spools:
    """The recordings that are not finished, in a folder that only its owner may read."""

    def __init__(
        self, folder: Path, *, free_bytes: Callable[[Path], int] = lambda folder: shutil.disk_usage(folder).free
    ) -> None:
        """Nothing is touched yet.

        Args:
            folder: Where they lie; made when the first one begins.
            free_bytes: What is free on a folder's disk.
        """
        self._folder = folder
        self._free_bytes = free_bytes

    def begin(self, now: datetime) -> Spool:
        """A new recording, its name durable.

        Raises:
            StorageError: if the disk has no room, or too much lies unfinished already.
        """
        name = f"{now.astimezone(UTC).strftime(_MOMENT)}Z-{secrets.token_hex(4)}"
        try:
            make_folder(self._folder, mode=0o700)
            left = sum(path.stat().st_size for path in self._folder.glob("*.pcm"))
            if left >= _MAX_UNFINISHED_BYTES:
                raise StorageError(
                    f"{left / 1e6:.0f} MB of recordings are unfinished; finish or discard some of them first"
                )
            if self._free_bytes(self._folder) < 2 * _SPARE_BYTES:
                raise StorageError(f"{str(self._folder)!r}: too little of the disk is free to record; free some space")
            path = self._folder / f"{name}.pcm"
            descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            fsync_folder(self._folder)
        except OSError as error:
            raise StorageError(f"{str(self._folder)!r}: {error.strerror}; nothing can be recorded") from error
        return Spool(path, descriptor, self._free_bytes)

    def open(self, live_id: str) -> Spool:
        """One that was left, to go on with.

        Raises:
            DataError: ``live-unknown``.
            LeaseError: if another process has it open.
            StorageError: if the disk refused.
        """
        began_at(live_id)
        path = self._folder / f"{live_id}.pcm"
        try:
            descriptor = os.open(path, os.O_RDWR | os.O_CLOEXEC)
        except FileNotFoundError as error:
            raise unknown(live_id) from error
        except OSError as error:
            raise StorageError(f"{str(path)!r}: {error.strerror}") from error
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            if not os.fstat(descriptor).st_nlink:  # finished by somebody else between the two lines above
                raise unknown(live_id)
            return Spool(path, descriptor, self._free_bytes)
        except BlockingIOError as error:
            os.close(descriptor)
            raise LeaseError(f"{live_id}: another process is recording this; finish it there") from error
        except BaseException:
            os.close(descriptor)
            raise

    def names(self) -> list[str]:
        """Those that are there, oldest first, whoever has them open."""
        return sorted(path.stem for path in self._folder.glob("*.pcm") if _ID.fullmatch(path.stem))
