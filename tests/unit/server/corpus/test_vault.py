"""Words and sound open in their own place, with their own key, and say nothing anywhere else."""

import uuid
from dataclasses import replace
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from sqlalchemy import select, update
from tests.fakes.vaults import a_vault, keys_in
from tests.unit.server.corpus.conftest import Corpus
from tests.unit.server.corpus.test_datasets import item

from projectone.contracts.signatures import sign_snapshot
from projectone.contracts.snapshots import SignedSnapshot, SnapshotManifest
from projectone.errors import DataError, KeyDestroyedError, KeyMissingError, SealError, SettingsError
from projectone.server.corpus.clips import read_clip
from projectone.server.corpus.snapshots import SALTS, Snapshots
from projectone.server.corpus.tables import SAMPLES
from projectone.server.corpus.vault import Place, Vault, Words
from projectone.server.database import reading, writing
from projectone.storage.sealed import is_sealed

PLACE = Place(uuid.uuid4(), "ada", uuid.uuid4())
WORDS = Words(device_id="device-1", text="seven", heard="eleven", accent="Welsh")


@pytest.fixture
def vault(tmp_path: Path) -> Vault:
    return a_vault(tmp_path / "keys")


def test_words_and_clips_come_back(vault: Vault) -> None:
    assert vault.open_words(PLACE, vault.seal_words(PLACE, WORDS)) == WORDS
    assert vault.open_clip(PLACE, vault.seal_clip(PLACE, b"RIFF")) == b"RIFF"


def test_a_salt_lies_sealed_beside_its_sample_and_goes_with_the_key(corpus: Corpus) -> None:
    """With an open salt, whoever has a copy of the rows could try texts against a leaf until one fits."""
    snapshots = Snapshots(corpus.catalog._engine, corpus.catalog, corpus.blobs, sign=sign, clock=corpus.tick)
    row = corpus.send()
    snapshots.seal([item(row)], split="none")
    texts = {row.sample_id: (row.clip_sha256, row.text)}
    salt = bytes.fromhex(snapshots.openings(texts)[row.sample_id].salt)
    with reading(corpus.catalog._engine) as connection:
        kept = connection.execute(select(SALTS.c.salt)).scalar_one()
    assert (len(salt), is_sealed(kept), salt in kept) == (32, True, False)
    corpus.catalog.vault.shred([corpus.consent("ada")])  # and of the copy of the rows nothing is emptied
    assert snapshots.openings(texts) == {}


def sign(manifest: SnapshotManifest) -> SignedSnapshot:
    return sign_snapshot(Ed25519PrivateKey.from_private_bytes(bytes(range(32))), manifest)


def test_nothing_opens_in_another_place(vault: Vault) -> None:
    words, clip = vault.seal_words(PLACE, WORDS), vault.seal_clip(PLACE, b"RIFF")
    others = [replace(PLACE, sample_id=uuid.uuid4()), replace(PLACE, contributor_id="bob")]
    for place in others:
        with pytest.raises(SealError):
            vault.open_words(place, words)
        with pytest.raises(SealError):
            vault.open_clip(place, clip)
    for open_as, sealed in ((vault.open_words, clip), (vault.open_clip, words)):  # a clip is no text
        with pytest.raises(SealError):
            open_as(PLACE, sealed)
    with pytest.raises(KeyMissingError):
        vault.open_words(replace(PLACE, receipt_id=uuid.uuid4()), words)


def test_whoever_takes_samples_in_cannot_read_them(tmp_path: Path) -> None:
    folder = tmp_path / "keys"
    taking_in = Vault(keys_in(folder, can_open=False))
    sealed = taking_in.seal_words(PLACE, WORDS)
    with pytest.raises(SettingsError):
        taking_in.open_words(PLACE, sealed)
    assert a_vault(folder).open_words(PLACE, sealed) == WORDS


def test_a_mac_is_the_same_for_the_same_under_one_consent_alone(vault: Vault) -> None:
    other = uuid.uuid4()
    assert vault.mac(PLACE.receipt_id, "seven") == vault.mac(PLACE.receipt_id, "seven")
    assert vault.mac(PLACE.receipt_id, "seven") != vault.mac(PLACE.receipt_id, "eight")
    assert vault.mac(PLACE.receipt_id, "seven") != vault.mac(other, "seven")


def test_after_shredding_nothing_is_sealed_opened_or_recognised(vault: Vault) -> None:
    sealed = vault.seal_words(PLACE, WORDS)
    assert vault.shred([PLACE.receipt_id]) == 1
    asked = (
        lambda: vault.open_words(PLACE, sealed),
        lambda: vault.seal_words(PLACE, WORDS),
        lambda: vault.mac(PLACE.receipt_id, "seven"),
    )
    for ask in asked:
        with pytest.raises(KeyDestroyedError):
            ask()


def test_a_row_names_no_device_no_word_and_no_digest_of_what_was_sent(corpus: Corpus) -> None:
    corpus.send(text="periwinkle")
    with reading(corpus.catalog._engine) as connection:
        row = connection.execute(select(SAMPLES)).one()
    assert (row.device_id, row.text, row.heard, row.accent) == ("", None, None, None)
    assert len(row.upload_sha256) == 64
    (sample,) = corpus.catalog.waiting()
    assert (sample.device_id, sample.text) == ("device of ada", "periwinkle")


def test_clips_that_change_places_are_refused_both(corpus: Corpus) -> None:
    """Whoever may write rows and files gives each of two samples the other's clip: by file, then by row."""
    one, two = corpus.send("ada", seed=1), corpus.send("ada", seed=2)
    first, second = corpus.blobs.path_of(one.clip_sha256), corpus.blobs.path_of(two.clip_sha256)
    content = first.read_bytes()
    first.write_bytes(second.read_bytes())
    second.write_bytes(content)
    assert [damage(corpus, sha256) for sha256 in (one.clip_sha256, two.clip_sha256)] == ["clip-damaged"] * 2
    second.write_bytes(first.read_bytes())
    first.write_bytes(content)
    assert read_clip(corpus.catalog, corpus.blobs, one.clip_sha256)
    steps = [(one, "0" * 64), (two, one.clip_sha256), (one, two.clip_sha256)]
    with writing(corpus.catalog._engine) as connection:
        for row, sha256 in steps:
            here = SAMPLES.c.sample_id == row.sample_id
            connection.execute(update(SAMPLES).where(here).values(clip_sha256=sha256))
    assert [damage(corpus, sha256) for sha256 in (one.clip_sha256, two.clip_sha256)] == ["clip-damaged"] * 2


def damage(corpus: Corpus, clip_sha256: str) -> str:
    with pytest.raises(DataError) as caught:
        read_clip(corpus.catalog, corpus.blobs, clip_sha256)
    return caught.value.reason


def test_words_that_change_rows_are_refused(corpus: Corpus) -> None:
    one, two = corpus.send("ada", "one"), corpus.send("ada", "two")
    with writing(corpus.catalog._engine) as connection:
        words = connection.execute(select(SAMPLES.c.words).where(SAMPLES.c.sample_id == one.sample_id)).scalar_one()
        connection.execute(update(SAMPLES).where(SAMPLES.c.sample_id == two.sample_id).values(words=words))
    third = corpus.send("bob", "three")
    assert [row.sample_id for row in corpus.catalog.waiting()] == [one.sample_id, third.sample_id], "the others go on"
    assert corpus.catalog.unopenable() == [two.sample_id]
