from __future__ import annotations

import json
import shutil
import threading
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from tuf.api.metadata import Root, Snapshot, Targets, Timestamp

from projectone.contracts.releases import NotedRelease, ReleaseFile, ReleaseManifest, ReleaseNotes
from projectone.errors import RollbackError, SettingsError, StorageError
from projectone.server.delivery.ceremonies import Ceremonies
from projectone.server.delivery.publisher import Publisher
from projectone.server.delivery.role_keys import RoleKeys, load_root_keys, make_root_keys
from projectone.server.delivery.roles import ONLINE_ROLES
from projectone.server.delivery.signed_files import SignedFiles
from projectone.storage.files import write_atomically

WRITE = "projectone.server.delivery.signed_files.write_atomically"
NOW = datetime(2026, 11, 21, 9, tzinfo=UTC)


@dataclass
class House:
    """A server's signed files and keys, at a time that a test sets."""

    folder: Path
    now: datetime = NOW

    def __post_init__(self) -> None:
        self.files, self.keys = SignedFiles(self.folder / "tuf"), RoleKeys(self.folder / "keys")
        self.ceremonies = Ceremonies(self.files, self.keys, clock=lambda: self.now)
        self.publisher = Publisher(self.files.folder, self.keys, clock=lambda: self.now)

    def versions(self) -> tuple[int, int, int, int, int]:
        """Of root, timestamp, snapshot, targets and rollout, each verified as a device would."""
        root = self.files.root()
        root.verify_delegate(Root.type, root)
        timestamp = self.files.timestamp()
        assert timestamp is not None
        root.verify_delegate(Timestamp.type, timestamp)
        snapshot = self.files.snapshot(timestamp.signed.snapshot_meta.version)
        root.verify_delegate(Snapshot.type, snapshot)
        targets = self.files.listed("targets", snapshot.signed.meta["targets.json"].version)
        root.verify_delegate(Targets.type, targets)
        rollout = self.files.listed("rollout", snapshot.signed.meta["rollout.json"].version)
        targets.verify_delegate("rollout", rollout)
        for name, pointer in (*snapshot.signed.meta.items(), ("snapshot.json", timestamp.signed.snapshot_meta)):
            content = (self.files.metadata / f"{pointer.version}.{name}").read_bytes()
            pointer.verify_length_and_hashes(content)
        return tuple(  # type: ignore[return-value]
            metadata.signed.version for metadata in (root, timestamp, snapshot, targets, rollout)
        )

    def listed(self) -> dict[str, Any]:
        """What is listed now: path to document."""
        _, _, _, targets, rollout = self.versions()
        every = [*self.files.listed("targets", targets).signed.targets.values()]
        every += self.files.listed("rollout", rollout).signed.targets.values()
        return {target.path: json.loads(self.files.read(target)) for target in every}


@pytest.fixture(scope="module")
def begun(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("signed")
    house = House(folder)
    house.ceremonies.begin()
    house.publisher.renew()
    return folder


@pytest.fixture
def house(tmp_path: Path, begun: Path) -> House:
    return House(Path(shutil.copytree(begun, tmp_path / "house")))


def manifest(seq: int, *, tier: str = "float16", channel: str = "stable") -> ReleaseManifest:
    return ReleaseManifest(
        channel=channel,
        tier=tier,
        seq=seq,
        version=f"1.{seq}.0",
        repo_id="acme/whisper",
        commit="0" * 40,
        base_sha256="1" * 64,
        weights_sha256="2" * 64,
        package_sha256="3" * 64,
        package_size_bytes=10,
        files=(ReleaseFile(path="model.safetensors", sha256="2" * 64, size_bytes=10),),
        created_at=NOW,
    )


def test_a_new_house_lists_nothing_and_its_root_needs_two_of_three_keys(house: House) -> None:
    assert house.versions() == (1, 1, 1, 1, 1)
    assert house.listed() == {}
    root = house.files.root().signed
    assert (len(root.roles["root"].keyids), root.roles["root"].threshold) == (3, 2)
    assert root.consistent_snapshot
    assert len({key for role in root.roles.values() for key in role.keyids}) == 6
    assert house.keys.root_keys_here() == 3
    assert all(path.stat().st_mode & 0o077 == 0 for path in (house.folder / "keys").rglob("*.key"))
    assert house.ceremonies.begin() == house.files.first_root()


def test_the_newest_release_of_each_channel_is_listed_and_no_earlier_one(house: House) -> None:
    house.publisher.publish(lambda: [manifest(1), manifest(1, tier="int8")])
    house.publisher.publish(lambda: [manifest(7, channel="beta")])
    house.publisher.publish(lambda: [manifest(2)])
    assert house.versions() == (1, 4, 4, 4, 1)
    others = {"stable/float16/release.json": 2, "beta/float16/release.json": 7}
    assert {path: document["seq"] for path, document in house.listed().items()} == others | {
        "stable/int8/release.json": 1
    }
    house.publisher.publish(lambda: [manifest(2).model_copy(update={"min_seq": 2})])
    assert {path: document["seq"] for path, document in house.listed().items()} == others
    target = house.files.listed("targets", 5).signed.targets["stable/float16/release.json"]
    assert target.unrecognized_fields["custom"] == {
        "channel": "stable",
        "tier": "float16",
        "seq": 2,
        "min_runtime": "0.1.0",
    }
    assert list(target.hashes) == ["sha256"]
    with pytest.raises(RollbackError):
        house.publisher.publish(lambda: [manifest(1)])


def test_what_is_new_in_a_release_is_a_document_of_its_own_that_goes_with_it(house: House) -> None:
    notes = ReleaseNotes(n_words=100, n_wrong=5)
    both = ["stable/float16/notes.json", "stable/float16/release.json"]
    house.publisher.publish(lambda: [NotedRelease.of(manifest(1), notes), manifest(7, channel="beta")])
    listed = house.listed()
    assert listed[both[0]] == notes.model_dump()
    assert ReleaseManifest.from_bytes(json.dumps(listed[both[1]]).encode()) == manifest(1)
    before = house.versions()
    house.publisher.publish(lambda: [NotedRelease.of(manifest(1), notes), manifest(7, channel="beta")])
    assert house.versions() == before
    house.publisher.publish(lambda: [manifest(8, channel="beta")])
    assert sorted(house.listed()) == ["beta/float16/release.json", *both]
    house.publisher.publish(lambda: [manifest(2)])  # which says nothing: what was said was of the one before
    assert sorted(house.listed()) == ["beta/float16/release.json", both[1]]


def test_publishing_the_same_again_changes_nothing(house: House) -> None:
    house.publisher.publish(lambda: [manifest(1)])
    before = house.versions()
    house.publisher.publish(lambda: [manifest(1)])
    assert not house.publisher.renew()
    assert house.versions() == before


def test_a_rollout_is_published_without_the_key_of_the_releases(house: House) -> None:
    house.publisher.publish(lambda: [manifest(1)])
    (house.folder / "keys" / "targets.key").rename(house.folder / "taken-away.key")
    house.publisher.publish_rollout("stable", b'{"percent":5}')
    house.publisher.publish_rollout("stable", b'{"percent":0}')
    assert house.versions() == (1, 4, 4, 2, 3)
    assert house.listed()["stable/rollout.json"] == {"percent": 0}
    with pytest.raises(SettingsError, match=r"targets\.key"):
        house.publisher.publish(lambda: [manifest(2)])
    house.now += timedelta(days=60)
    house.publisher.publish_rollout("stable", b'{"percent":1}')
    assert house.versions() == (1, 5, 5, 2, 4)
    house.now += timedelta(days=31)
    with pytest.raises(SettingsError, match=r"targets\.key"):
        house.publisher.renew()


@pytest.mark.parametrize(
    ("passed", "versions"),
    [
        (timedelta(hours=5), (1, 1, 1, 1, 1)),
        (timedelta(hours=7), (1, 2, 1, 1, 1)),
        (timedelta(days=4), (1, 2, 2, 1, 2)),
        (timedelta(days=46), (1, 2, 2, 2, 2)),
    ],
)
def test_each_role_is_signed_again_in_time(house: House, passed: timedelta, versions: tuple[int, ...]) -> None:
    house.now += passed
    assert house.publisher.renew() == (versions != (1, 1, 1, 1, 1))
    assert house.versions() == versions


def test_a_publisher_that_dies_anywhere_leaves_what_was_current_and_the_next_one_ends_its_work(
    tmp_path: Path, house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    house.publisher.publish(lambda: [manifest(1)])
    write = write_atomically
    died = 0
    for n_writes in range(10):
        copy = House(Path(shutil.copytree(house.folder, tmp_path / f"copy-{n_writes}")))
        left = [n_writes]

        def write_some(path: Path, content: bytes, left: list[int] = left) -> None:
            if not left[0]:
                raise StorageError("the power went")
            left[0] -= 1
            write(path, content)

        monkeypatch.setattr(WRITE, write_some)
        try:
            copy.publisher.publish(lambda: [manifest(2)])
        except StorageError:
            died += 1
            assert copy.listed()["stable/float16/release.json"]["seq"] == 1
        monkeypatch.setattr(WRITE, write)
        copy.publisher.publish(lambda: [manifest(2)])
        assert copy.listed()["stable/float16/release.json"]["seq"] == 2
    assert died == 4  # document, list, snapshot, timestamp


def test_publishers_wait_for_one_another_and_the_newest_release_wins(house: House) -> None:
    newest = [0]
    lock = threading.Lock()

    def next_release() -> list[ReleaseManifest]:
        with lock:
            newest[0] += 1
        return [manifest(newest[0])]

    def publish(act: Callable[[], object]) -> threading.Thread:
        thread = threading.Thread(target=act)
        thread.start()
        return thread

    acts: list[Callable[[], object]] = [lambda: house.publisher.publish(next_release)] * 6
    acts += [lambda: house.publisher.publish_rollout("stable", b"{}")] * 2
    for thread in [publish(act) for act in acts]:
        thread.join()
    assert house.listed()["stable/float16/release.json"]["seq"] == 6
    assert house.versions()[:4] == (1, 8, 8, 7)


def test_what_no_longer_matters_is_removed_and_roots_stay(house: House) -> None:
    for seq in range(1, 8):
        house.publisher.publish(partial(lambda newest: [manifest(newest)], seq))
    names = {path.name for path in house.files.metadata.iterdir()}
    assert names == {"1.root.json", "timestamp.json", "1.rollout.json"} | {
        f"{version}.{role}.json" for version in range(5, 9) for role in ("targets", "snapshot")
    }
    assert len(list(house.files.targets.rglob("*.release.json"))) == 4


@pytest.mark.parametrize("role", ONLINE_ROLES)
def test_a_role_gets_a_new_key_and_what_the_old_one_signed_is_signed_again(house: House, role: Any) -> None:
    house.publisher.publish(lambda: [manifest(1)])
    house.publisher.publish_rollout("stable", b"{}")
    old = house.keys.signer(role).public_key.keyid
    roots = load_root_keys(sorted(house.keys.root_folder.glob("*.key"))[:2])
    version = house.ceremonies.replace([role], [] if role == "rollout" else roots)
    assert version == (1 if role == "rollout" else 2)
    assert house.publisher.renew()
    assert house.versions()[0] == version
    assert house.keys.signer(role).public_key.keyid != old
    assert set(house.listed()) == {"stable/float16/release.json", "stable/rollout.json"}


def test_one_root_key_makes_no_root_and_a_stranger_none_either(house: House, tmp_path: Path) -> None:
    [first, second, _] = load_root_keys(sorted(house.keys.root_folder.glob("*.key")))
    strangers = make_root_keys(tmp_path / "strangers", 2)
    for signers in ([first], [first, strangers[0]], strangers, []):
        with pytest.raises(SettingsError, match="root keys"):
            house.ceremonies.replace(["targets"], signers)
    with pytest.raises(SettingsError, match="twice"):
        load_root_keys([house.keys.root_folder / "root-1.key"] * 2)
    assert house.versions() == (1, 1, 1, 1, 1)
    assert house.ceremonies.replace(["targets"], [second, first]) == 2


def test_a_lost_root_key_is_replaced_by_the_other_two(house: House, tmp_path: Path) -> None:
    [first, second, lost] = load_root_keys(sorted(house.keys.root_folder.glob("*.key")))
    [new] = make_root_keys(tmp_path / "new", 1)
    with pytest.raises(SettingsError, match="may be lost"):
        house.ceremonies.replace_root([first, second], without=[lost.public_key.keyid], new=[])
    with pytest.raises(SettingsError, match="id of one"):
        house.ceremonies.replace_root([first, second], without=[new.public_key.keyid], new=[])
    assert house.ceremonies.replace_root([first, second], without=[lost.public_key.keyid[:12]], new=[new]) == 2
    with pytest.raises(SettingsError, match="root keys"):
        house.ceremonies.replace(["snapshot"], [first, lost])
    assert house.ceremonies.replace(["snapshot"], [first, new]) == 3
    house.now += timedelta(days=300)
    assert house.ceremonies.replace_root([second, new], without=[], new=[]) == 4
    assert house.files.root().signed.expires == house.now + timedelta(days=365)
    assert [path.name for path in sorted(house.files.metadata.glob("*.root.json"))] == [
        f"{version}.root.json" for version in (1, 2, 3, 4)
    ]
    house.publisher.renew()
    assert house.versions()[0] == 4


def test_a_ceremony_that_was_interrupted_is_finished_or_forgotten(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    roots = load_root_keys(sorted(house.keys.root_folder.glob("*.key")))

    def fail(path: Path, content: bytes) -> None:
        raise StorageError("the power went")

    monkeypatch.setattr(WRITE, fail)
    with pytest.raises(StorageError):
        house.ceremonies.replace(["snapshot"], roots)
    monkeypatch.setattr(WRITE, write_atomically)
    assert not house.publisher.renew()  # a key that no root names is nobody's
    monkeypatch.setattr(RoleKeys, "signer", lambda self, role, key_ids=None: fail(Path(), b""))
    with pytest.raises(StorageError):
        house.ceremonies.replace(["snapshot"], roots)
    monkeypatch.undo()
    assert house.publisher.renew()  # the root names the new key, which takes the old one's place
    assert house.versions()[0] == 2


def test_without_its_root_a_house_makes_no_second_one(house: House) -> None:
    shutil.rmtree(house.files.folder)
    shutil.rmtree(house.keys.root_folder)
    with pytest.raises(SettingsError, match="backup"):
        house.ceremonies.begin()
