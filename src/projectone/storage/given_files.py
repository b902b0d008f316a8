"""Files that a person names: one may be a device, a pipe without an end, or larger than the memory."""

from __future__ import annotations

import stat
from pathlib import Path

from projectone.errors import DataError

_HEAD_BYTES = 64


def read_given(path: Path, *, max_bytes: int, expected: str, begins: bytes = b"") -> bytes:
    """The bytes of a file, if it is one and no larger than what is expected; a device is not opened.

    Args:
        path: What somebody named: a file, a link to one, or a pipe that ends.
        max_bytes: What is larger is refused; of a pipe no more is read.
        expected: What should have been there, for the error: "a manifest".
        begins: How it begins. Of anything else only the first bytes are given, for a parser to say what is wrong.

    Raises:
        DataError: ``file-unreadable`` or ``file-too-large``, naming the file.
    """
    try:
        status = path.stat()
        if stat.S_ISCHR(status.st_mode) or stat.S_ISBLK(status.st_mode):
            raise DataError("file-unreadable", f"{str(path)!r}: expected {expected}, got a device")
        if stat.S_ISREG(status.st_mode):
            _refuse_more(path, status.st_size, max_bytes, expected)
        with path.open("rb") as stream:
            head = stream.read(_HEAD_BYTES)
            content = head + stream.read(max_bytes + 1 - len(head)) if head.startswith(begins) else head
    except OSError as error:
        raise DataError("file-unreadable", f"{str(path)!r}: {error.strerror}") from error
    _refuse_more(path, len(content), max_bytes, expected)
    return content


def _refuse_more(path: Path, size_bytes: int, max_bytes: int, expected: str) -> None:
    if size_bytes > max_bytes:
        raise DataError("file-too-large", f"{str(path)!r}: expected {expected}, at most {max_bytes} bytes, got more")
