"""A backup and the memories of a product's people: nobody who was forgotten since comes back with it."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

import pytest

from projectone.assist import usual_encoder
from projectone.assist.embeddings import HashingEmbedder
from projectone.assist.memory import About
from projectone.assist.vectors.protocol import Owner
from projectone.server.database import open_engine
from projectone.server.memories.hosted import HostedMemories
from projectone.server.memories.rows import every_key, every_link
from projectone.server.serve.initialise import initialise
from projectone.server.serve.processes import api_services
from projectone.server.settings import ServerSettings
from projectone.server.work import hosted_memory
from projectone.server.work.backup import make_backup
from projectone.server.work.backup_files import read_backup
from projectone.server.work.checkpoints import publish_checkpoint
from projectone.server.work.restore import restore

ANNA, BERT = Owner("shop", "anna"), Owner("shop", "bert")
NOW = datetime(2026, 11, 23, 12, tzinfo=UTC)


@pytest.fixture(autouse=True)
def _counted_words(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(usual_encoder, "weights_folder", lambda: None)
    monkeypatch.setattr(usual_encoder, "_encoder", lambda: HashingEmbedder(usual_encoder.WIDTH))


def settings_of(home: Path) -> ServerSettings:
    return ServerSettings.from_env({"PROJECTONE_SERVER_HOME": str(home)})


@contextmanager
def memories_of(settings: ServerSettings) -> Iterator[HostedMemories]:
    with (
        hosted_memory._rows(settings) as engine,
        hosted_memory._keys(settings) as keys,
        hosted_memory._memories(settings, engine, keys) as memories,
    ):
        yield memories


def texts(settings: ServerSettings, owner: Owner) -> list[str]:
    with memories_of(settings) as memories:
        memories.sweep(NOW, ["shop"])
        found = {each.memory.text for each in memories.recall(owner, "tea", 5, NOW)}
        assert found == {each.text for each in memories.newest(owner, 5, NOW)}
        assert len(found) == memories.count(owner, NOW) == memories._vectors.count(owner)
        return sorted(found)


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """Anna and Bert like tea, as a backup knows; then Anna is forgotten."""
    settings = settings_of(tmp_path / "home")
    initialise(settings)
    with memories_of(settings) as memories:
        for owner in (ANNA, BERT):
            memories.remember(owner, f"{owner.user} likes tea", About(kind="said", said_at=NOW), NOW)
        memories.link(ANNA, "person-ada", NOW)
        make_backup(settings, tmp_path / "backup", tmp_path / "safe", now=NOW)
        memories.forget(ANNA, NOW)
    publish_checkpoint(settings, NOW)
    shutil.copy(settings.checkpoints / "erased.list", tmp_path / "kept.list")
    return settings.home


@pytest.mark.parametrize("lost", ["rows", "everything", "control"])
def test_who_was_forgotten_after_the_backup_does_not_come_back(home: Path, tmp_path: Path, lost: str) -> None:
    """The control: rows and keys are lost, and nobody kept the list. Then she does come back, and that is said."""
    settings, erased = settings_of(home), tmp_path / "kept.list" if lost == "everything" else None
    keys = None if lost == "rows" else tmp_path / "safe"
    if lost == "rows":
        for path in home.glob("*.sqlite*"):
            path.unlink()
    else:
        shutil.rmtree(home)
    done = restore(settings, tmp_path / "backup", keys, erased=erased, now=NOW)
    comes_back = lost == "control"
    assert (done.n_withdrawn_again, done.is_known_what_was_withdrawn) == (int(not comes_back), not comes_back)
    assert texts(settings, ANNA) == (["anna likes tea"] if comes_back else [])
    assert texts(settings, BERT) == ["bert likes tea"]
    with hosted_memory._rows(settings) as engine:
        assert [owner for owner, _, _ in every_key(engine)] == ([ANNA, BERT] if comes_back else [BERT])
        assert len(every_link(engine)) == int(comes_back)


def test_rows_that_were_put_back_by_other_means_are_emptied_by_the_next_start(home: Path, tmp_path: Path) -> None:
    for path in home.glob("projectone.sqlite*"):
        path.unlink()
    shutil.copy(tmp_path / "backup" / "projectone.sqlite", home)
    engine = open_engine(settings_of(home).database_url)
    api_services(settings_of(home), engine)
    assert [owner for owner, _, _ in every_key(engine)] == [BERT]
    engine.dispose()


def test_vectors_which_lie_open_are_in_no_backup_and_those_of_older_ones_are_left(
    home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert (home / "vectors.sqlite").is_file()
    assert "vectors.sqlite" not in {file.path for file in read_backup(tmp_path / "backup", "home").files}
    monkeypatch.setattr("projectone.server.work.backup._LEFT_OUT", ("keys", "projectone.sqlite"))
    make_backup(settings_of(home), tmp_path / "older", tmp_path / "older keys", now=NOW)
    assert "vectors.sqlite" in {file.path for file in read_backup(tmp_path / "older", "home").files}
    restored = settings_of(tmp_path / "again")
    restore(restored, tmp_path / "older", tmp_path / "older keys", now=NOW)
    assert not (restored.home / "vectors.sqlite").exists()
    assert texts(restored, BERT) == ["bert likes tea"]
