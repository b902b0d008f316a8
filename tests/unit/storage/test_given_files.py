"""A file that somebody names is read within its limit, or not at all."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from projectone.errors import DataError
from projectone.storage.given_files import read_given


@contextmanager
def endless_pipe(path: Path) -> Iterator[Path]:
    os.mkfifo(path)

    def write() -> None:
        with path.open("wb", buffering=0) as stream:
            while True:
                try:
                    stream.write(b"y" * 4096)
                except BrokenPipeError:
                    return

    writer = threading.Thread(target=write)
    writer.start()
    yield path
    writer.join()


def read(path: Path, *, begins: bytes = b"") -> bytes:
    return read_given(path, max_bytes=100, expected="a note", begins=begins)


def refusal(path: Path) -> str:
    with pytest.raises(DataError) as caught:
        read(path)
    return f"{caught.value.reason}: {caught.value}"


def test_a_file_as_large_as_allowed_is_read_whole(tmp_path: Path) -> None:
    path = tmp_path / "note"
    path.write_bytes(b"x" * 100)
    assert read(path) == read(path, begins=b"xx") == b"x" * 100


def test_what_is_no_file_is_not_opened() -> None:
    assert refusal(Path("/dev/zero")) == "file-unreadable: '/dev/zero': expected a note, got a device"


def test_a_larger_file_is_refused_unread(tmp_path: Path) -> None:
    path = tmp_path / "note"
    with path.open("wb") as stream:
        stream.truncate(10**12)  # a hole: it takes no room, and reading it would take minutes
    assert refusal(path) == f"file-too-large: {str(path)!r}: expected a note, at most 100 bytes, got more"


def test_a_pipe_that_does_not_end_is_read_to_the_limit(tmp_path: Path) -> None:
    with endless_pipe(tmp_path / "pipe") as pipe:
        assert refusal(pipe).startswith("file-too-large")


def test_of_what_begins_otherwise_a_parser_sees_the_beginning(tmp_path: Path) -> None:
    with endless_pipe(tmp_path / "pipe") as pipe:
        assert read(pipe, begins=b"RIFF") == b"y" * 64


def test_what_cannot_be_read_is_named(tmp_path: Path) -> None:
    assert refusal(tmp_path) == f"file-unreadable: {str(tmp_path)!r}: Is a directory"
    assert "No such file" in refusal(tmp_path / "none")
