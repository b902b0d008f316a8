"""A power cut at any moment of enrolment, consent and uploads, by enumeration; with seeded bugs that must be found.

Every fourth disk that a cut could leave is looked at; every one with `PROJECTONE_FULL_KILLS=1`.
"""

from __future__ import annotations

import contextlib
import io
import os
import zipfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest
from tests.fakes.caller import Caller, a_clip
from tests.fakes.together import together
from tests.faults.crash_states import Image, crash_states
from tests.faults.server_disk import Opened, image_on_disk, opened, recording

from projectone.contracts import endpoints
from projectone.server import database
from projectone.server.database import writing
from projectone.server.group_commits import GroupCommits, _Entry
from projectone.server.serve import initialise as making
from projectone.storage import files

CLIPS = {name: a_clip(seed, duration_s=0.2) for seed, name in enumerate(["one", "two", "three", "four", "five", "six"])}
EVERY = 1 if os.environ.get("PROJECTONE_FULL_KILLS") else 4
# Of a log of 4096-byte pages this cuts inside frames and near their ends.
TEARS = tuple(n / 24 for n in range(1, 24))


def batch(ada: Caller, *names: str) -> bytes:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as archive:
        for name in names:
            correction = ada.correction(CLIPS[name], name=name)
            archive.writestr(f"{correction.sample_id}.json", correction.to_bytes())
            archive.writestr(f"{correction.sample_id}.wav", CLIPS[name])
    return stream.getvalue()


def sample_id(ada: Caller, name: str) -> str:
    return str(ada.correction(CLIPS[name], name=name).sample_id)


def record(root: Path, monkeypatch: pytest.MonkeyPatch, tears: tuple[float, ...]) -> list[tuple[Image, frozenset[str]]]:
    """From an empty folder to six samples, two of them in one commit; gives the states that power cuts could leave."""
    with recording(root, monkeypatch) as recorder, opened(root / "home", is_new=True) as server:
        ada = server.caller()
        assert ada.enrol().status_code == 201
        recorder.acknowledge("device")
        assert ada.grant().status_code == 200
        recorder.acknowledge("consent")
        for name in ("one", "two"):
            assert ada.put(CLIPS[name], name=name).status_code == 201
            recorder.acknowledge(name)
        answer = ada.signed("POST", endpoints.UPLOAD_TRAINING_DATA, batch(ada, "three", "four"))
        assert len(answer.json()["stored"]) == 2
        recorder.acknowledge("three")
        recorder.acknowledge("four")
        sending = [lambda name=name: ada.put(CLIPS[name], name=name) for name in ("five", "six")]  # type: ignore[misc]
        for future in together(server.services.catalog._commits, sending):
            assert future.result().status_code == 201
        recorder.acknowledge("five")
        recorder.acknowledge("six")
    return list(crash_states(recorder, tears=tears, is_thorough=True))


def find_violation(server: Opened, said: frozenset[str]) -> str | None:
    """What is wrong with the server that finds this disk; None if nothing is."""
    ada = server.caller()
    clips = server.clips()  # raises for a row without its clip
    for name in said & set(CLIPS):
        if clips.get(sample_id(ada, name)) != CLIPS[name]:
            return f"{name!r} was acknowledged and is lost"
        if ada.signed("GET", endpoints.sample(ada.correction(CLIPS[name], name=name).sample_id)).status_code != 200:
            return f"{name!r} was acknowledged and cannot be asked for"
    if server.orphans():
        return f"left over: {server.orphans()}"
    if "device" not in said and ada.enrol().status_code not in (200, 201):
        return "the device cannot enrol again"
    if ada.grant().status_code != 200:
        return "the consent cannot be given again"
    for name, clip in CLIPS.items():
        if ada.put(clip, name=name).status_code not in ((200,) if name in said else (200, 201)):
            return f"{name!r} cannot be sent again"
    return None if set(server.clips().values()) == set(CLIPS.values()) else "sent again, and not all there"


def explore(states: list[tuple[Image, frozenset[str]]], folder: Path, *, limit: int | None = None) -> list[str]:
    """What is wrong with servers that find these disks."""
    violations = []
    for image, said in states:
        with image_on_disk(image, folder / "image") as place:
            try:
                with opened(place / "home") as server:
                    problem = find_violation(server, said)
            except Exception as error:
                problem = f"{type(error).__name__}: {error}"
        if problem is not None:
            violations.append(problem)
            if limit is not None and len(violations) >= limit:
                break
    return violations


def states_of(
    folder: Path, monkeypatch: pytest.MonkeyPatch, tears: tuple[float, ...] = TEARS
) -> list[tuple[Image, frozenset[str]]]:
    """Only those in which something was promised."""
    (folder / "recorded").mkdir()
    with monkeypatch.context() as patch:
        return [(image, said) for image, said in record(folder / "recorded", patch, tears) if said]


@pytest.mark.parametrize("every", [pytest.param(EVERY, marks=pytest.mark.slow), 12])
def test_no_power_cut_loses_what_was_acknowledged(every: int, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    states = states_of(folder, monkeypatch)
    assert len(states) >= 200, "the steps are no longer seen"
    assert explore(states[::-every], folder) == []


def no_fsync_of_files(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(files, "fsync_file", lambda descriptor: None)


def no_fsync_of_folders(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(files, "fsync_folder", lambda path: None)


def a_log_that_is_not_flushed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(database._SQLITE_SETTINGS, "synchronous", 1)  # NORMAL


def folders_made_without_a_flush(monkeypatch: pytest.MonkeyPatch) -> None:
    def make(folder: Path, *, mode: int = 0o777) -> None:
        folder.mkdir(mode=mode, parents=True, exist_ok=True)

    monkeypatch.setattr(making, "make_folder", make)
    monkeypatch.setattr(making, "fsync_folder", lambda path: None)


def told_before_the_commit(monkeypatch: pytest.MonkeyPatch) -> None:
    """Who waited is told when the rows are written; they are committed with those of the next ones."""
    commit = GroupCommits._commit
    uncommitted: list[Sequence[_Entry[Any]]] = []

    def later(self: GroupCommits, entries: Sequence[_Entry[Any]]) -> None:
        if "keys" in str(self._engine.url):  # a sample whose key is not kept is refused before it could be lost
            commit(self, entries)
            return
        for before in uncommitted:
            commit(self, before)
        uncommitted[:] = [[_Entry(entry._work) for entry in entries]]
        with contextlib.suppress(_UndoneError), writing(self._engine) as connection:
            for entry in entries:
                entry.work_in(connection)
            raise _UndoneError

    monkeypatch.setattr(GroupCommits, "_commit", later)


class _UndoneError(Exception):
    """Rolls back."""


@pytest.mark.parametrize(
    "bug",
    [
        no_fsync_of_files,
        no_fsync_of_folders,
        a_log_that_is_not_flushed,
        folders_made_without_a_flush,
        told_before_the_commit,
    ],
)
def test_the_exploration_finds_a_seeded_bug(
    bug: Callable[[pytest.MonkeyPatch], None], folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    bug(monkeypatch)
    states = states_of(folder, monkeypatch, tears=(0.5,))
    # Where most was promised and least is there, first.
    states.sort(key=lambda state: (-len(state[1]), sum(len(content or b"") for content in state[0].values())))
    assert explore(states, folder, limit=1)
