"""Room that is kept for what must be possible on a full disk (really full: tests/faults/test_full_disk.py)."""

from __future__ import annotations

import errno
from pathlib import Path

import pytest

from projectone.errors import StorageError
from projectone.storage.database import Database
from projectone.storage.reserve import Reserve, is_full


def test_the_room_is_taken_from_the_disk_and_given_up_once(tmp_path: Path) -> None:
    reserve, path, asked = Reserve(tmp_path / "reserve", 8192), tmp_path / "reserve", []
    reserve.hold()
    assert path.stat().st_blocks * 512 >= 8192, "a hole in a file keeps no room"

    def work() -> str:
        asked.append(path.exists())
        if path.exists():
            raise OSError(errno.ENOSPC, "no space left on device")
        return "done"

    assert reserve.run(work) == "done"
    assert asked == [True, False]
    assert path.exists(), "it is kept again for the next time"


def test_another_fault_is_told_at_once_and_costs_no_room(tmp_path: Path) -> None:
    reserve = Reserve(tmp_path / "reserve", 8192)
    reserve.hold()
    with pytest.raises(StorageError, match="broken"):
        reserve.run(lambda: (_ for _ in ()).throw(StorageError("broken")))
    assert (tmp_path / "reserve").exists()


def test_what_a_database_calls_full_is_full(tmp_path: Path) -> None:
    rows = Database(tmp_path / "rows.sqlite", ("CREATE TABLE words (word TEXT)",))
    rows.query("PRAGMA max_page_count = 3")
    with pytest.raises(StorageError) as caught:
        for _ in range(9):
            rows.execute("INSERT INTO words VALUES (?)", ("x" * 4000,))
    rows.close()
    assert is_full(caught.value)
    assert not is_full(StorageError("another fault"))
