"""What nothing names any more is gone; what something names stays."""

import pytest
from tests.unit.server.corpus.conftest import START, Corpus
from tests.unit.server.corpus.test_datasets import item

from projectone.errors import DataError, StorageError
from projectone.server.corpus.clips import read_clip
from projectone.server.corpus.datasets import read_dataset, seal_dataset
from projectone.server.corpus.retention import keep_withdrawals, sweep, withdraw


def test_the_sweep_takes_leftovers_and_nothing_else(corpus: Corpus) -> None:
    row = corpus.send()
    sealed = seal_dataset(corpus.catalog, corpus.blobs, [item(row)])
    corpus.blobs.put([b"a clip whose row never came"])
    (corpus.blobs.folder / ".tmp-interrupted").write_bytes(b"half a clip")
    assert sweep(corpus.catalog, corpus.blobs) == 2
    assert set(corpus.blobs.keys()) == {row.clip_sha256, sealed.sha256}
    assert read_dataset(corpus.catalog, corpus.blobs, sealed.sha256)
    assert sweep(corpus.catalog, corpus.blobs) == 0


def test_a_crash_between_rows_and_bytes_is_mended_by_the_sweep(corpus: Corpus) -> None:
    row = corpus.send()
    seal_dataset(corpus.catalog, corpus.blobs, [item(row)])
    corpus.catalog.withdraw(corpus.consent("ada"), "ada", corpus.tick())  # and then the power goes
    assert len(list(corpus.blobs.keys())) == 2
    assert sweep(corpus.catalog, corpus.blobs) == 2
    assert list(corpus.blobs.keys()) == []


def test_an_upload_brings_back_the_clip_that_a_sweep_took_meanwhile(corpus: Corpus) -> None:
    put = corpus.blobs.put

    def put_then_lose(content: object, **options: object) -> str:
        digest = put(content, **options)  # type: ignore[arg-type]
        corpus.blobs.put = put  # type: ignore[method-assign]
        assert sweep(corpus.catalog, corpus.blobs) == 1
        return digest

    corpus.blobs.put = put_then_lose  # type: ignore[method-assign]
    kept = corpus.send("bob", seed=3)
    assert corpus.blobs.get(kept.clip_sha256)


def test_a_withdrawal_takes_the_key_first_and_the_rest_may_fail(corpus: Corpus) -> None:
    row = corpus.send("ada")

    def fail(receipt_id: object, contributor_id: str, now: object) -> None:
        raise StorageError("the disk is full")

    with pytest.MonkeyPatch.context() as broken:
        broken.setattr(corpus.catalog, "withdraw", fail)
        with pytest.raises(StorageError):
            withdraw(corpus.catalog, corpus.blobs, corpus.consent("ada"), contributor_id="ada", now=corpus.tick())
    assert corpus.catalog.usable() == []
    with pytest.raises(DataError, match="withdrawn"):
        read_clip(corpus.catalog, corpus.blobs, row.clip_sha256)
    # The next start does the rest.
    assert keep_withdrawals(corpus.catalog, corpus.tick()) == 1
    assert corpus.catalog.counts()["erased"] == 1
    assert sweep(corpus.catalog, corpus.blobs) == 1
    assert keep_withdrawals(corpus.catalog, corpus.tick()) == 0


def test_a_stranger_ends_nobodys_key(corpus: Corpus) -> None:
    row = corpus.send("ada")
    assert withdraw(corpus.catalog, corpus.blobs, corpus.consent("ada"), contributor_id="bob", now=START) is None
    assert read_clip(corpus.catalog, corpus.blobs, row.clip_sha256)
