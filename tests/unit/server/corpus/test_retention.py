"""What nothing names any more is gone; what something names stays."""

from tests.unit.server.corpus.conftest import Corpus
from tests.unit.server.corpus.test_datasets import item

from projectone.server.corpus.datasets import read_dataset, seal_dataset
from projectone.server.corpus.retention import sweep, withdraw


def test_the_sweep_takes_leftovers_and_nothing_else(corpus: Corpus) -> None:
    row = corpus.send()
    sealed = seal_dataset(corpus.catalog, corpus.blobs, [item(row)])
    corpus.blobs.put([b"a clip whose row never came"])
    (corpus.blobs.folder / ".tmp-interrupted").write_bytes(b"half a clip")
    assert sweep(corpus.catalog, corpus.blobs) == 2
    assert set(corpus.blobs.keys()) == {row.clip_sha256, sealed.sha256}
    assert read_dataset(corpus.blobs, sealed.sha256)
    assert sweep(corpus.catalog, corpus.blobs) == 0


def test_a_crash_between_rows_and_bytes_is_mended_by_the_sweep(corpus: Corpus) -> None:
    row = corpus.send()
    seal_dataset(corpus.catalog, corpus.blobs, [item(row)])
    corpus.catalog.withdraw(corpus.consent("ada"), "ada", corpus.tick())  # and then the power goes
    assert len(list(corpus.blobs.keys())) == 2
    assert sweep(corpus.catalog, corpus.blobs) == 2
    assert list(corpus.blobs.keys()) == []


def test_an_upload_brings_back_the_clip_that_a_withdrawal_took_meanwhile(corpus: Corpus) -> None:
    row = corpus.send("ada", seed=3)
    intake = corpus.intake
    put = corpus.blobs.put

    def put_then_lose(content: object, **options: object) -> str:
        digest = put(content, **options)  # type: ignore[arg-type]
        corpus.blobs.put = put  # type: ignore[method-assign]
        withdraw(corpus.catalog, corpus.blobs, corpus.consent("ada"), contributor_id="ada", now=corpus.tick())
        assert not corpus.blobs.has(row.clip_sha256)
        return digest

    corpus.consent("bob")
    corpus.blobs.put = put_then_lose  # type: ignore[method-assign]
    del intake
    kept = corpus.send("bob", seed=3)
    assert kept.clip_sha256 == row.clip_sha256
    assert corpus.blobs.get(kept.clip_sha256)
