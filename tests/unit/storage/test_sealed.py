"""Sealed bytes open with their key, in their place, unchanged; otherwise not at all."""

import random
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from projectone.errors import KeyMissingError, SealError, SettingsError
from projectone.storage.keyfiles import KeyFiles
from projectone.storage.sealed import is_sealed, lock, new_key_pair, seal, unlock, unseal

PRIVATE, PUBLIC = new_key_pair()
HERE, THERE = b"clip of sample 1", b"clip of sample 2"


@given(st.binary(max_size=2000))
def test_what_was_sealed_comes_back(content: bytes) -> None:
    sealed = seal(content, PUBLIC, context=HERE)
    assert is_sealed(sealed)
    assert unseal(sealed, PRIVATE, context=HERE) == content


def test_the_same_content_is_never_sealed_to_the_same_bytes() -> None:
    assert seal(b"seven", PUBLIC, context=HERE) != seal(b"seven", PUBLIC, context=HERE)


def test_another_place_or_another_key_opens_nothing() -> None:
    sealed = seal(b"seven", PUBLIC, context=HERE)
    stranger, _ = new_key_pair()
    for key, context in ((PRIVATE, THERE), (stranger, HERE), (PRIVATE, b"")):
        with pytest.raises(SealError):
            unseal(sealed, key, context=context)


def test_no_changed_bit_and_no_cut_passes() -> None:
    sealed = seal(b"what a person said", PUBLIC, context=HERE)
    for position in range(len(sealed)):
        changed = bytearray(sealed)
        changed[position] ^= 1 << (position % 8)
        with pytest.raises(SealError):
            unseal(bytes(changed), PRIVATE, context=HERE)
        with pytest.raises(SealError):
            unseal(sealed[:position], PRIVATE, context=HERE)


def test_a_locked_secret_wants_its_passphrase() -> None:
    locked = lock(b"secret", "correct horse")
    assert b"secret" not in locked
    assert unlock(locked, "correct horse") == b"secret"
    with pytest.raises(SealError):
        unlock(locked, "battery staple")
    with pytest.raises(SealError):
        unlock(locked[:-1], "correct horse")


def test_key_files_wrap_and_unwrap_in_their_context_only(tmp_path: Path) -> None:
    keys = KeyFiles(tmp_path)
    first, second = keys.create(), keys.create()
    wrapped = keys.wrap(first, b"secret", context=HERE)
    assert KeyFiles(tmp_path).unwrap(first, wrapped, context=HERE) == b"secret"
    for master_id, context in ((first, THERE), (second, HERE)):
        with pytest.raises(SealError):
            keys.unwrap(master_id, wrapped, context=context)
    assert {path.stat().st_mode & 0o777 for path in tmp_path.iterdir()} == {0o600}


def test_a_destroyed_master_key_opens_nothing_any_more(tmp_path: Path) -> None:
    keys = KeyFiles(tmp_path)
    master_id = keys.create()
    wrapped = keys.wrap(master_id, b"secret", context=HERE)
    keys.unwrap(master_id, wrapped, context=HERE)
    keys.destroy(master_id)
    keys.destroy(master_id)
    assert list(tmp_path.iterdir()) == []
    for ask in (lambda: keys.unwrap(master_id, wrapped, context=HERE), lambda: keys.wrap(master_id, b"", context=HERE)):
        with pytest.raises(KeyMissingError):
            ask()


def test_a_process_that_only_wraps_never_reads_a_private_file(tmp_path: Path) -> None:
    master_id = KeyFiles(tmp_path, passphrase="correct horse").create()
    wrapping = KeyFiles(tmp_path, can_unwrap=False)
    KeyFiles(tmp_path).private_path(master_id).chmod(0)  # it could not if it wanted
    wrapped = wrapping.wrap(master_id, b"secret", context=HERE)
    with pytest.raises(SettingsError, match="opens none"):
        wrapping.unwrap(master_id, wrapped, context=HERE)


def test_a_locked_master_key_names_what_it_needs(tmp_path: Path) -> None:
    keys = KeyFiles(tmp_path, passphrase="correct horse")
    master_id = keys.create()
    wrapped = keys.wrap(master_id, b"secret", context=HERE)
    assert keys.is_locked(master_id)
    assert keys.unwrap(master_id, wrapped, context=HERE) == b"secret"
    for passphrase in (None, "battery staple"):
        with pytest.raises(SettingsError, match="PROJECTONE_SERVER_KEY_PASSPHRASE"):
            KeyFiles(tmp_path, passphrase=passphrase).unwrap(master_id, wrapped, context=HERE)


def test_random_bytes_are_no_sealed_bytes() -> None:
    source = random.Random(0)
    for length in range(200):
        with pytest.raises(SealError):
            unseal(source.randbytes(length), PRIVATE, context=HERE)
