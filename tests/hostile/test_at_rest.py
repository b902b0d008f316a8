"""Whoever carries off disk or backup: nothing in them speaks, and after a withdrawal nothing in them ever will."""

from __future__ import annotations

import random
import shutil
import string
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from fastapi.testclient import TestClient
from tests.fakes.caller import Caller, a_clip
from tests.fakes.vaults import GlassVault

from projectone.errors import DataError, KeyDestroyedError, KeyMissingError, SettingsError
from projectone.server.api.app import create_app
from projectone.server.api.services import Services
from projectone.server.corpus.catalog import Catalog
from projectone.server.corpus.clips import read_clip, read_sentence
from projectone.server.corpus.intake import Intake
from projectone.server.corpus.vault import Vault
from projectone.server.database import Engine, open_engine
from projectone.server.home import open_keys
from projectone.server.sandbox.decode import decode_wav
from projectone.server.serve.initialise import initialise, with_secrets
from projectone.server.serve.processes import api_services
from projectone.server.settings import ServerSettings
from projectone.storage.blobs import FileBlobs
from projectone.waveform.wav import parse_wav

N_PEOPLE, N_EACH = 20, 2
KEY_GONE_WITHIN_S = 60.0


class Site:
    """A server that 20 people sent two recordings and a corrected intent each to."""

    def __init__(self, folder: Path, *, is_sealed: bool) -> None:
        self.is_sealed = is_sealed
        self.home = folder / "home"
        self.settings = ServerSettings.from_env({"PROJECTONE_SERVER_HOME": str(self.home)})
        initialise(self.settings)
        self.settings = with_secrets(self.settings)
        self.engine = open_engine(self.settings.database_url)
        self.services = self._services(is_sealed)
        self.http = TestClient(create_app(self.services), raise_server_exceptions=False)
        self.people = [self._caller(f"person{number}") for number in range(N_PEOPLE)]
        source = random.Random(42)
        self.words = ["".join(source.choices(string.ascii_lowercase, k=12)) for _ in range(N_PEOPLE * N_EACH)]
        self.clips = [a_clip(seed) for seed in range(N_PEOPLE * N_EACH)]
        for number, (word, clip) in enumerate(zip(self.words, self.clips, strict=True)):
            who = self.people[number % N_PEOPLE]
            sent = who.put(clip, f"he said {word}", heard=word[::-1], name=f"sample {number}")
            assert sent.status_code == 201
        self.meant = ["".join(source.choices(string.ascii_lowercase, k=12)) for _ in self.people]
        for who, word in zip(self.people, self.meant, strict=True):
            assert who.grant_intents().status_code == 200
            assert who.put_intent(f"tell me about {word}", None).status_code == 201

    @property
    def needles(self) -> list[bytes]:
        """Forty words, as said and as heard, a stretch of every clip, and a word of every sentence."""
        said = [text.encode() for word in self.words for text in (word, word[::-1])]
        return [*said, *(clip[4000:4200] for clip in self.clips), *(word.encode() for word in self.meant)]

    def _caller(self, name: str) -> Caller:
        caller = Caller(self.http, self.services.enrolment_code, name)
        assert (caller.enrol().status_code, caller.grant().status_code) == (201, 200)
        return caller

    def _services(self, is_sealed: bool) -> Services:
        services = api_services(self.settings, self.engine)
        if is_sealed:
            return services
        catalog = Catalog(self.engine, GlassVault(open_keys(self.settings, can_open=True)))
        return replace(services, catalog=catalog, intake=Intake(catalog, services.blobs, decode_wav, services.clock))

    def close(self) -> None:
        self.http.close()
        self.engine.dispose()


@pytest.fixture(params=[True, False], ids=["sealed", "control"])
def site(tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[Site]:
    made = Site(tmp_path, is_sealed=request.param)
    yield made
    made.close()


def grep(folder: Path, needles: list[bytes]) -> int:
    """How many of them are found in the bytes of all files below."""
    content = b"\0".join(path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file())
    return sum(needle in content for needle in needles)


def test_a_stolen_disk_says_nothing(site: Site) -> None:
    """140 known pieces of text and sound, looked for in rows, log, clips, staging and keys."""
    assert len(site.needles) == 3 * N_PEOPLE * N_EACH + N_PEOPLE
    found = grep(site.home, site.needles)
    assert found == (0 if site.is_sealed else len(site.needles))


def test_a_backup_from_before_a_withdrawal_is_unreadable_for_good(site: Site, tmp_path: Path) -> None:
    """Rows and clips are copied, ten people withdraw, and the copy comes back beside the keys of today."""
    backup = tmp_path / "backup"
    shutil.copytree(site.home, backup, ignore=shutil.ignore_patterns("keys"))
    gone, staying = site.people[:10], site.people[10:]
    started = time.monotonic()
    for who in gone:
        assert (who.withdraw().status_code, who.withdraw_intents().status_code) == (200, 200)
    assert time.monotonic() - started < KEY_GONE_WITHIN_S, "all ten, one after another"

    kind = Vault if site.is_sealed else GlassVault
    catalog, blobs = restored(backup, kind(open_keys(site.settings, can_open=True)))
    said = {row.text.split()[-1] for row in catalog.usable()}
    of_gone = {word for number, word in enumerate(site.words) if site.people[number % N_PEOPLE] in gone}
    heard = sum(is_readable(catalog, blobs, sha256) for sha256 in list(blobs.keys()))
    meant = {read_sentence(catalog, blobs, row.clip_sha256).split()[-1] for row in catalog.usable("intents")}
    if not site.is_sealed:
        assert (len(said & of_gone), heard) == (20, 40), "the control: everything that was withdrawn speaks"
        assert meant == set(site.meant)
        return
    assert (said & of_gone, said) == (set(), set(site.words) - of_gone)
    assert heard == N_EACH * len(staying)
    assert meant == set(site.meant[10:])
    keys = open_keys(site.settings, can_open=True)
    for who in gone:
        with pytest.raises(KeyDestroyedError):
            keys.for_opening(who.consent_id)


def test_rows_that_were_restored_from_before_a_withdrawal_are_emptied_again(tmp_path: Path) -> None:
    site = Site(tmp_path, is_sealed=True)
    backup = tmp_path / "backup.sqlite"
    site.http.close()
    site.engine.dispose()
    shutil.copy(site.home / "projectone.sqlite", backup)
    engine = open_engine(site.settings.database_url)
    with TestClient(create_app(api_services(site.settings, engine))) as http:
        site.people[0].http = http
        assert site.people[0].withdraw().status_code == 200
    engine.dispose()
    for path in site.home.glob("projectone.sqlite*"):
        path.unlink()
    shutil.copy(backup, site.home / "projectone.sqlite")
    engine = open_engine(site.settings.database_url)
    services = api_services(site.settings, engine)
    assert services.catalog.counts()["erased"] == N_EACH
    assert services.catalog.counts()["waiting"] == N_EACH * (N_PEOPLE - 1) + N_PEOPLE
    engine.dispose()


def test_keys_that_were_restored_from_before_a_withdrawal_are_destroyed_again(tmp_path: Path) -> None:
    site = Site(tmp_path, is_sealed=True)
    old = {path.name: path.read_bytes() for path in site.settings.keys_folder.glob("consents.sqlite*")}
    assert site.people[0].withdraw().status_code == 200
    site.close()
    for path in site.settings.keys_folder.glob("consents.sqlite*"):
        path.unlink()
    for name, content in old.items():
        (site.settings.keys_folder / name).write_bytes(content)
    consent = site.people[0].consent_id
    assert open_keys(site.settings, can_open=True).for_opening(consent)
    engine: Engine = open_engine(site.settings.database_url)
    api_services(site.settings, engine)
    with pytest.raises(KeyDestroyedError):
        open_keys(site.settings, can_open=True).for_opening(consent)
    engine.dispose()


def test_the_process_that_answers_devices_needs_no_key_that_opens(tmp_path: Path) -> None:
    """Its private half is carried off: samples come in, are known again, and go with a withdrawal all the same."""
    site = Site(tmp_path, is_sealed=True)
    for path in site.settings.keys_folder.glob("master-*.key"):
        path.unlink()
    late = site._caller("late")
    ada = site.people[0]
    assert [ada.put(a_clip(99), "eight", name="new").status_code for _ in range(2)] == [201, 200]
    assert ada.put(a_clip(98), "eight", name="new").status_code == 409
    assert late.put(a_clip(97), "nine").status_code == 201
    assert (ada.withdraw().status_code, late.withdraw().status_code) == (200, 200)
    assert ada.put(a_clip(99), "eight", name="new").status_code == 410
    with pytest.raises(SettingsError, match="opens none"):
        site.services.catalog.waiting()
    with pytest.raises(KeyMissingError):
        open_keys(site.settings, can_open=True).for_opening(site.people[1].consent_id)
    site.close()


def restored(backup: Path, vault: Vault) -> tuple[Catalog, FileBlobs]:
    return Catalog(open_engine(f"sqlite:///{backup}/projectone.sqlite"), vault), FileBlobs(backup / "blobs")


def is_readable(catalog: Catalog, blobs: FileBlobs, sha256: str) -> bool:
    try:
        return parse_wav(read_clip(catalog, blobs, sha256)).samples.size > 0
    except DataError:
        return False
