"""A snapshot of corrected intents is signed, proved, told of, exported and re-issued by the code for recordings."""

from __future__ import annotations

import json
import uuid
from pathlib import Path

import pytest
from tests.unit.server.corpus.conftest import START, Corpus
from tests.unit.server.corpus.test_snapshots import TRUSTED, items_of, open_snapshots, problems

from projectone.contracts.assist import IntentCorrection
from projectone.contracts.consent import ConsentReceipt
from projectone.contracts.signatures import verify_snapshot
from projectone.contracts.snapshots import is_member
from projectone.server.corpus.clips import read_clip
from projectone.server.corpus.datasets import read_dataset
from projectone.server.corpus.datasheet import datasheet_of
from projectone.server.corpus.export import TEXTS, write_export
from projectone.server.corpus.intake import Intake
from projectone.server.corpus.pictures import statistics_svg
from projectone.server.corpus.retention import withdraw
from projectone.server.corpus.snapshot_proofs import openings_of, prove
from projectone.server.corpus.statistics import describe
from projectone.server.corpus.tables import SampleRow
from projectone.server.sandbox.decode import decode_wav

PEOPLE = [(f"person{n % 6}", f"sentence number {n}", ["weather", "timer", None][n % 3]) for n in range(18)]


def consent_of(person: str) -> uuid.UUID:
    return uuid.uuid5(uuid.NAMESPACE_OID, person)


def send(corpus: Corpus, person: str, sentence: str, label: str | None) -> SampleRow:
    if not corpus.catalog.gave_consent(consent_of(person), person):
        receipt = ConsentReceipt(
            receipt_id=consent_of(person),
            contributor_id=person,
            scope="intents",
            text_version=1,
            method="cli",
            granted_at=START,
        )
        corpus.catalog.grant(receipt, START)
    intent = IntentCorrection(
        sample_id=uuid.uuid5(uuid.NAMESPACE_OID, sentence),
        contributor_id=person,
        text=sentence,
        label=label,
        consent_receipt_id=consent_of(person),
        corrected_at=START,
    )
    intake = Intake(corpus.catalog, corpus.blobs, decode_wav, corpus.tick, lambda label: True)
    intake.accept(intent, intent.payload, f"device of {person}")
    return next(row for row in corpus.catalog.waiting("intents") if row.sample_id == intent.sample_id)


@pytest.fixture
def rows(corpus: Corpus) -> list[SampleRow]:
    return [send(corpus, *said) for said in PEOPLE]


def test_a_snapshot_of_intents_names_nobody_and_proves_membership(corpus: Corpus, rows: list[SampleRow]) -> None:
    snapshots = open_snapshots(corpus)
    snapshot = snapshots.seal(items_of(rows, held_back=["person5"]), split="speakers")
    manifest = verify_snapshot(TRUSTED, snapshot.signed)
    assert (manifest.n_train, manifest.n_dev, manifest.n_speakers, manifest.audio_s) == (15, 3, 6, 0.0)
    assert problems(corpus, snapshots, snapshot) == ()
    items = read_dataset(corpus.catalog, corpus.blobs, manifest.dataset_sha256)
    assert {item.text for item in items} == {"weather", "timer", "(none of these)"}
    assert b"weather" not in corpus.blobs.get(manifest.dataset_sha256), "the list pins labels and does not tell them"
    proof = prove(snapshot, rows[0].sample_id, openings_of(snapshots, items))
    assert is_member(proof, manifest)


def test_a_withdrawal_reissues_it_without_the_sentences(corpus: Corpus, rows: list[SampleRow]) -> None:
    snapshots = open_snapshots(corpus)
    before = snapshots.seal(items_of(rows), split="speakers")
    gone = [row for row in rows if row.contributor_id == "person0"]
    withdraw(corpus.catalog, corpus.blobs, consent_of("person0"), contributor_id="person0", now=corpus.tick())
    (reissue,) = snapshots.reissue_without("person0")
    assert (reissue.replaced, reissue.n_withdrawn) == (before.snapshot_id, len(gone))
    assert not any(corpus.blobs.has(row.clip_sha256) for row in gone)
    assert not corpus.blobs.has(before.manifest.dataset_sha256)
    after = snapshots.find(reissue.snapshot_id)
    assert problems(corpus, snapshots, after) == ()
    assert len(read_dataset(corpus.catalog, corpus.blobs, after.manifest.dataset_sha256)) == len(rows) - len(gone)


def test_its_datasheet_tells_of_sentences_and_of_no_group_of_fewer_than_five(
    corpus: Corpus, rows: list[SampleRow]
) -> None:
    rows.append(send(corpus, "person0", "my secret affair", "divorce"))
    items, by_id = items_of(rows), {str(row.sample_id): row for row in rows}
    statistics = describe(items, by_id)
    assert (statistics.family, statistics.scopes, statistics.accents, statistics.terms) == (
        "intents",
        ("intents",),
        (),
        (),
    )
    snapshot = open_snapshots(corpus).seal(items, split="speakers")
    sheet, picture = datasheet_of(snapshot, statistics), statistics_svg(statistics)
    assert "An instance is one sentence" in sheet and "**intents, version 1.**" in sheet
    for shown in (sheet, picture):
        assert not any(word in shown for word in ("divorce", "affair", "sentence number", "Voices", "hours", "accent"))
    assert "divorce" not in repr(statistics)


def test_labels_of_enough_people_are_told(corpus: Corpus) -> None:
    rows = [send(corpus, f"person{n}", f"number {n}", "weather" if n < 6 else "timer") for n in range(12)]
    statistics = describe(items_of(rows), {str(row.sample_id): row for row in rows})
    assert [(group.name, group.n_samples) for group in statistics.labels] == [("timer", 6), ("weather", 6)]
    assert "weather" in statistics_svg(statistics)


def test_an_export_is_lines_of_ascii_that_come_back(corpus: Corpus, rows: list[SampleRow], tmp_path: Path) -> None:
    rows.append(send(corpus, "person1", "wie warm wird es in Tromsø, 北京", "weather"))
    items, by_id = items_of(rows, held_back=["person5"]), {str(row.sample_id): row for row in rows}
    snapshot = open_snapshots(corpus).seal(items, split="speakers")
    out = tmp_path / "out"
    out.mkdir()
    n = write_export(snapshot, items, by_id, lambda sha: read_clip(corpus.catalog, corpus.blobs, sha), out, kind=TEXTS)
    assert n == 19
    content = (out / "train.jsonl").read_bytes()
    assert all(byte == 10 or 32 <= byte < 127 for byte in content)
    lines = [json.loads(line) for line in content.splitlines()]
    held = [json.loads(line) for line in (out / "validation.jsonl").read_bytes().splitlines()]
    told = {(line["text"], line["label"]) for line in (*lines, *held)}
    assert told == {(sentence, label) for _, sentence, label in PEOPLE} | {
        ("wie warm wird es in Tromsø, 北京", "weather")
    }
    assert all(line["speaker"].startswith("speaker-") for line in lines)
    assert "path: train.jsonl" in (out / "README.md").read_text()
    everything = b"".join(path.read_bytes() for path in out.iterdir())
    assert not any(row.contributor_id.encode() in everything for row in rows)
