"""A full or broken disk at any step of a day on the device, and a clock that jumps: nothing that was told is lost."""

from __future__ import annotations

import contextlib
import errno
import sqlite3
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from tests.faults.device_store import Server, device, live_through
from tests.faults.steps import Steps
from tests.faults.test_device_store_crashes import find_violation
from tests.faults.test_server_disk_errors import FailFrom

import projectone.device.wiring as wiring
import projectone.storage.database as database
from projectone.errors import ProjectOneError
from projectone.storage import files

ENOUGH = 400


class _Connection:
    """A connection of which every statement that changes something is a step."""

    def __init__(self, connection: sqlite3.Connection, act: Any) -> None:
        self._connection = connection
        self._act = act

    def execute(self, sql: str, *arguments: Any) -> sqlite3.Cursor:
        if not sql.lstrip().upper().startswith(("SELECT", "PRAGMA", "ROLLBACK")):
            self._act("commit")
        return self._connection.execute(sql, *arguments)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._connection, name)


def a_day(home: Path, server: Server, fail: FailFrom, monkeypatch: pytest.MonkeyPatch) -> frozenset[str]:
    """What was told on a day on which the disk refuses from some step on."""
    said: set[str] = set()
    server.say = said.add
    open_database = database.open_database
    with monkeypatch.context() as patch:
        patch.setattr(database, "open_database", lambda *a: _Connection(open_database(*a), fail))
        with (
            contextlib.suppress(ProjectOneError, OSError),  # what closes finds the broken disk, too
            device(home, server, patch) as client,
            contextlib.suppress(ProjectOneError),
            Steps(home, fail),
        ):
            live_through(client, said.add)
    return frozenset(said)


def explore(folder: Path, code: int, monkeypatch: pytest.MonkeyPatch, *, every: int = 1) -> tuple[list[str], list[str]]:
    """At which steps the disk refused, and what was wrong on the next day, when it does so no more."""
    failed_at, violations = [], []
    for number in range(1, ENOUGH, every):
        server, fail, home = Server(), FailFrom(number, code), folder / str(number)
        said = a_day(home, server, fail, monkeypatch)
        if fail.failed_at is None:
            return failed_at, violations
        failed_at.append(fail.failed_at)
        try:
            problem = find_violation(home, server, said, monkeypatch)
        except Exception as error:
            problem = f"{type(error).__name__}: {error}"
        if problem is not None:
            violations.append(f"{number} {fail.failed_at}: {problem}")
        temporary = [path.name for path in home.rglob(f"{files.TEMPORARY_PREFIX}*")]
        if temporary and fail.failed_at != "os.remove":  # a disk that removes nothing leaves what it is given
            violations.append(f"{number} {fail.failed_at}: half kept: {temporary}")
    raise AssertionError("the day never came to its end")


@pytest.mark.parametrize("every", [pytest.param(1, marks=pytest.mark.slow), 6])
@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EIO], ids=["disk full", "input/output error"])
def test_a_disk_that_refuses_at_any_step_loses_nothing_that_was_told(
    code: int, every: int, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    failed_at, violations = explore(folder, code, monkeypatch, every=every)
    print(f"refused at {len(failed_at)} steps: {sorted(set(failed_at))}")
    assert violations == []
    assert {"open", "fsync", "commit"} <= set(failed_at)
    assert len(failed_at) * every > 60, "the steps are no longer seen"


def test_control_a_store_that_swallows_errors_loses_what_it_told(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    commit = files.StagedFile.commit

    def swallow(self: files.StagedFile, target: Path) -> None:
        try:
            commit(self, target)
        except OSError:
            self.is_committed = True

    monkeypatch.setattr(files.StagedFile, "commit", swallow)
    assert explore(folder, errno.EIO, monkeypatch, every=5)[1]


@pytest.mark.parametrize("years", [-1, 1])
def test_a_clock_that_is_set_anew_at_every_step_loses_nothing(
    years: int, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Forward or back by a year, and right again, between any two things that a person does."""
    server, said = Server(), set[str]()
    shift = [timedelta(0)]

    def say(what: str) -> None:
        said.add(what)
        shift[0] = timedelta(0) if shift[0] else timedelta(days=365 * years)

    monkeypatch.setattr(wiring, "_now", lambda: datetime.now(UTC) + shift[0])
    server.say = said.add
    with device(folder / "home", server, monkeypatch) as client:
        live_through(client, say)
    assert find_violation(folder / "home", server, frozenset(said), monkeypatch) is None


def test_what_failed_while_the_clock_was_a_year_ahead_is_sent_when_it_is_right_again(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    server = Server()
    call, shift = Server.call, [timedelta(days=365)]
    monkeypatch.setattr(wiring, "_now", lambda: datetime.now(UTC) + shift[0])

    def no_answer(self: Server, *_: Any, **__: Any) -> Any:
        raise wiring.StorageError("no answer")

    with device(folder / "home", server, monkeypatch) as client:
        client.grant("corrections", "demo")
        monkeypatch.setattr(Server, "call", no_answer)
        assert client.sync().waiting == 1
        monkeypatch.setattr(Server, "call", call)
        shift[0] = timedelta(0)
        assert client.sync(only_due=True).waiting == 0
