"""One suite for every place where a master key may lie: files, the system's keyring, a key service, several at once."""

from __future__ import annotations

import importlib.util
import socket
import sys
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from projectone.errors import KeyMissingError, KeyServiceError, SealError, SettingsError, StorageError
from projectone.server.keys import ConsentKeys, open_key_database
from projectone.server.keys.places import name_of_place, open_master_keys
from projectone.storage.keyfiles import KeyFiles, MasterKeyKinds, MasterKeys
from projectone.storage.keyrings import KeyringKeys
from projectone.storage.kms import KmsKeys
from projectone.storage.sealed import seal, unseal

HERE, THERE = b"here", b"there"
Opening = Callable[[bool], MasterKeys]
"""Opens the same master keys, as another process would; says whether that process may unwrap."""


@pytest.fixture
def _keyring(monkeypatch: pytest.MonkeyPatch) -> Iterator[dict[tuple[str, str], str]]:
    """A keyring in memory, in place of the system's."""
    keyring = pytest.importorskip("keyring", reason="the extra `keyring` is not installed")
    entries: dict[tuple[str, str], str] = {}

    class InMemory(keyring.backend.KeyringBackend):  # type: ignore[misc,name-defined]
        priority = 1.0

        def get_password(self, service: str, username: str) -> str | None:
            if ("locked", "") in entries:
                raise keyring.errors.KeyringLocked("locked")
            return entries.get((service, username))

        def set_password(self, service: str, username: str, password: str) -> None:
            entries[service, username] = password

        def delete_password(self, service: str, username: str) -> None:
            del entries[service, username]

    before = keyring.get_keyring()
    keyring.set_keyring(InMemory())
    yield entries
    keyring.set_keyring(before)


@pytest.fixture(scope="module")
def kms_url() -> Iterator[str]:
    """A key service on loopback."""
    if not all(map(importlib.util.find_spec, ("moto", "flask", "boto3"))):
        pytest.skip("a key service on loopback needs the extra `clouds`")
    from moto.server import ThreadedMotoServer

    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    yield f"http://{host}:{port}"
    server.stop()


@pytest.fixture
def _credentials(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "test")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "test")
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")


@pytest.fixture(params=["file", "keyring", "aws-kms", "several"])
def opening(request: pytest.FixtureRequest, tmp_path: Path) -> Opening:
    if request.param == "aws-kms":
        request.getfixturevalue("_credentials")
        url = request.getfixturevalue("kms_url")
        return lambda can_unwrap: KmsKeys("eu-central-1", endpoint=url, can_unwrap=can_unwrap)
    if request.param == "keyring":
        request.getfixturevalue("_keyring")
        return lambda can_unwrap: KeyringKeys(tmp_path, can_unwrap=can_unwrap)
    if request.param == "several":
        return lambda can_unwrap: open_master_keys("file", tmp_path, passphrase=None, can_unwrap=can_unwrap)
    return lambda can_unwrap: KeyFiles(tmp_path, can_unwrap=can_unwrap)


def is_ended(keys: MasterKeys, master_id: str, wrapped: bytes | None = None) -> bool:
    """Whether a key neither wraps nor unwraps."""
    if isinstance(keys, KmsKeys):  # the service on loopback notes the state of a key, and does not keep to it
        found = keys._client.describe_key(KeyId=master_id.removeprefix(KmsKeys.kind))
        return bool(found["KeyMetadata"]["KeyState"] == "PendingDeletion")
    with pytest.raises(KeyMissingError):
        keys.wrap(master_id, b"secret", context=HERE)
    if wrapped is not None:
        with pytest.raises(KeyMissingError):
            keys.unwrap(master_id, wrapped, context=HERE)
    return True


def test_what_one_process_wraps_another_unwraps(opening: Opening) -> None:
    wrapping = opening(False)
    master_id = wrapping.create()
    wrapped = wrapping.wrap(master_id, b"secret", context=HERE)
    assert b"secret" not in wrapped
    assert opening(True).unwrap(master_id, wrapped, context=HERE) == b"secret"
    with pytest.raises(SettingsError, match="opens none"):
        wrapping.unwrap(master_id, wrapped, context=HERE)


def test_nothing_opens_in_another_place_or_with_another_key(opening: Opening) -> None:
    keys = opening(True)
    one, other = keys.create(), keys.create()
    assert one != other
    wrapped = keys.wrap(one, b"secret", context=HERE)
    bent = wrapped[:-1] + bytes([wrapped[-1] ^ 1])
    for master_id, content, context in ((one, wrapped, THERE), (other, wrapped, HERE), (one, bent, HERE)):
        # The service on loopback calls another key one that this caller may not use; KMS says IncorrectKey.
        expected = (SealError, SettingsError) if isinstance(keys, KmsKeys) and master_id == other else SealError
        with pytest.raises(expected):
            keys.unwrap(master_id, content, context=context)


def test_a_destroyed_key_opens_nothing_and_may_be_destroyed_again(opening: Opening) -> None:
    keys = opening(True)
    master_id, other = keys.create(), keys.create()
    wrapped, kept = (keys.wrap(item, b"secret", context=HERE) for item in (master_id, other))
    keys.destroy(master_id)
    keys.destroy(master_id)
    for process in (keys, opening(True)):
        assert is_ended(process, master_id, wrapped)
    assert keys.unwrap(other, kept, context=HERE) == b"secret"


def test_a_rotation_keeps_what_is_sealed(opening: Opening, tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/consents.sqlite"
    consents = [uuid.uuid4() for _ in range(3)]
    taking_in = ConsentKeys(open_key_database(url), opening(False))
    before = taking_in.ensure_master()
    assert len(before) <= 64
    sealed = {item: seal(b"words", taking_in.for_sealing(item).public_key, context=HERE) for item in consents}
    rotating = ConsentKeys(open_key_database(url), opening(True))
    rotating.prove()
    assert rotating.rotate_if_older(0)
    reading = ConsentKeys(open_key_database(url), opening(True))
    assert reading.ensure_master() != before
    assert {unseal(sealed[item], reading.for_opening(item), context=HERE) for item in consents} == {b"words"}
    assert is_ended(opening(True), before)


# What only some of them have.


def test_a_rotation_moves_from_one_place_to_another(
    _keyring: dict[tuple[str, str], str],
    tmp_path: Path,
) -> None:
    url, consent = f"sqlite:///{tmp_path}/consents.sqlite", uuid.uuid4()

    def keys(places: str) -> ConsentKeys:
        master = open_master_keys(places, tmp_path, passphrase=None, can_unwrap=True)
        return ConsentKeys(open_key_database(url), master)

    in_file = keys("file")
    assert name_of_place(in_file.ensure_master()) == "file"
    sealed = seal(b"words", in_file.for_sealing(consent).public_key, context=HERE)
    moving = keys("keyring,file")
    assert moving.rotate_if_older(0)
    assert name_of_place(moving.ensure_master()) == "keyring"
    assert (len(_keyring), list(tmp_path.glob("*.key"))) == (1, [])
    assert unseal(sealed, keys("keyring").for_opening(consent), context=HERE) == b"words"
    keys("file").rotate_if_older(0)
    assert (len(_keyring), len(list(tmp_path.glob("*.key")))) == (0, 1)


def test_a_keyring_that_is_locked_is_an_error_of_the_store(
    _keyring: dict[tuple[str, str], str],
    tmp_path: Path,
) -> None:
    keys = KeyringKeys(tmp_path)
    master_id = keys.create()
    wrapped = keys.wrap(master_id, b"secret", context=HERE)
    _keyring["locked", ""] = ""
    with pytest.raises(StorageError, match="unlock it"):
        KeyringKeys(tmp_path).unwrap(master_id, wrapped, context=HERE)
    assert KeyringKeys(tmp_path).wrap(master_id, b"more", context=HERE)  # who wraps asks no keyring
    del _keyring["locked", ""]
    assert KeyringKeys(tmp_path).unwrap(master_id, wrapped, context=HERE) == b"secret"


@pytest.mark.parametrize(("module", "opens"), [("keyring", KeyringKeys), ("boto3", lambda folder: KmsKeys("eu-1"))])
def test_without_its_extra_a_place_says_what_to_install(
    module: str, opens: Callable[[Path], object], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, module, None)
    with pytest.raises(SettingsError, match=r"pip install 'projectone\["):
        opens(tmp_path)


def test_a_key_in_a_place_that_is_not_set_up_is_missed_by_name() -> None:
    with pytest.raises(KeyMissingError, match="'kms', which is not among PROJECTONE_SERVER_MASTER_KEYS"):
        MasterKeyKinds({}).wrap("kms-1234", b"secret", context=HERE)


@pytest.mark.usefixtures("_credentials")
@pytest.mark.parametrize(
    ("code", "expected"),
    [
        ("KMSInvalidStateException", KeyMissingError),
        ("NotFoundException", KeyMissingError),
        ("IncorrectKeyException", SealError),
        ("AccessDeniedException", SettingsError),
        ("ThrottlingException", KeyServiceError),
    ],
)
def test_what_a_key_service_refuses_is_told_by_what_to_do(code: str, expected: type[Exception]) -> None:
    stub = pytest.importorskip("botocore.stub", reason="the extra `kms` is not installed")
    keys = KmsKeys("eu-central-1", endpoint="http://127.0.0.1:9")
    with stub.Stubber(keys._client) as service:
        service.add_client_error("decrypt", code)
        with pytest.raises(expected, match="master key kms-1234"):
            keys.unwrap("kms-1234", b"wrapped", context=HERE)


@pytest.mark.usefixtures("_credentials")
def test_a_key_service_that_is_down_loses_nothing(kms_url: str, tmp_path: Path) -> None:
    url, first, second = f"sqlite:///{tmp_path}/consents.sqlite", uuid.uuid4(), uuid.uuid4()
    up = ConsentKeys(open_key_database(url), KmsKeys("eu-central-1", endpoint=kms_url))
    up.ensure_master()
    sealed = seal(b"words", up.for_sealing(first).public_key, context=HERE)
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        nowhere = f"http://127.0.0.1:{unused.getsockname()[1]}"
        down = ConsentKeys(open_key_database(url), KmsKeys("eu-central-1", endpoint=nowhere))
        assert down.for_sealing(first) == up.for_sealing(first)  # known consents go on
        for ask in (lambda: down.for_sealing(second), lambda: down.for_opening(first), down.rotate):
            with pytest.raises(KeyServiceError, match="nothing was lost"):
                ask()
    assert unseal(sealed, up.for_opening(first), context=HERE) == b"words"
    assert up.alive() == {first}
    assert up.for_sealing(second)
