"""A consent's key goes with its last sample, and what comes next is sealed with another."""

from __future__ import annotations

import shutil
from collections.abc import Iterable
from datetime import timedelta
from pathlib import Path

import pytest
from sqlalchemy import select
from tests.unit.server.corpus.conftest import Corpus

from projectone.errors import KeyDestroyedError, KeyRenewedError
from projectone.server.audit import AUDIT_LOG
from projectone.server.corpus.catalog import Catalog
from projectone.server.corpus.expiry import Expiry
from projectone.server.corpus.retention import delete_sample
from projectone.server.corpus.vault import Vault
from projectone.server.database import open_engine, reading
from projectone.storage.blobs import FileBlobs

LATER = timedelta(days=400)


def expire(corpus: Corpus) -> int:
    return Expiry(corpus.catalog._engine, {"corrections": timedelta(days=30)}).expire(corpus.now + LATER)


def texts_in(backup: Path, vault: Vault) -> list[str]:
    """What a copy of the rows says beside the keys of today."""
    engine = open_engine(f"sqlite:///{backup}")
    try:
        return [row.text for row in Catalog(engine, vault).usable()]
    finally:
        engine.dispose()


@pytest.mark.parametrize("is_ended", [True, False])
def test_a_backup_opens_nothing_of_those_whose_samples_all_expired(
    corpus: Corpus, tmp_path: Path, is_ended: bool
) -> None:
    corpus.send("ada", "of ada", 1)
    corpus.send("ada", "more of ada", 2)
    corpus.send("bob", "of bob", 3)
    corpus.catalog.forget_freed()
    backup = Path(shutil.copy(tmp_path / "rows.sqlite", tmp_path / "backup.sqlite"))
    vault = corpus.catalog.vault
    assert len(texts_in(backup, vault)) == 3
    assert expire(corpus) == 3
    corpus.now += LATER
    corpus.send("bob", "of bob again", 4)  # bob's key seals something that is kept
    if not is_ended:  # the control: rows are empty here, and speak there
        assert len(texts_in(backup, vault)) == 3
        return
    assert corpus.catalog.destroy_spent_keys(corpus.now) == 1
    assert corpus.catalog.destroy_spent_keys(corpus.now) == 0
    assert texts_in(backup, vault) == ["of bob"]
    with reading(corpus.catalog._engine) as connection:
        acts = connection.execute(select(AUDIT_LOG.c.subject).where(AUDIT_LOG.c.act == "key-destroyed")).scalars().all()
    assert acts == [str(corpus.consent("ada"))]


def test_the_consent_goes_on_with_another_key(corpus: Corpus) -> None:
    first = corpus.send("ada", "of ada", 1)
    vault, consent = corpus.catalog.vault, corpus.consent("ada")
    before = vault.sealing_key(consent)
    delete_sample(corpus.catalog, corpus.blobs, first.sample_id, contributor_id="ada")
    with pytest.raises(KeyDestroyedError):
        vault._keys.for_opening(consent)
    assert vault.shredded() == set()  # it was not withdrawn
    assert corpus.send("ada", "something new", 2).text == "something new"
    assert vault.sealing_key(consent) != before
    counts = vault._keys.counts()
    assert (counts.n_alive, counts.n_destroyed, counts.n_spent) == (1, 0, 0)


def test_a_key_that_may_be_about_to_seal_a_first_sample_stays(corpus: Corpus) -> None:
    corpus.catalog.vault.sealing_key(corpus.consent("ada"))
    assert corpus.catalog.destroy_spent_keys(corpus.now) == 0


@pytest.mark.parametrize("is_asked", [True, False])
def test_an_upload_that_the_end_of_its_key_overtakes_is_sealed_again(
    corpus: Corpus, monkeypatch: pytest.MonkeyPatch, is_asked: bool
) -> None:
    corpus.send("ada", "of ada", 1)
    put = FileBlobs.put

    def end_first(self: FileBlobs, content: Iterable[bytes], *, expected_sha256: str | None = None) -> str:
        monkeypatch.setattr(FileBlobs, "put", put)
        expire(corpus)
        assert corpus.catalog.destroy_spent_keys(corpus.now) == 1
        corpus.catalog.remove_doomed(corpus.blobs.delete)
        return put(self, content, expected_sha256=expected_sha256)

    if not is_asked:  # the control: kept and acknowledged, and nobody can open it
        monkeypatch.setattr(Vault, "require_key", lambda self, receipt_id, public_key: None)
    monkeypatch.setattr(FileBlobs, "put", end_first)
    row = corpus.send("ada", "something new", 2)
    place = corpus.catalog.places([row.sample_id])[str(row.sample_id)]
    sealed = corpus.blobs.get(row.clip_sha256)
    if is_asked:
        assert corpus.catalog.vault.open_clip(place, sealed).startswith(b"RIFF")
        assert len(list(corpus.blobs.keys())) == 1
    else:
        with pytest.raises(Exception, match="seal"):
            corpus.catalog.vault.open_clip(place, sealed)


def test_another_process_learns_of_the_end_when_it_commits(corpus: Corpus) -> None:
    vault, consent = corpus.catalog.vault, corpus.consent("ada")
    key = vault.sealing_key(consent)
    vault.require_key(consent, key)
    vault.end(consent)
    with pytest.raises(KeyRenewedError):
        vault.require_key(consent, key)
    vault.shred([consent])
    with pytest.raises(KeyDestroyedError):
        vault.require_key(consent, key)
