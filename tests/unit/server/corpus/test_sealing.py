"""A home from before there were seals: everything in it is sealed, whatever moment it is killed at."""

import json
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import select, update
from tests.fakes.caller import a_clip
from tests.unit.server.corpus.conftest import Corpus
from tests.unit.server.corpus.test_datasets import item

from projectone.contracts.base import sha256_hex
from projectone.server.corpus.clips import read_clip
from projectone.server.corpus.datasets import seal_dataset
from projectone.server.corpus.retention import sweep, withdraw
from projectone.server.corpus.sealing import seal_what_lies_open
from projectone.server.corpus.tables import SAMPLES, SEALED
from projectone.server.database import reading, writing
from projectone.storage.blobs import FileBlobs

SENT = [("ada", "periwinkle one", 1), ("ada", "periwinkle two", 2), ("bob", "periwinkle three", 1)]


def lay_open(corpus: Corpus) -> list[bytes]:
    """Samples as they were kept before: the two of the same sound share a clip, and a list holds the texts."""
    clips = []
    for person, text, seed in SENT:
        row = corpus.send(person, text, seed)
        clip = read_clip(corpus.catalog, corpus.blobs, row.clip_sha256)
        corpus.blobs.delete(row.clip_sha256)
        clips.append(clip)
        values = {
            "clip_sha256": corpus.blobs.put([clip]),
            "words": None,
            "text_mac": None,
            "text": text,
            "accent": "Cornish",
            "device_id": f"device of {person}",
            "upload_sha256": sha256_hex(a_clip(seed)),
            "correction_sha256": "1" * 64,
        }
        with writing(corpus.catalog._engine) as connection:
            connection.execute(update(SAMPLES).where(SAMPLES.c.sample_id == row.sample_id).values(**values))
    content = json.dumps({"schema_version": 1, "items": [{"text": text} for _, text, _ in SENT]}).encode()
    corpus.catalog.note_sealed(sha256_hex(content), [row.sample_id for row in corpus.catalog.waiting()])
    corpus.blobs.put([content])
    return clips


def everything(corpus: Corpus) -> bytes:
    """Every byte of rows, log and clips; not the keys."""
    home = corpus.blobs.folder.parent
    paths = [path for path in home.rglob("*") if path.is_file() and path.parent.name != "keys"]
    return b"".join(path.read_bytes() for path in sorted(paths))


def assert_sealed(corpus: Corpus, clips: list[bytes]) -> None:
    rows = corpus.catalog.waiting()
    assert [(row.contributor_id, row.text, row.accent) for row in rows] == [(p, t, "Cornish") for p, t, _ in SENT]
    assert [read_clip(corpus.catalog, corpus.blobs, row.clip_sha256) for row in rows] == clips
    assert len(set(corpus.blobs.keys())) == len(SENT)
    found = everything(corpus)
    needles = [b"periwinkle", b"Cornish", b"device of", *(clip[1000:1400] for clip in clips)]
    assert [needle for needle in needles if needle in found] == []


def test_what_lay_open_is_sealed_and_reads_as_before(corpus: Corpus) -> None:
    clips = lay_open(corpus)
    assert b"periwinkle" in everything(corpus)
    assert clips[0][1000:1400] in everything(corpus)
    assert seal_what_lies_open(corpus.catalog, corpus.blobs) == len(SENT)
    assert_sealed(corpus, clips)
    assert seal_what_lies_open(corpus.catalog, corpus.blobs) == 0


@pytest.mark.parametrize("step", range(10))
def test_a_kill_at_any_write_costs_nothing(corpus: Corpus, monkeypatch: pytest.MonkeyPatch, step: int) -> None:
    clips = lay_open(corpus)
    with monkeypatch.context() as patch:
        left = kill_after(patch, corpus, step)
        try:
            seal_what_lies_open(corpus.catalog, corpus.blobs)
        except KeyboardInterrupt:
            assert left() == 0
        else:
            assert step == 9, "every write before is one to die at"
    rows = corpus.catalog.waiting()
    assert [read_clip(corpus.catalog, corpus.blobs, row.clip_sha256) for row in rows] == clips
    seal_what_lies_open(corpus.catalog, corpus.blobs)
    sweep(corpus.catalog, corpus.blobs)
    corpus.catalog.forget_freed()
    assert_sealed(corpus, clips)


def kill_after(patch: pytest.MonkeyPatch, corpus: Corpus, n_steps: int) -> Any:
    """Let so many puts, deletes and row changes happen, and die before the next."""
    left = [n_steps]

    def counted(real: Any) -> Any:
        def call(*args: Any, **options: Any) -> Any:
            if left[0] == 0:
                raise KeyboardInterrupt
            left[0] -= 1
            return real(*args, **options)

        return call

    patch.setattr(FileBlobs, "put", counted(FileBlobs.put))
    patch.setattr(FileBlobs, "delete", counted(FileBlobs.delete))
    patch.setattr(type(corpus.catalog), "seal_sample", counted(type(corpus.catalog).seal_sample))
    return lambda: left[0]


def test_an_open_sample_is_known_again_when_its_device_repeats_it(corpus: Corpus) -> None:
    lay_open(corpus)
    seal_what_lies_open(corpus.catalog, corpus.blobs)
    with reading(corpus.catalog._engine) as connection:
        rows = connection.execute(select(SAMPLES)).all()
    vault = corpus.catalog.vault
    for row, (_, _, seed) in zip(sorted(rows, key=lambda row: row.received_at), SENT, strict=True):
        assert row.upload_sha256 == vault.mac(row.consent_receipt_id, sha256_hex(a_clip(seed)))


def test_a_withdrawal_before_the_sealing_erases_as_ever(corpus: Corpus) -> None:
    clips = lay_open(corpus)
    withdraw(corpus.catalog, corpus.blobs, corpus.consent("ada"), contributor_id="ada", now=corpus.tick())
    assert seal_what_lies_open(corpus.catalog, corpus.blobs) == 1
    (row,) = corpus.catalog.waiting()
    assert read_clip(corpus.catalog, corpus.blobs, row.clip_sha256) == clips[2]
    assert b"periwinkle" not in everything(corpus)


def test_a_lost_clip_stays_lost_and_is_said_to_be(corpus: Corpus) -> None:
    lay_open(corpus)
    row = corpus.catalog.waiting()[1]
    corpus.blobs.delete(row.clip_sha256)
    assert seal_what_lies_open(corpus.catalog, corpus.blobs) == len(SENT)
    after = corpus.catalog.waiting()[1]
    assert (after.text, after.clip_sha256) == (row.text, row.clip_sha256)


def test_a_list_without_words_is_left_alone(corpus: Corpus, tmp_path: Path) -> None:
    row = corpus.send()
    sealed = seal_dataset(corpus.catalog, corpus.blobs, [item(row)])
    lay_open(corpus)
    seal_what_lies_open(corpus.catalog, corpus.blobs)
    assert corpus.blobs.has(sealed.sha256)
    with reading(corpus.catalog._engine) as connection:
        assert len(set(connection.execute(select(SEALED.c.dataset_sha256)).scalars())) == 2
