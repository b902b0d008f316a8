"""The only way a file or a folder appears: whole and durable, or not at all.

Order of a write: temporary name beside the target, bytes, fsync, rename, fsync of the folder. On macOS fsync leaves
the drive's own cache unflushed, so F_FULLFSYNC is asked for there.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import re
import shutil
import sys
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import IO

from projectone.errors import StorageError

TEMPORARY_PREFIX = ".tmp-"
_F_FULLFSYNC = 51  # <sys/fcntl.h> on Darwin


def fsync_file(descriptor: int) -> None:
    """Push a file's bytes to the disk itself.

    Raises:
        OSError: and then the file must be dropped, never synced again: the kernel may have forgotten the failed pages.
    """
    if sys.platform == "darwin":
        import fcntl

        fcntl.fcntl(descriptor, _F_FULLFSYNC)
    else:
        os.fsync(descriptor)


def fsync_folder(folder: Path) -> None:
    """Make the names inside `folder` durable."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def make_folder(folder: Path, *, mode: int = 0o777) -> None:
    """Make `folder` and what is missing above it, each name durable in its parent; `mode` is that of the folder."""
    if folder.is_dir():
        return
    missing = [folder, *folder.parents]
    missing = missing[: next(index for index, path in enumerate(missing) if path.is_dir())]
    for path in reversed(missing):
        path.mkdir(mode=mode if path == folder else 0o777, exist_ok=True)
        fsync_folder(path.parent)


class StagedFile:
    """A file being written under a temporary name; it appears only when `commit` says where.

    Attributes:
        stream: Where the bytes go.
        is_read_soon: Whether its pages stay in memory once they are on the disk. Memory that is written again and again
            costs a tenth of what ever new memory does.
    """

    def __init__(self, path: Path, stream: IO[bytes]) -> None:
        self._path = path
        self.stream = stream
        self.is_committed = False
        self.is_read_soon = True

    def commit(self, target: Path) -> None:
        """Make the bytes durable, then show them at `target` on the same file system."""
        self.stream.flush()
        fsync_file(self.stream.fileno())
        if not self.is_read_soon and sys.platform == "linux":
            os.posix_fadvise(self.stream.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)
        make_folder(target.parent)
        self._path.replace(target)
        fsync_folder(target.parent)
        self.is_committed = True


@contextlib.contextmanager
def staged_file(folder: Path) -> Iterator[StagedFile]:
    """A temporary file in `folder`; what is not committed in the block leaves nothing behind.

    Raises:
        StorageError: if the disk refused.
    """
    path = folder / f"{TEMPORARY_PREFIX}{uuid.uuid4().hex}"
    try:
        make_folder(folder)
        with path.open("xb") as stream:
            yield StagedFile(path, stream)
    except OSError as error:
        raise StorageError(f"{folder.name!r} could not be written to: {error}") from error
    finally:
        path.unlink(missing_ok=True)  # renamed away if it was committed


def write_atomically(path: Path, content: bytes) -> None:
    """Put `content` at `path`: after a crash it holds the old bytes or the new ones, never a mixture."""
    with staged_file(path.parent) as staged:
        staged.stream.write(content)
        staged.commit(path)


@contextlib.contextmanager
def building_directory(target: Path) -> Iterator[Path]:
    """A fresh folder to fill, which becomes `target` only if the block ends well.

    Every file in it is fsynced first. `target` must not exist: folders that others may be reading are immutable.

    Raises:
        StorageError: if `target` exists or the disk refused.
    """
    if target.exists():
        raise StorageError(f"{target.name!r} exists already; a published folder is never rewritten")
    make_folder(target.parent)
    temporary = target.with_name(f"{TEMPORARY_PREFIX}{target.name}-{uuid.uuid4().hex}")
    try:
        temporary.mkdir()
        yield temporary
        sync_tree(temporary)
        temporary.rename(target)
        fsync_folder(target.parent)
    except OSError as error:
        shutil.rmtree(temporary, ignore_errors=True)
        raise StorageError(f"{target.name!r} could not be made: {error}") from error
    except BaseException:
        shutil.rmtree(temporary, ignore_errors=True)
        raise


def sync_tree(folder: Path) -> None:
    """Fsync every file and folder below `folder`, deepest first."""
    for root, _, names in os.walk(folder, topdown=False):
        for name in names:
            with (Path(root) / name).open("rb") as stream:
                fsync_file(stream.fileno())
        fsync_folder(Path(root))


def sweep_temporary(folder: Path) -> int:
    """Remove what interrupted writes left behind in `folder`; gives how many. Call it only at start."""
    left = list(folder.glob(f"{TEMPORARY_PREFIX}*")) if folder.is_dir() else []
    for path in left:
        if path.is_dir():
            shutil.rmtree(path, ignore_errors=True)
        else:
            path.unlink(missing_ok=True)
    return len(left)


def sweep_builds(target: Path) -> int:
    """Remove what interrupted builds of `target` left beside it; gives how many. Only where nobody else does."""
    name = re.compile(re.escape(f"{TEMPORARY_PREFIX}{target.name}-") + "[0-9a-z_]{8,32}")
    left = [path for path in target.parent.glob(f"{TEMPORARY_PREFIX}*") if name.fullmatch(path.name)]
    for path in left:
        shutil.rmtree(path, ignore_errors=True)
    return len(left)


_BLOCK_BYTES = 1024 * 1024


def read_blocks(path: Path) -> Iterator[bytes]:
    """A file's bytes, a megabyte at a time."""
    with path.open("rb") as stream:
        while block := stream.read(_BLOCK_BYTES):
            yield block


def digest_of(path: Path) -> str:
    """SHA-256 of a file, 64 hexadecimal digits, read in blocks."""
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()
