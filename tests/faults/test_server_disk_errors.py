"""A disk that is full, over its quota or broken at any step of an upload: an honest answer, nothing half kept."""

from __future__ import annotations

import errno
import os
import sqlite3
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.fakes.caller import Caller, a_clip
from tests.faults.server_disk import Opened, opened
from tests.faults.steps import Steps

from projectone.server.api.bodies import BodyRoom
from projectone.storage import files

# Where a disk can refuse: statements are left out, since SQLite reaches its log in the commit.
REFUSING = {"open", "write", "os.mkdir", "os.rename", "os.remove", "fsync", "commit"}
CODES = {"disk full": errno.ENOSPC, "over quota": errno.EDQUOT, "input/output error": errno.EIO}
CLIP = a_clip(duration_s=0.2)
ENOUGH = 60


def refusal(step: str, code: int) -> Exception:
    """What the code below would raise."""
    if step != "commit":
        return OSError(code, os.strerror(code))
    error = sqlite3.OperationalError("disk I/O error" if code == errno.EIO else "database or disk is full")
    error.sqlite_errorname = "SQLITE_IOERR_WRITE" if code == errno.EIO else "SQLITE_FULL"
    return error


class FailFrom:
    """Refuses at the Nth step that a disk could refuse, and then at every step of that kind."""

    def __init__(self, number: int, code: int) -> None:
        self.left = number
        self.code = code
        self.failed_at: str | None = None

    def __call__(self, step: str) -> None:
        if step not in REFUSING:
            return
        self.left -= 1
        if self.left == 0:
            self.failed_at = step
        if step == self.failed_at:
            raise refusal(step, self.code)


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Opened]:
    """Without room for bodies in memory, so that they take their steps on the disk, too."""
    with opened(tmp_path_factory.mktemp("errors") / "home", is_new=True, bodies=BodyRoom(max_bytes=0)) as server:
        make_folders(server)
        yield server


def make_folders(server: Opened) -> None:
    """Every folder that a digest may begin with, so that each upload takes the same steps."""
    for number in range(256):
        (server.home / "blobs" / f"{number:02x}").mkdir(exist_ok=True)


def send(ada: Caller, number: int) -> Any:
    return ada.put(CLIP, name=str(number))


def send_while_it_fails(server: Opened, ada: Caller, code: int) -> Iterator[tuple[str, Any, int]]:
    """For every step: its name, the answer, and the sample's number."""
    for number in range(1, ENOUGH):
        fail = FailFrom(number, code)
        with Steps(server.home, fail):
            answer = send(ada, number)
        if fail.failed_at is None:
            return
        yield fail.failed_at, answer, number
    raise AssertionError("the upload never came to its end")


def half_kept(home: Path) -> list[str]:
    return [path.name for path in (home / "blobs").rglob(f"{files.TEMPORARY_PREFIX}*")]


def is_kept(server: Opened, ada: Caller, number: int) -> bool:
    return server.clips().get(str(ada.correction(CLIP, name=str(number)).sample_id)) == CLIP


@pytest.mark.parametrize("trouble", CODES)
def test_an_upload_that_the_disk_refuses_is_not_acknowledged(trouble: str, server: Opened) -> None:
    code = CODES[trouble]
    ada = server.known(f"errno-{code}")
    failed_at = []
    for step, answer, number in send_while_it_fails(server, ada, code):
        failed_at.append(step)
        if answer.status_code == 201:
            assert is_kept(server, ada, number), f"{step}: acknowledged and not kept"
            continue
        expected = (503, "storage") if code == errno.EIO else (507, "disk-full")
        assert (answer.status_code, answer.json()["reason"]) == expected, (step, number)
        assert int(answer.headers["retry-after"]) > 0
        assert half_kept(server.home) == [], (step, number)
        assert send(ada, number).status_code in (200, 201), (step, number)
        assert is_kept(server, ada, number)
    assert len(failed_at) >= 12, "the steps are no longer seen"
    assert {"open", "os.rename", "fsync", "commit"} <= set(failed_at)


def test_after_all_of_it_nothing_is_left_over(tmp_path: Path) -> None:
    with opened(tmp_path / "home", is_new=True) as server:
        make_folders(server)
        ada = server.known()
        for _ in send_while_it_fails(server, ada, errno.ENOSPC):
            pass
    with opened(tmp_path / "home") as server:
        assert server.orphans() == set()


def test_a_file_whose_flush_failed_is_dropped_and_never_flushed_again(server: Opened) -> None:
    ada = server.known("fsyncgate")
    flushed: list[int] = []

    def fail_flush(step: str) -> None:
        if step == "fsync":
            flushed.append(len(flushed))
            if len(flushed) == 1:
                raise OSError(errno.EIO, "the kernel may have dropped the pages")

    with Steps(server.home, fail_flush):
        assert ada.put(a_clip(7), name="dropped").status_code == 503
    assert len(flushed) == 1
    assert half_kept(server.home) == []


def test_control_a_store_that_swallows_errors_acknowledges_what_it_lost(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    commit: Callable[..., None] = files.StagedFile.commit

    def swallow(self: files.StagedFile, target: Path) -> None:
        try:
            commit(self, target)
        except OSError:
            self.is_committed = True

    monkeypatch.setattr(files.StagedFile, "commit", swallow)
    with opened(tmp_path / "home", is_new=True) as server:
        make_folders(server)
        ada = server.known()
        lost = 0
        for _, answer, number in send_while_it_fails(server, ada, errno.EIO):
            if answer.status_code == 201:
                try:
                    lost += not is_kept(server, ada, number)
                except Exception:
                    lost += 1
        assert lost > 0
