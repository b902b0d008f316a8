"""A server's home under a `Recorder`, and what a server that finds one of its crash images says of it.

SQLite writes in C, where no hook sees it. What it does to its files in a commit is noted after the commit, and then,
where the connection's `synchronous` reads FULL, its flush of the log, which SQLite promises and LazyFS confirms
(test_server_power_cuts.py). What it does at other times (making a database, checkpoints) counts as one whole step.
"""

from __future__ import annotations

import contextlib
import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest
from fastapi.testclient import TestClient
from sqlalchemy.engine.default import DefaultDialect
from tests.fakes.caller import Caller
from tests.faults.crash_states import Bytes, Image, Names, Recorder, Step, Synced, Whole, write_image

from projectone.server.api.app import create_app
from projectone.server.api.bodies import BodyRoom
from projectone.server.api.quotas import QuotaLimits, Quotas
from projectone.server.api.services import Services
from projectone.server.corpus.catalog import Catalog
from projectone.server.corpus.clips import read_clip
from projectone.server.corpus.tables import SAMPLES
from projectone.server.corpus.vault import Vault
from projectone.server.database import Engine, open_engine, reading
from projectone.server.home import open_keys
from projectone.server.serve.initialise import initialise, with_secrets
from projectone.server.serve.processes import api_services
from projectone.server.settings import ServerSettings
from projectone.storage.blobs import FileBlobs

SYNCHRONOUS_FULL = 2
DATABASE = ".sqlite"


class ServerRecorder(Recorder):
    """Notes what a server does to the folder above its home."""

    _is_committing = False

    def committed(self, is_flushed: bool) -> None:
        """A commit ended; what it changed is sure if it was flushed."""
        self._is_committing = True
        self._look()
        self._is_committing = False
        if is_flushed:
            # The first flush of a new log makes its name sure, too.
            folders = [node for node, names in self.disk.folders.items() if any(DATABASE in name for name in names)]
            self.steps += [Synced(node) for node in (*self._rows("-wal"), *folders)]

    def _look(self) -> None:
        """What SQLite does between two looks is one step: it flushes the database before it removes the log."""
        begin = len(self.steps)
        super()._look()
        new = self.steps[begin:]
        whole = tuple(part for step in new if isinstance(step, Whole) for part in step.steps)
        self.steps[begin:] = [*([Whole(whole)] if whole else []), *(s for s in new if not isinstance(s, Whole))]

    def _rows(self, *endings: str) -> set[int]:
        """SQLite's files; all of them, or those that end so."""
        found = [item for names in self.disk.folders.values() for item in names.items() if DATABASE in item[0]]
        return {node for name, node in found if not endings or name.endswith(endings)}

    def _note(self, step: Step) -> None:
        if isinstance(step, Bytes) and step.node in self._rows():
            # The index of the log (-shm) is made anew by whoever opens the database first.
            is_loose = self._is_committing and step.node not in self._rows("-shm")
            super()._note(step if is_loose else Whole((step,)))
        elif isinstance(step, Names):
            rows = tuple(change for change in step.changes if DATABASE in change[1])
            others = tuple(change for change in step.changes if DATABASE not in change[1])
            if rows:
                super()._note(Names(rows) if self._is_committing else Whole((Names(rows),)))
            if others:
                super()._note(Names(others))
        else:
            super()._note(step)


@contextlib.contextmanager
def recording(root: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[ServerRecorder]:
    """Notes everything below `root`, commits too."""
    recorder = ServerRecorder(root)
    do_commit: Callable[[Any, Any], None] = DefaultDialect.do_commit

    def noted(self: Any, connection: Any) -> None:
        do_commit(self, connection)
        ((mode,),) = connection.execute("PRAGMA synchronous").fetchall()
        recorder.committed(mode >= SYNCHRONOUS_FULL)

    monkeypatch.setattr(DefaultDialect, "do_commit", noted)
    with recorder:
        yield recorder


@dataclass
class Opened:
    """A server in this process."""

    http: TestClient
    services: Services
    home: Path
    engine: Engine

    def caller(self, name: str = "ada") -> Caller:
        """A device of that name."""
        return Caller(self.http, self.services.enrolment_code, name)

    def known(self, name: str = "ada") -> Caller:
        """A device that is enrolled and has a consent to send under."""
        caller = self.caller(name)
        assert caller.enrol().status_code in (200, 201)
        assert caller.grant().status_code == 200
        return caller

    def clips(self) -> dict[str, bytes]:
        """Every sample that is kept, with its clip, as training reads it: the keys are found again, too."""
        settings = ServerSettings.from_env({"PROJECTONE_SERVER_HOME": str(self.home)})
        blobs, keys = FileBlobs(self.home / "blobs"), open_keys(settings, can_open=True)
        catalog = Catalog(self.engine, Vault(keys))
        try:
            return {str(row.sample_id): read_clip(catalog, blobs, row.clip_sha256) for row in catalog.living()}
        finally:
            keys.close()

    def orphans(self) -> set[str]:
        """Files in the store that belong to no sample."""
        with reading(self.engine) as connection:
            named = set(connection.execute(SAMPLES.select()).scalars(SAMPLES.c.clip_sha256))
        found = {path.name for name in ("blobs", "staging") for path in (self.home / name).rglob("*") if path.is_file()}
        return found - named


@contextlib.contextmanager
def opened(
    home: Path, *, is_new: bool = False, limits: QuotaLimits | None = None, bodies: BodyRoom | None = None
) -> Iterator[Opened]:
    """A server on `home` as `serve` opens it; made first if it is new."""
    settings = ServerSettings.from_env({"PROJECTONE_SERVER_HOME": str(home)})
    if is_new:
        initialise(settings)
    engine = open_engine(settings.database_url)
    try:
        services = api_services(with_secrets(settings), engine)
        services = replace(services, quotas=Quotas(limits or QuotaLimits()), bodies=bodies or BodyRoom())
        with TestClient(create_app(services), raise_server_exceptions=False) as http:
            yield Opened(http, services, home, engine)
    finally:
        engine.dispose()


@contextlib.contextmanager
def image_on_disk(image: Image, place: Path) -> Iterator[Path]:
    """The image as a folder, for the block."""
    write_image(image, place)
    try:
        yield place
    finally:
        shutil.rmtree(place)
