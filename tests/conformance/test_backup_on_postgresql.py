"""The drill of tests/unit/server/work/test_backup.py with rows and keys in a real PostgreSQL."""

from __future__ import annotations

import itertools
import shutil
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path

import pytest
from sqlalchemy import Table, event
from sqlalchemy.engine import make_url
from sqlalchemy.pool import Pool
from tests.conformance.vector_stores import postgresql_server
from tests.unit.server.work.test_backup import N_ALL, N_EACH, N_PEOPLE, NOW, pull_the_plug, send, sentences, served

from projectone.errors import SettingsError, StorageError
from projectone.server import row_copies
from projectone.server.audit import AuditLog
from projectone.server.corpus.tables import SAMPLES
from projectone.server.database import open_engine, reading, writing
from projectone.server.home import open_catalog, require_home
from projectone.server.hubd.tables import OBJECTS, REPOS, UPLOADS
from projectone.server.keys import KEY_TABLES, open_key_database
from projectone.server.migrations.tables import all_tables
from projectone.server.runs import Runs
from projectone.server.serve.initialise import initialise, with_secrets
from projectone.server.settings import ServerSettings
from projectone.server.work import restore as restoring
from projectone.server.work.backup import make_backup
from projectone.server.work.backup_files import read_backup
from projectone.server.work.checkpoints import publish_checkpoint
from projectone.server.work.restore import Restored, restore
from projectone.storage.blobs import FileBlobs

psycopg = pytest.importorskip("psycopg", reason="PostgreSQL's driver is not installed")


@dataclass(frozen=True)
class Site:
    """A PostgreSQL for servers, and one server on it: three people with two recordings and a corrected intent each."""

    url: str
    settings: ServerSettings
    folder: Path
    keys: Path

    def new(self, home: Path) -> ServerSettings:
        """Another home, with two empty databases of its own."""
        return settings_at(self.url, home)

    def restored(self, home: Path, **options: Path) -> tuple[ServerSettings, Restored]:
        found = self.new(home)
        return found, restore(found, self.folder, options.pop("keys", self.keys), now=NOW, **options)


_numbers = itertools.count()


def database_of(url: str, name: str) -> str:
    return url.replace("postgresql:", "postgresql+psycopg:", 1).replace("/postgres?", f"/{name}?")


def settings_at(url: str, home: Path) -> ServerSettings:
    names = f"rows{next(_numbers)}", f"keys{next(_numbers)}"
    with psycopg.connect(url, autocommit=True) as connection:
        for name in names:
            connection.execute(f"CREATE DATABASE {name}")
            # Not UTC, as on many a server: moments must not move by it.
            connection.execute(f"ALTER DATABASE {name} SET timezone TO 'Asia/Kolkata'")
    environ = {
        "PROJECTONE_SERVER_HOME": str(home),
        "PROJECTONE_SERVER_DATABASE_URL": database_of(url, names[0]),
        "PROJECTONE_SERVER_KEYS_DATABASE_URL": database_of(url, names[1]),
    }
    return ServerSettings.from_env(environ)


@contextmanager
def connections_closed() -> Iterator[None]:
    """A process keeps its connections for as long as it lives; here many share one."""
    opened: list[object] = []

    def note(connection: object, _record: object) -> None:
        opened.append(connection)

    event.listen(Pool, "connect", note)
    try:
        yield
    finally:
        event.remove(Pool, "connect", note)
        for connection in opened:
            if isinstance(connection, psycopg.Connection):
                connection.close()


@pytest.fixture(autouse=True)
def _connections_closed() -> Iterator[None]:
    with connections_closed():
        yield


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    place = tmp_path_factory.mktemp("site")
    with postgresql_server() as url, connections_closed():
        bare = settings_at(url, place / "home")
        initialise(bare)
        settings = with_secrets(bare)
        with served(settings) as caller_of:
            for number in range(N_PEOPLE):
                caller = caller_of(f"person{number}")
                assert (caller.enrol().status_code, caller.grant().status_code) == (201, 200)
                assert {send(caller, N_EACH * number + i) for i in range(N_EACH)} == {201}
                assert caller.grant_intents().status_code == 200
                assert caller.put_intent(f"sentence {number}", None).status_code == 201
        engine = open_engine(settings.database_url)
        assert Runs(engine).request("on-demand").number == 1
        engine.dispose()
        make_backup(settings, place / "backup", place / "safe", now=NOW)
        yield Site(url, settings, place / "backup", place / "safe")


def rows_of(settings: ServerSettings) -> dict[str, list[tuple[object, ...]]]:
    """Every row of the server and of its keys, by table; what a restore itself notes is left out."""
    found: dict[str, list[tuple[object, ...]]] = {}
    engines = open_engine(settings.database_url), open_key_database(settings.keys_database_url)
    for engine, tables in zip(engines, (all_tables(), KEY_TABLES), strict=True):
        with reading(engine) as connection:
            for table in tables.sorted_tables:
                rows = connection.execute(table.select().order_by(*table.primary_key.columns)).all()
                found[table.name] = [tuple(plain(value) for value in row) for row in rows]
        engine.dispose()
    found["audit_log"] = [row for row in found["audit_log"] if row[2] != "restored"]
    return found


def plain(value: object) -> object:
    """A moment without its zone: SQLite keeps none."""
    return value.astimezone(UTC).replace(tzinfo=None) if isinstance(value, datetime) and value.tzinfo else value


def people(settings: ServerSettings) -> set[str]:
    engine = open_engine(settings.database_url)
    found = {row.contributor_id for row in open_catalog(settings, engine).usable()}
    engine.dispose()
    return found


def withdraw_all_of_person0(settings: ServerSettings) -> None:
    with served(with_secrets(settings)) as caller_of:
        assert caller_of("person0").withdraw().status_code == 200
        assert caller_of("person0").withdraw_intents().status_code == 200


def copy_in_place(site: Site, database_url: str, name: str) -> None:
    """A whole database as PostgreSQL itself copies it."""
    own = make_url(database_url).database
    with psycopg.connect(site.url, autocommit=True) as connection:
        connection.execute("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = %s", (own,))
        connection.execute(f"CREATE DATABASE {name} TEMPLATE {own}")


def put_back(site: Site, database_url: str, name: str) -> None:
    own = make_url(database_url).database
    with psycopg.connect(site.url, autocommit=True) as connection:
        connection.execute(f"DROP DATABASE {own} WITH (FORCE)")
        connection.execute(f"ALTER DATABASE {name} RENAME TO {own}")


def failing_at(name: str, carry: Callable[..., None]) -> Callable[..., None]:
    def carry_table(rows: object, target: object, table: Table) -> None:
        if table.name == name:
            raise OSError("the plug was pulled")
        carry(rows, target, table)

    return carry_table


@pytest.mark.slow
def test_every_row_and_clip_comes_back_whichever_database_it_goes_to(site: Site, tmp_path: Path) -> None:
    first = rows_of(site.settings)
    again, done = site.restored(tmp_path / "again")
    assert (done.n_samples, done.n_withdrawn_again, done.n_lost_entries) == (N_PEOPLE * N_ALL, 0, 0)
    assert (done.n_missing_clips, done.n_unreadable_texts) == (0, 0)
    assert rows_of(again) == first
    assert FileBlobs(again.home / "blobs").scrub() == []
    assert not list(again.home.rglob("*.sqlite*")), "no copy of the rows or keys stays beside the database"

    file = ServerSettings.from_env({"PROJECTONE_SERVER_HOME": str(tmp_path / "file")})
    restore(file, site.folder, site.keys, now=NOW)
    assert rows_of(file) == first, "into SQLite"
    make_backup(file, tmp_path / "backup", tmp_path / "safe", now=NOW)
    moved = site.new(tmp_path / "moved")
    restore(moved, tmp_path / "backup", tmp_path / "safe", now=NOW)
    assert rows_of(moved) == first, "and out of SQLite"


@pytest.mark.slow
def test_a_restored_server_goes_on(site: Site, tmp_path: Path) -> None:
    settings, _ = site.restored(tmp_path / "home")
    engine = open_engine(settings.database_url)
    assert AuditLog(engine).verify([read_backup(site.folder, "home").checkpoint]).is_sound
    assert Runs(engine).request("on-demand", "intents").number == 2, "rows are numbered on from the last one"
    engine.dispose()
    with served(with_secrets(settings)) as caller_of:
        assert send(caller_of("person0"), 0) == 200, "sent before the backup: known"
        assert send(caller_of("person0"), 77) == 201
    assert sentences(settings) == {f"sentence {number}" for number in range(N_PEOPLE)}


@pytest.mark.slow
def test_a_backup_is_whole_although_people_go_on_sending(site: Site, tmp_path: Path) -> None:
    settings = with_secrets(site.restored(tmp_path / "busy")[0])
    n_sent, is_over = 0, threading.Event()
    with served(settings) as caller_of:
        caller = caller_of("person1")

        def go_on() -> None:
            nonlocal n_sent
            while not is_over.is_set() and n_sent < 500:
                assert send(caller, 1000 + n_sent) == 201
                n_sent += 1

        sender = threading.Thread(target=go_on)
        sender.start()
        try:
            make_backup(settings, tmp_path / "backup", tmp_path / "safe", now=NOW)
        finally:
            is_over.set()
            sender.join()
    done = restore(site.new(tmp_path / "home"), tmp_path / "backup", tmp_path / "safe", now=NOW)
    assert N_PEOPLE * N_ALL <= done.n_samples <= N_PEOPLE * N_ALL + n_sent
    assert (done.n_missing_clips, done.n_unreadable_texts) == (0, 0)


@pytest.mark.slow
@pytest.mark.parametrize("lost", ["rows", "everything", "control"])
def test_what_was_withdrawn_after_the_backup_does_not_come_back(site: Site, tmp_path: Path, lost: str) -> None:
    """The control: rows and keys are lost, and nobody kept the list of what was withdrawn. Then it does come back."""
    settings, _ = site.restored(tmp_path / "home")
    withdraw_all_of_person0(settings)
    publish_checkpoint(settings, NOW)
    erased = settings.checkpoints / "erased.list"
    if lost == "rows":
        settings = replace(settings, database_url=site.new(tmp_path / "none").database_url)
        done = restore(settings, site.folder, None, now=NOW)
    else:
        settings, done = site.restored(tmp_path / "new", **({} if lost == "control" else {"erased": erased}))
    comes_back = lost == "control"
    assert done.n_withdrawn_again == (0 if comes_back else 2)
    assert done.n_samples == N_ALL * (N_PEOPLE - (not comes_back))
    assert ("person-person0" in people(settings)) is comes_back
    assert ("sentence 0" in sentences(settings)) is comes_back
    assert len(list(FileBlobs(settings.home / "blobs").keys())) == done.n_samples


@pytest.mark.slow
@pytest.mark.parametrize("is_control", [False, True])
def test_rows_that_postgresql_itself_put_back_are_held_to_the_keys_at_the_next_start(
    site: Site, tmp_path: Path, is_control: bool
) -> None:
    """Copies of disks know of no withdrawal since; the store of keys does, unless it is put back, too."""
    settings, _ = site.restored(tmp_path / "home")
    copied = [settings.database_url, *([settings.keys_database_url] if is_control else [])]
    for number, url in enumerate(copied):
        copy_in_place(site, url, f"copy{number}{is_control}")
    shutil.copytree(settings.home / "blobs", tmp_path / "blobs")
    withdraw_all_of_person0(settings)
    shutil.copytree(tmp_path / "blobs", settings.home / "blobs", dirs_exist_ok=True)
    for number, url in enumerate(copied):
        put_back(site, url, f"copy{number}{is_control}")
    with served(with_secrets(settings)):
        pass
    engine = open_engine(settings.database_url)
    with reading(engine) as connection:
        states = connection.execute(SAMPLES.select().where(SAMPLES.c.contributor_id == "person-person0")).all()
    engine.dispose()
    assert {row.state == "erased" for row in states} == {not is_control}
    assert ("sentence 0" in sentences(settings)) is is_control
    assert len(list(FileBlobs(settings.home / "blobs").keys())) == N_ALL * (N_PEOPLE - (not is_control))


@pytest.mark.slow
def test_nothing_is_written_over_and_what_failed_half_way_is_begun_again(
    site: Site, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(SettingsError, match="expected a database without rows"):
        restore(replace(site.settings, home=tmp_path / "none"), site.folder, None, now=NOW)
    assert not (tmp_path / "none").exists()

    settings = site.new(tmp_path / "home")
    with monkeypatch.context() as broken:
        broken.setattr(row_copies, "_carry_table", failing_at("samples", row_copies._carry_table))
        with pytest.raises(StorageError, match="pulled"):
            restore(settings, site.folder, site.keys, now=NOW)
    assert not any(rows_of(settings)[name] for name in ("contributors", "consents", "samples")), "all rows, or none"
    done = restore(settings, site.folder, None, now=NOW)
    assert (done.n_samples, done.n_unreadable_texts) == (N_PEOPLE * N_ALL, 0)


@pytest.mark.slow
@pytest.mark.parametrize("cut", ["_copy", "_bring_rows", "_settle"])
def test_a_restore_that_is_killed_goes_on_and_no_server_starts_before(
    site: Site, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, cut: str
) -> None:
    """After the rows of keys and before their files, after the keys, and after the rows."""
    settings, _ = site.restored(tmp_path / "first")
    withdraw_all_of_person0(settings)
    publish_checkpoint(settings, NOW)
    settings = site.new(tmp_path / "home")
    with monkeypatch.context() as killed:
        killed.setattr(restoring, cut, pull_the_plug)
        with pytest.raises(KeyboardInterrupt):
            erased = tmp_path / "first" / "checkpoints" / "erased.list"
            restore(settings, site.folder, site.keys, erased=erased, now=NOW)
    if cut == "_settle":
        assert "sentence 0" in sentences(settings), "control: here the person is back"
    with pytest.raises(SettingsError, match="restore` once more"):
        require_home(settings)
    with pytest.raises(SettingsError, match="where the restore began"):
        restore(site.new(tmp_path / "home"), site.folder, site.keys, now=NOW)
    done = restore(settings, site.folder, site.keys, now=NOW)
    assert (done.n_samples, done.n_unreadable_texts) == (N_ALL * (N_PEOPLE - 1), 0)
    assert sentences(settings) == {f"sentence {number}" for number in range(1, N_PEOPLE)}
    require_home(settings)


@pytest.mark.slow
def test_a_file_of_a_model_over_two_gibibytes_has_its_row_and_is_carried_over(site: Site, tmp_path: Path) -> None:
    settings, _ = site.restored(tmp_path / "home")
    engine = open_engine(settings.database_url)
    with writing(engine) as connection:
        repo = {"kind": "model", "namespace": "me", "name": "big", "private": True, "writes": 0, "created_at_s": 0.0}
        (repo_id,) = connection.execute(REPOS.insert().values(repo).returning(REPOS.c.id)).one()
        size = {"repo_id": repo_id, "size_bytes": 3_100_000_000}
        connection.execute(OBJECTS.insert().values(oid="0" * 40, kind="blob", **size))
        connection.execute(UPLOADS.insert().values(sha256="0" * 64, uploaded_at_s=0.0, **size))
    engine.dispose()
    make_backup(settings, tmp_path / "backup", tmp_path / "safe", now=NOW)
    file = ServerSettings.from_env({"PROJECTONE_SERVER_HOME": str(tmp_path / "file")})
    again = site.new(tmp_path / "again")
    for place in (file, again):
        restore(place, tmp_path / "backup", tmp_path / "safe", now=NOW)
        assert rows_of(place) == rows_of(settings)


@pytest.mark.slow
def test_no_password_of_a_database_stands_in_an_error(site: Site, tmp_path: Path) -> None:
    url = make_url(site.settings.database_url).update_query_dict({"password": "hunter2"})
    full = replace(
        site.settings, home=tmp_path / "none", database_url=url.set(password="hunter3").render_as_string(False)
    )
    with pytest.raises(SettingsError, match="expected a database without rows") as caught:
        restore(full, site.folder, site.keys, now=NOW)
    assert "hunter" not in str(caught.value)
