"""The sound that is being said, on the disk: nothing twice, nothing missing, nothing lost."""

from __future__ import annotations

import errno
import os
import re
import stat
from datetime import UTC, datetime
from pathlib import Path

import pytest

from projectone.device.live import spool as spool_module
from projectone.device.live.spool import BYTES_PER_S, MAX_BYTES, Spools
from projectone.errors import DataError, LeaseError, StorageError

NOW = datetime(2026, 11, 22, 5, 0, 0, 123456, tzinfo=UTC)
PIECE = bytes(range(200)) * 16  # 0.1 s


@pytest.fixture
def spools(tmp_path: Path) -> Spools:
    return Spools(tmp_path / "live")


def test_pieces_lie_behind_each_other_and_only_their_owner_reads_them(spools: Spools, tmp_path: Path) -> None:
    spool = spools.begin(NOW)
    spool.append(0, PIECE)
    spool.append(len(PIECE), PIECE)
    (path,) = (tmp_path / "live").iterdir()
    assert path.read_bytes() == 2 * PIECE
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700
    assert spool_module.began_at(spool.live_id) == NOW


def test_a_piece_that_comes_again_changes_nothing_and_what_is_new_of_it_is_added(spools: Spools) -> None:
    spool = spools.begin(NOW)
    spool.append(0, PIECE)
    spool.append(0, PIECE)
    assert spool.n_bytes == len(PIECE)
    spool.append(len(PIECE) // 2, PIECE[len(PIECE) // 2 :] + PIECE)
    assert spool.read(0, 10**6) == 2 * PIECE


@pytest.mark.parametrize(
    ("offset", "piece", "reason"),
    [
        (len(PIECE) + 2, PIECE, "live-gap"),
        (0, PIECE[::-1], "live-other"),
        (len(PIECE), b"x", "live-odd"),
        (1, PIECE, "live-odd"),
        (-2, PIECE, "live-odd"),
    ],
)
def test_what_does_not_fit_is_refused_and_changes_nothing(
    spools: Spools, offset: int, piece: bytes, reason: str
) -> None:
    spool = spools.begin(NOW)
    spool.append(0, PIECE)
    with pytest.raises(DataError) as refusal:
        spool.append(offset, piece)
    assert refusal.value.reason == reason
    assert spool.read(0, 10**6) == PIECE
    if reason == "live-gap":
        assert f"expected sound from byte {len(PIECE)} on" in str(refusal.value)


def test_more_than_an_hour_is_refused(spools: Spools, tmp_path: Path) -> None:
    name = spools.begin(NOW)
    name.close()
    (path,) = (tmp_path / "live").iterdir()
    os.truncate(path, MAX_BYTES - 2)  # an hour of silence takes no room on the disk
    spool = spools.open(name.live_id)
    with pytest.raises(DataError, match="60 minutes"):
        spool.append(MAX_BYTES - 2, b"abcd")
    spool.append(MAX_BYTES - 2, b"ab")


def test_every_second_is_pushed_to_the_disk(spools: Spools, monkeypatch: pytest.MonkeyPatch) -> None:
    synced: list[int] = []
    spool = spools.begin(NOW)
    monkeypatch.setattr(spool_module, "fsync_file", lambda descriptor: synced.append(os.fstat(descriptor).st_size))
    for number in range(35):
        spool.append(number * len(PIECE), PIECE)
        assert spool.n_bytes - spool.n_safe_bytes < BYTES_PER_S
    assert synced == [BYTES_PER_S, 2 * BYTES_PER_S, 3 * BYTES_PER_S]


def test_a_full_disk_refuses_the_piece_and_keeps_the_others(spools: Spools, monkeypatch: pytest.MonkeyPatch) -> None:
    spool = spools.begin(NOW)
    spool.append(0, PIECE)
    pwrite, taken = os.pwrite, []

    def full(descriptor: int, content: bytes, offset: int) -> int:
        if taken:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        taken.append(pwrite(descriptor, bytes(content[:100]), offset))
        return taken[0]

    monkeypatch.setattr(os, "pwrite", full)
    with pytest.raises(StorageError, match=r"No space left on device\): the 0\.1 s until here are kept"):
        spool.append(len(PIECE), PIECE)
    monkeypatch.setattr(os, "pwrite", pwrite)
    assert spool.read(0, 10**6) == PIECE
    spool.append(len(PIECE), PIECE)  # there is room again
    assert spool.read(0, 10**6) == 2 * PIECE


def test_a_disk_without_room_for_the_finished_recording_stops_it_in_time(tmp_path: Path) -> None:
    free = [10**9]
    spools = Spools(tmp_path / "live", free_bytes=lambda folder: free[0])
    spool = spools.begin(NOW)
    spool.append(0, PIECE)
    free[0] = 10**6
    with pytest.raises(StorageError, match="too little of it is free"):
        spool.append(len(PIECE), 10 * PIECE)
    with pytest.raises(StorageError, match="too little of the disk is free"):
        spools.begin(NOW)
    assert spool.n_bytes == len(PIECE)


def test_half_a_sample_at_the_end_is_left_behind(spools: Spools, tmp_path: Path) -> None:
    spool = spools.begin(NOW)
    spool.append(0, PIECE)
    spool.close()
    (path,) = (tmp_path / "live").iterdir()
    path.write_bytes(PIECE + b"x")
    assert spools.open(spool.live_id).n_bytes == len(PIECE)
    assert path.read_bytes() == PIECE


def test_one_that_is_open_is_refused_to_everybody_else(spools: Spools) -> None:
    spool = spools.begin(NOW)
    with pytest.raises(LeaseError, match="another process is recording this"):
        spools.open(spool.live_id)
    spool.close()
    spools.open(spool.live_id).remove()
    with pytest.raises(DataError, match="no such recording"):
        spools.open(spool.live_id)


@pytest.mark.parametrize("name", ["../../etc/passwd", "", "20261122T050000123456Z", "20269922T050000123456Z-00000000"])
def test_what_is_no_name_opens_nothing(spools: Spools, name: str) -> None:
    with pytest.raises(DataError, match=re.escape(repr(name))):
        spools.open(name)


def test_too_much_that_is_unfinished_stops_a_new_one(spools: Spools, tmp_path: Path) -> None:
    spool = spools.begin(NOW)
    spool.close()
    (path,) = (tmp_path / "live").iterdir()
    os.truncate(path, 4 * MAX_BYTES)
    with pytest.raises(StorageError, match="461 MB of recordings are unfinished"):
        spools.begin(NOW)
