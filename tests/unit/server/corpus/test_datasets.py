"""A dataset is named by its content and gone when it must be."""

import pytest
from tests.unit.server.corpus.conftest import Corpus

from projectone.errors import ConsentError, DataError, DigestMismatchError
from projectone.server.corpus.datasets import DatasetItem, read_dataset, seal_dataset
from projectone.server.corpus.tables import SampleRow


def item(row: SampleRow, **changes: object) -> DatasetItem:
    values = {
        "sample_id": str(row.sample_id),
        "clip_sha256": row.clip_sha256,
        "text": row.text,
        "speaker": row.contributor_id,
        "duration_s": row.duration_s,
        "is_new": True,
    }
    return DatasetItem(**(values | changes))  # type: ignore[arg-type]


def test_the_order_of_the_items_does_not_matter(corpus: Corpus) -> None:
    items = [item(corpus.send(seed=n), is_new=n > 0) for n in range(3)]
    sealed = seal_dataset(corpus.catalog, corpus.blobs, items)
    assert seal_dataset(corpus.catalog, corpus.blobs, items[::-1]) == sealed
    assert (sealed.n_items, sealed.n_new) == (3, 2)
    assert sealed.audio_s == pytest.approx(0.9)
    assert read_dataset(corpus.catalog, corpus.blobs, sealed.sha256) == sorted(items, key=lambda item: item.sample_id)


def test_one_changed_word_is_another_dataset(corpus: Corpus) -> None:
    row = corpus.send()
    first = seal_dataset(corpus.catalog, corpus.blobs, [item(row)])
    assert seal_dataset(corpus.catalog, corpus.blobs, [item(row, text="eight")]).sha256 != first.sha256


def test_a_sample_is_named_once(corpus: Corpus) -> None:
    row = corpus.send()
    with pytest.raises(DataError, match="each sample once"):
        seal_dataset(corpus.catalog, corpus.blobs, [item(row), item(row, text="eight")])


def test_a_withdrawn_sample_is_not_sealed(corpus: Corpus) -> None:
    row = corpus.send()
    corpus.catalog.withdraw(corpus.consent("ada"), "ada", corpus.tick())
    with pytest.raises(ConsentError):
        seal_dataset(corpus.catalog, corpus.blobs, [item(row)])
    assert len(list(corpus.blobs.keys())) == 1  # the clip alone, which the sweep takes


def test_the_list_of_a_dataset_says_nothing_that_anybody_said(corpus: Corpus) -> None:
    row = corpus.send(text="periwinkle")
    sealed = seal_dataset(corpus.catalog, corpus.blobs, [item(row)])
    content = corpus.blobs.get(sealed.sha256)
    assert row.clip_sha256.encode() in content
    assert b"periwinkle" not in content
    assert [item.text for item in read_dataset(corpus.catalog, corpus.blobs, sealed.sha256)] == ["periwinkle"]


def test_a_text_that_is_not_the_sealed_one_is_noticed(corpus: Corpus) -> None:
    sealed = seal_dataset(corpus.catalog, corpus.blobs, [item(corpus.send(), text="eight")])
    with pytest.raises(DataError) as caught:
        read_dataset(corpus.catalog, corpus.blobs, sealed.sha256)
    assert caught.value.reason == "dataset-changed"


def test_a_rotten_dataset_is_noticed(corpus: Corpus) -> None:
    sealed = seal_dataset(corpus.catalog, corpus.blobs, [item(corpus.send())])
    path = corpus.blobs.path_of(sealed.sha256)
    path.write_bytes(path.read_bytes().replace(b"train", b"drain"))
    with pytest.raises(DigestMismatchError):
        read_dataset(corpus.catalog, corpus.blobs, sealed.sha256)
