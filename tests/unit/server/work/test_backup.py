"""The drill: a server is copied while it serves, made again from the copy, and trained on."""

from __future__ import annotations

import json
import shutil
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import pytest
from fastapi.testclient import TestClient
from tests.fakes.caller import Caller
from tests.fakes.tiny_whisper import WORDS, save_tiny, say

from projectone.errors import ContractError, SettingsError, StorageError
from projectone.server.api.app import create_app
from projectone.server.audit import AuditLog
from projectone.server.cli import main
from projectone.server.corpus.clips import read_clip, read_sentence
from projectone.server.corpus.tables import SampleRow
from projectone.server.database import open_engine
from projectone.server.home import open_catalog
from projectone.server.pipeline.models import ModelFolders
from projectone.server.serve.initialise import initialise, with_secrets
from projectone.server.serve.processes import api_services
from projectone.server.settings import ServerSettings
from projectone.server.training import TrainingClip, TrainingConfig, finetune
from projectone.server.work import restore as restoring
from projectone.server.work.backup import make_backup
from projectone.server.work.backup_files import MANIFEST, read_backup
from projectone.server.work.checkpoints import publish_checkpoint
from projectone.server.work.restore import Restored, restore
from projectone.storage.blobs import FileBlobs
from projectone.waveform.wav import encode_wav, parse_wav

NOW = datetime(2026, 11, 21, 12, tzinfo=UTC)
N_PEOPLE, N_EACH = 3, 2
N_ALL = N_EACH + 1
"""Of one person: recordings, and a corrected intent."""
ONE_STEP = TrainingConfig(epochs=1, max_steps=1, evaluate_times=1)


def settings_of(home: Path) -> ServerSettings:
    return with_secrets(ServerSettings.from_env({"PROJECTONE_SERVER_HOME": str(home)}))


@contextmanager
def served(settings: ServerSettings) -> Iterator[Callable[[str], Caller]]:
    """A server, and how people come to it."""
    engine = open_engine(settings.database_url)
    with TestClient(create_app(api_services(settings, engine)), raise_server_exceptions=False) as http:
        yield lambda name: Caller(http, settings.enrolment_code, name)
    engine.dispose()


def send(caller: Caller, number: int) -> int:
    word = list(WORDS)[number % len(WORDS)]
    clip = encode_wav(say(word, seed=number), 16_000)
    return int(caller.put(clip, word, name=f"sample {number}").status_code)


@dataclass(frozen=True)
class Copied:
    """A server of three people with two recordings and a corrected intent each, and its backup."""

    settings: ServerSettings
    folder: Path
    keys: Path

    def restored(self, home: Path, **options: Path) -> tuple[ServerSettings, Restored]:
        found = ServerSettings.from_env({"PROJECTONE_SERVER_HOME": str(home)})
        return found, restore(found, self.folder, options.pop("keys", self.keys), now=NOW, **options)


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Copied:
    place = tmp_path_factory.mktemp("site")
    bare = ServerSettings.from_env({"PROJECTONE_SERVER_HOME": str(place / "home")})
    initialise(bare)
    settings = settings_of(place / "home")
    ModelFolders(settings.home / "models").keep_copy(save_tiny(place / "tiny"))
    with served(settings) as caller_of:
        for number in range(N_PEOPLE):
            caller = caller_of(f"person{number}")
            assert (caller.enrol().status_code, caller.grant().status_code) == (201, 200)
            assert {send(caller, N_EACH * number + i) for i in range(N_EACH)} == {201}
            assert caller.grant_intents().status_code == 200
            assert caller.put_intent(f"sentence {number}", None).status_code == 201
    make_backup(settings, place / "backup", place / "safe", now=NOW)
    return Copied(settings, place / "backup", place / "safe")


def learned(settings: ServerSettings, out: Path) -> str:
    """The digest of what one real training step makes of a home."""
    engine = open_engine(settings.database_url)
    catalog, blobs = open_catalog(settings, engine), FileBlobs(settings.home / "blobs")

    def clip(row: SampleRow) -> TrainingClip:
        samples = parse_wav(read_clip(catalog, blobs, row.clip_sha256)).samples[:, 0]
        return TrainingClip(str(row.sample_id), samples, row.text, row.contributor_id)

    clips = [clip(row) for row in sorted(catalog.usable(), key=lambda row: str(row.sample_id))]
    engine.dispose()
    (base,) = (settings.home / "models").glob("[0-9a-f]*")
    return finetune(base, clips, ONE_STEP, work_folder=out / "work", out=out / "out").weights_sha256


def sentences(settings: ServerSettings) -> set[str]:
    engine = open_engine(settings.database_url)
    catalog, blobs = open_catalog(settings, engine), FileBlobs(settings.home / "blobs")
    found = {read_sentence(catalog, blobs, row.clip_sha256) for row in catalog.usable("intents")}
    engine.dispose()
    return found


def test_a_restored_server_is_whole_and_learns_what_the_first_one_learns(made: Copied, tmp_path: Path) -> None:
    settings, done = made.restored(tmp_path / "home")
    assert (done.n_samples, done.n_withdrawn_again) == (N_PEOPLE * N_ALL, 0)
    assert (done.n_missing_clips, done.n_unreadable_texts, done.n_lost_entries) == (0, 0, 0)
    assert FileBlobs(settings.home / "blobs").scrub() == []
    engine = open_engine(settings.database_url)
    log = AuditLog(engine)
    assert log.verify([read_backup(made.folder, "home").checkpoint]).is_sound
    assert [entry.act for entry in log.newest(1)] == ["restored"]
    engine.dispose()
    for name in ("release.key", "enrolment-code", "hub-token"):
        assert (settings.keys_folder / name).read_bytes() == (made.settings.keys_folder / name).read_bytes()
    first, again = learned(made.settings, tmp_path / "first"), learned(settings, tmp_path / "again")
    assert first == again
    with served(settings_of(tmp_path / "home")) as caller_of:
        assert send(caller_of("person0"), 0) == 200, "sent before the backup: known"
        assert send(caller_of("person0"), 77) == 201
        assert caller_of("person0").put_intent("sentence 0", None).status_code == 200
    assert sentences(settings) == {f"sentence {number}" for number in range(N_PEOPLE)}


def test_a_backup_is_whole_although_people_go_on_sending(made: Copied, tmp_path: Path) -> None:
    home = tmp_path / "busy"
    shutil.copytree(made.settings.home, home)
    settings = settings_of(home)
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
    copied = Copied(settings, tmp_path / "backup", tmp_path / "safe")
    _, done = copied.restored(tmp_path / "home")
    assert N_PEOPLE * N_ALL <= done.n_samples <= N_PEOPLE * N_ALL + n_sent
    assert (done.n_missing_clips, done.n_unreadable_texts) == (0, 0)


@pytest.mark.parametrize("lost", ["rows", "everything", "control"])
def test_what_was_withdrawn_after_the_backup_does_not_come_back(made: Copied, tmp_path: Path, lost: str) -> None:
    """The control: rows and keys are lost, and nobody kept the list of what was withdrawn. Then it does come back."""
    home = tmp_path / "home"
    shutil.copytree(made.settings.home, home)
    with served(settings_of(home)) as caller_of:
        assert caller_of("person0").withdraw().status_code == 200
        assert caller_of("person0").withdraw_intents().status_code == 200
    publish_checkpoint(settings_of(home), NOW)
    erased = shutil.copy(home / "checkpoints" / "erased.list", tmp_path / "kept.list")
    if lost == "rows":
        for path in home.glob("projectone.sqlite*"):
            path.unlink()
        done = restore(settings_of(home), made.folder, None, now=NOW)
    else:
        shutil.rmtree(home)
        options = {} if lost == "control" else {"erased": Path(erased)}
        _, done = made.restored(home, **options)
    comes_back = lost == "control"
    assert done.n_withdrawn_again == (0 if comes_back else 2)
    assert done.n_samples == N_ALL * (N_PEOPLE - (not comes_back))
    engine = open_engine(settings_of(home).database_url)
    people = {row.contributor_id for row in open_catalog(settings_of(home), engine).usable()}
    engine.dispose()
    assert ("person-person0" in people) is comes_back
    assert ("sentence 0" in sentences(settings_of(home))) is comes_back
    blobs = FileBlobs(home / "blobs")
    assert len(list(blobs.keys())) == done.n_samples


def test_a_backup_that_was_damaged_is_refused_before_anything_is_made(made: Copied, tmp_path: Path) -> None:
    names = [file.path for file in read_backup(made.folder, "home").files]
    chosen = [*names[:3], "projectone.sqlite", MANIFEST]
    for number, name in enumerate(chosen):
        folder = Path(shutil.copytree(made.folder, tmp_path / str(number)))
        content = bytearray((folder / name).read_bytes())
        content[len(content) // 2] ^= 1
        (folder / name).write_bytes(content)
        with pytest.raises((StorageError, ContractError)):
            Copied(made.settings, folder, made.keys).restored(tmp_path / "home")
    folder = Path(shutil.copytree(made.folder, tmp_path / "short"))
    (folder / names[0]).unlink()
    with pytest.raises(StorageError, match="damaged or missing"):
        Copied(made.settings, folder, made.keys).restored(tmp_path / "home")
    assert not (tmp_path / "home").exists()


def test_nothing_is_written_over_and_halves_that_do_not_belong_together_are_refused(
    made: Copied, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SettingsError, match="move the old home away"):
        made.restored(made.settings.home)
    monkeypatch.setenv("PROJECTONE_SERVER_HOME", str(made.settings.home))
    assert main(["backup", str(tmp_path / "b"), "--keys", str(tmp_path / "b" / "keys")]) == 2
    assert "apart" in capsys.readouterr().err
    assert main(["backup", str(tmp_path / "b"), "--keys", str(tmp_path / "k"), "--json"]) == 0
    facts = json.loads(capsys.readouterr().out)
    assert facts["delete_within_days"] == 30 and facts["n_files"] >= N_PEOPLE * N_EACH
    assert not list((tmp_path / "b").rglob("*.key")), "no key in the half without keys"
    with pytest.raises(SettingsError, match="expected the keys of backup"):
        made.restored(tmp_path / "home", keys=tmp_path / "k")
    assert main(["restore", str(made.folder), "--keys", str(made.keys)]) == 2


@pytest.mark.parametrize("cut", ["_bring_rows", "_settle", "remove_mark"])
def test_a_restore_that_is_killed_goes_on_and_no_server_starts_before(
    made: Copied,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    cut: str,
) -> None:
    """Rows and keys are lost, the list of what was withdrawn is given the first time alone."""
    home = tmp_path / "home"
    shutil.copytree(made.settings.home, home)
    with served(settings_of(home)) as caller_of:
        assert caller_of("person0").withdraw().status_code == 200
        assert caller_of("person0").withdraw_intents().status_code == 200
    publish_checkpoint(settings_of(home), NOW)
    erased = shutil.copy(home / "checkpoints" / "erased.list", tmp_path / "kept.list")
    shutil.rmtree(home)
    with monkeypatch.context() as killed:
        killed.setattr(restoring, cut, pull_the_plug)
        with pytest.raises(KeyboardInterrupt):
            made.restored(home, erased=Path(erased))
    if cut == "_settle":
        assert "sentence 0" in sentences(settings_of(home)), "control: here the person is back"
    monkeypatch.setenv("PROJECTONE_SERVER_HOME", str(home))
    for words in (["status"], ["init"], ["work"], ["serve"], ["serve", "--init"]):
        assert main(words) == 2
        assert "run the same `projectone-server restore` once more" in capsys.readouterr().err
    other = tmp_path / "other", tmp_path / "other-keys"
    make_backup(made.settings, *other, now=NOW)
    with pytest.raises(SettingsError, match="restore was cut off"):
        Copied(made.settings, *other).restored(home, keys=other[1])
    settings, done = made.restored(home)
    assert (done.n_samples, done.n_unreadable_texts) == (N_ALL * (N_PEOPLE - 1), 0)
    assert sentences(settings) == {f"sentence {number}" for number in range(1, N_PEOPLE)}
    assert len(list(FileBlobs(home / "blobs").keys())) == done.n_samples
    assert main(["status"]) == 0, "and the home opens again"
    with pytest.raises(SettingsError, match="move the old home away"):
        made.restored(home)


def pull_the_plug(*_: object, **__: object) -> None:
    raise KeyboardInterrupt
