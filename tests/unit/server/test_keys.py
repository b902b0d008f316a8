"""Keys of consents: made once, destroyed for good, wrapped anew while others read."""

import shutil
import threading
import uuid
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from projectone.errors import KeyDestroyedError, KeyMissingError, SettingsError
from projectone.server.keys import REMEMBERED_S, ConsentKeys, open_key_database
from projectone.storage.keyfiles import KeyFiles
from projectone.storage.sealed import seal, unseal

START = datetime(2026, 11, 1, tzinfo=UTC)


class Clock:
    def __init__(self) -> None:
        self.now, self.now_s = START, 0.0

    def __call__(self) -> datetime:
        return self.now


def keys_in(folder: Path, clock: Clock | None = None, *, can_unwrap: bool = True) -> ConsentKeys:
    clock = clock or Clock()
    folder.mkdir(exist_ok=True)
    engine = open_key_database(f"sqlite:///{folder}/consents.sqlite")
    keys = ConsentKeys(engine, KeyFiles(folder, can_unwrap=can_unwrap), clock=clock, now_s=lambda: clock.now_s)
    keys.ensure_master()
    return keys


def sealed_by(keys: ConsentKeys, consent: uuid.UUID, content: bytes = b"seven") -> bytes:
    return seal(content, keys.for_sealing(consent).public_key, context=b"here")


def opened_by(keys: ConsentKeys, consent: uuid.UUID, sealed: bytes) -> bytes:
    return unseal(sealed, keys.for_opening(consent), context=b"here")


def test_a_key_is_made_once_and_found_again(tmp_path: Path) -> None:
    consent = uuid.uuid4()
    taking_in = keys_in(tmp_path, can_unwrap=False)
    sealed = sealed_by(taking_in, consent)
    assert opened_by(keys_in(tmp_path), consent, sealed) == b"seven"
    assert keys_in(tmp_path).for_sealing(consent) == taking_in.for_sealing(consent)
    assert keys_in(tmp_path).ensure_master() == taking_in.ensure_master()
    with pytest.raises(SettingsError):
        opened_by(taking_in, consent, sealed)


def test_nobody_else_may_read_the_store(tmp_path: Path) -> None:
    sealed_by(keys_in(tmp_path), uuid.uuid4())
    assert {path.stat().st_mode & 0o777 for path in tmp_path.iterdir()} == {0o600}


def test_a_destroyed_key_stays_destroyed(tmp_path: Path) -> None:
    keys, ada, bob = keys_in(tmp_path), uuid.uuid4(), uuid.uuid4()
    of_ada, of_bob = sealed_by(keys, ada), sealed_by(keys, bob)
    assert keys.destroy([ada, ada]) == 1
    assert keys.destroy([ada]) == 0
    for ask in (keys.for_opening, keys.for_sealing, keys_in(tmp_path).for_opening):
        with pytest.raises(KeyDestroyedError):
            ask(ada)
    assert opened_by(keys, bob, of_bob) == b"seven"
    assert (keys.destroyed(), keys.alive()) == ({ada}, {bob})
    with pytest.raises(KeyDestroyedError):
        opened_by(keys, ada, of_ada)


def test_a_consent_that_never_sent_anything_gets_no_key_after_its_end(tmp_path: Path) -> None:
    keys, consent = keys_in(tmp_path), uuid.uuid4()
    assert keys.destroy([consent]) == 0
    with pytest.raises(KeyDestroyedError):
        keys.for_sealing(consent)


def test_no_byte_of_a_destroyed_key_is_left_in_the_store(tmp_path: Path) -> None:
    keys, consent = keys_in(tmp_path), uuid.uuid4()
    sealing = keys.for_sealing(consent)
    needles = (sealing.public_key, sealing.mac_key)
    holding = [path for path in tmp_path.iterdir() if any(needle in path.read_bytes() for needle in needles)]
    assert holding
    keys.destroy([consent])
    assert not [path for path in tmp_path.iterdir() if any(needle in path.read_bytes() for needle in needles)]


def test_another_process_learns_of_it_within_half_a_minute(tmp_path: Path) -> None:
    clock, consent = Clock(), uuid.uuid4()
    keys = keys_in(tmp_path)
    sealed = sealed_by(keys, consent)
    other = keys_in(tmp_path, clock)
    assert opened_by(other, consent, sealed) == b"seven"
    keys.destroy([consent])
    clock.now_s += REMEMBERED_S
    with pytest.raises(KeyDestroyedError):
        other.for_opening(consent)


def test_a_key_that_never_was_is_not_taken_for_a_destroyed_one(tmp_path: Path) -> None:
    with pytest.raises(KeyMissingError):
        keys_in(tmp_path).for_opening(uuid.uuid4())


def test_a_new_master_key_changes_nothing_that_was_sealed(tmp_path: Path) -> None:
    keys, consents = keys_in(tmp_path), [uuid.uuid4() for _ in range(250)]
    sealed = {consent: sealed_by(keys, consent) for consent in consents}
    old = keys.ensure_master()
    new = keys.rotate()
    assert keys.counts().n_to_rewrap == 250
    later = uuid.uuid4()
    sealed[later] = sealed_by(keys, later)
    assert keys.counts().n_to_rewrap == 250
    while keys.rewrap():
        assert KeyFiles(tmp_path).private_path(old).exists()
    assert sorted(path.suffix for path in tmp_path.glob("master-*")) == [".key", ".pub"]
    assert KeyFiles(tmp_path).private_path(new).exists()
    fresh = keys_in(tmp_path)
    assert all(opened_by(fresh, consent, content) == b"seven" for consent, content in sealed.items())


def test_a_copy_of_the_store_from_before_a_rotation_opens_nothing(tmp_path: Path) -> None:
    """Twenty people withdraw; a backup of the store, older than the last rotation, comes back beside today's master."""
    keys, consents = keys_in(tmp_path / "keys"), [uuid.uuid4() for _ in range(20)]
    sealed = {consent: sealed_by(keys, consent) for consent in consents}
    backup = tmp_path / "backup.sqlite"
    shutil.copy(tmp_path / "keys" / "consents.sqlite", backup)
    for name in ("consents.sqlite-wal", "consents.sqlite-shm"):
        if (tmp_path / "keys" / name).exists():
            shutil.copy(tmp_path / "keys" / name, tmp_path / name.replace("consents", "backup"))

    def restored(folder: Path) -> ConsentKeys:
        shutil.copytree(tmp_path / "keys", folder)
        for path in folder.glob("consents.sqlite*"):
            path.unlink()
        for path in tmp_path.glob("backup.sqlite*"):
            shutil.copy(path, folder / path.name.replace("backup", "consents"))
        engine = open_key_database(f"sqlite:///{folder}/consents.sqlite")
        return ConsentKeys(engine, KeyFiles(folder))

    keys.destroy(consents)
    # The control: before the rotation, such a backup brings every one of them back.
    early = restored(tmp_path / "early")
    assert sum(opened_by(early, consent, content) == b"seven" for consent, content in sealed.items()) == 20
    keys.rotate()
    assert keys.rewrap() == 0
    late = restored(tmp_path / "late")
    for consent in consents:
        with pytest.raises(KeyMissingError):
            late.for_opening(consent)


def test_a_rotation_disturbs_no_reader_and_no_writer_and_survives_kills(tmp_path: Path) -> None:
    """A thousand reads and writes beside ten rotations, each cut off in the middle."""
    keys = keys_in(tmp_path)
    sealed = {consent: sealed_by(keys, consent) for consent in (uuid.uuid4() for _ in range(50))}
    failures: list[BaseException] = []
    n_done: list[int] = []
    is_over = threading.Event()
    users = [threading.Thread(target=_use, args=(tmp_path, sealed, is_over, n_done, failures)) for _ in range(2)]
    for user in users:
        user.start()
    for number in range(10):
        rotating = keys_in(tmp_path)
        rotating.rotate()
        if number % 2:  # as if killed between the new master key and the rewrapping
            continue
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(KeyFiles, "destroy", _die)  # as if killed just before an old master key goes
            with pytest.raises(KeyboardInterrupt):
                _rewrap_all(rotating)
    _rewrap_all(keys_in(tmp_path))
    is_over.set()
    for user in users:
        user.join()
    assert failures == []
    assert sum(n_done) >= 1000
    assert sorted(path.suffix for path in tmp_path.glob("master-*")) == [".key", ".pub"]


class _Overtaken(KeyFiles):
    """Somebody else rotates to the end between this reader's look at the row and at the master key."""

    def unwrap(self, master_id: str, wrapped: bytes, *, context: bytes) -> bytes:
        if not self._private:
            other = keys_in(self._folder)
            other.rotate()
            _rewrap_all(other)
            self._private = {"overtaken": b""}
        return super().unwrap(master_id, wrapped, context=context)


@pytest.mark.parametrize("n_looks", [3, 1])
def test_a_reader_that_a_rotation_overtakes_looks_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, n_looks: int
) -> None:
    consent = uuid.uuid4()
    sealed = sealed_by(keys_in(tmp_path), consent)
    reader = ConsentKeys(open_key_database(f"sqlite:///{tmp_path}/consents.sqlite"), _Overtaken(tmp_path))
    if n_looks > 1:
        assert opened_by(reader, consent, sealed) == b"seven"
        return
    monkeypatch.setattr("projectone.server.keys.consents._TRIES", n_looks)  # the control
    with pytest.raises(KeyMissingError):
        opened_by(reader, consent, sealed)


def _use(
    folder: Path,
    sealed: dict[uuid.UUID, bytes],
    is_over: threading.Event,
    n_done: list[int],
    failures: list[BaseException],
) -> None:
    clock = Clock()
    mine, consents, number = keys_in(folder, clock), list(sealed), 0
    try:
        while not is_over.is_set() or number < 500:
            clock.now_s += REMEMBERED_S  # nothing is remembered: every use goes to the store
            consent = consents[number % len(consents)]
            assert opened_by(mine, consent, sealed[consent]) == b"seven"
            if number % 25 == 0:
                fresh = uuid.uuid4()
                assert opened_by(mine, fresh, sealed_by(mine, fresh)) == b"seven"
            number += 1
    except BaseException as error:
        failures.append(error)
    n_done.append(number)


def _rewrap_all(keys: ConsentKeys) -> None:
    while keys.rewrap():
        pass


def _die(self: KeyFiles, master_id: str) -> None:
    raise KeyboardInterrupt


def test_the_age_of_the_master_key_is_known(tmp_path: Path) -> None:
    clock = Clock()
    keys = keys_in(tmp_path, clock)
    clock.now += timedelta(days=8)
    assert keys.master_age() == timedelta(days=8)
    keys.rotate()
    assert keys.master_age() == timedelta(0)
