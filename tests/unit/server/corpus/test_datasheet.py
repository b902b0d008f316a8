"""A datasheet says what is in a snapshot and tells nobody apart."""

import re
from dataclasses import replace
from datetime import UTC, datetime
from uuid import UUID
from xml.etree import ElementTree

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from projectone.contracts.merkle import MerkleTree
from projectone.contracts.signatures import sign_snapshot
from projectone.contracts.snapshots import SnapshotManifest
from projectone.server.corpus import statistics as statistics_module
from projectone.server.corpus.datasets import DatasetItem
from projectone.server.corpus.datasheet import datasheet_of
from projectone.server.corpus.pictures import statistics_svg
from projectone.server.corpus.snapshots import Snapshot
from projectone.server.corpus.statistics import MIN_PEOPLE, OTHERS, Statistics, describe
from projectone.server.corpus.tables import SampleRow

HEADINGS = (
    "Motivation",
    "Composition",
    "Collection process",
    "Preprocessing, cleaning, labelling",
    "Uses",
    "Distribution",
    "Maintenance",
)
NOW = datetime(2026, 11, 1, tzinfo=UTC)


def corpus(*people: tuple[str, str, str]) -> tuple[list[DatasetItem], dict[str, SampleRow]]:
    """One sample for each (person, accent, text)."""
    items, rows = [], {}
    for n, (person, accent, text) in enumerate(people):
        sample_id = UUID(int=n)
        items.append(
            DatasetItem(
                sample_id=str(sample_id),
                clip_sha256="0" * 64,
                text=text,
                speaker=person,
                duration_s=3.0,
                is_new=True,
                split="dev" if n == 0 else "train",
            )
        )
        row = dict.fromkeys(SampleRow.__dataclass_fields__)
        row |= {"sample_id": sample_id, "kind": "correction", "accent": accent, "language": "en", "recorded_at": NOW}
        rows[str(sample_id)] = SampleRow(**row)  # type: ignore[arg-type]
    return items, rows


def of_accents(**sizes: int) -> Statistics:
    people = [(f"{accent}{n}", accent, "hello there") for accent, size in sizes.items() for n in range(size)]
    return describe(*corpus(*people))


def a_snapshot() -> Snapshot:
    manifest = SnapshotManifest(
        dataset_sha256="1" * 64,
        merkle_root=MerkleTree([]).root.hex(),
        made_at=NOW,
        n_train=0,
        n_dev=0,
        n_speakers=0,
        audio_s=0,
        split="speakers",
    )
    signed = sign_snapshot(Ed25519PrivateKey.from_private_bytes(bytes(range(32))), manifest)
    return Snapshot("2" * 64, signed, manifest, (), None)


def test_a_datasheet_answers_every_heading_and_quotes_the_consent() -> None:
    sheet = datasheet_of(a_snapshot(), of_accents(scots=6, welsh=7))
    assert re.findall(r"^## (.*)$", sheet, flags=re.MULTILINE) == list(HEADINGS)
    assert "| scots | 6 | 6 | 0.01 |" in sheet
    assert "| people | 13 |" in sheet
    assert "**corrections, version" in sheet
    assert "Recorded from 2026-11 to 2026-11" in sheet
    assert "no person is on both sides" in sheet


@pytest.mark.parametrize(
    ("sizes", "shown"),
    [
        ({"scots": 6, "welsh": 7}, {"scots": 6, "welsh": 7}),
        ({"scots": 6, "welsh": 2, "irish": 3}, {"scots": 6, OTHERS: 5}),
        ({"scots": 9, "welsh": 7, "irish": 1}, {"scots": 9, OTHERS: 8}),  # else 17 - 9 - 7 would tell of one person
        ({"scots": 6, "irish": 1}, {OTHERS: 7}),
        ({"scots": 3, "irish": 1}, {}),
    ],
)
def test_no_accent_of_few_people_is_shown_nor_found_by_subtraction(
    sizes: dict[str, int], shown: dict[str, int]
) -> None:
    assert {group.name: group.n_people for group in of_accents(**sizes).accents} == shown


def test_few_people_are_told_of_in_totals_alone() -> None:
    few = of_accents(scots=MIN_PEOPLE - 1)
    assert (few.n_people, few.is_told_apart, few.terms, few.months, few.median_person_s) == (4, False, (), None, None)
    sheet, picture = datasheet_of(a_snapshot(), few), statistics_svg(few)
    assert "nothing more is told of them" in sheet
    assert not any(word in sheet + picture for word in ("scots", "hello"))


def test_a_word_of_few_people_is_counted_and_not_shown() -> None:
    people = [(f"p{n}", "scots", "Call Rumpelstiltskin." if n < 4 else "call home") for n in range(8)]
    figures = describe(*corpus(*people))
    assert figures.terms == (("call", 8),)
    assert figures.n_terms_withheld == 2
    assert "rumpel" not in (datasheet_of(a_snapshot(), figures) + statistics_svg(figures)).lower()


def test_one_person_who_says_a_word_often_is_still_one_person() -> None:
    people = [("chatty", "scots", "xylophone")] * 9 + [(f"p{n}", "scots", "call") for n in range(5)]
    assert describe(*corpus(*people)).terms == (("call", 5),)


def test_without_the_threshold_one_person_would_stand_out(monkeypatch: pytest.MonkeyPatch) -> None:
    """The control run."""
    monkeypatch.setattr(statistics_module, "MIN_PEOPLE", 1)
    figures = of_accents(scots=9, irish=1)
    assert ("irish", 1) in {(group.name, group.n_people) for group in figures.accents}


def test_what_people_wrote_breaks_neither_the_page_nor_the_picture() -> None:
    people = [(f"p{n}", "<b>|[x](y)", "<script>alert</script>") for n in range(6)]
    figures = describe(*corpus(*people))
    sheet, picture = datasheet_of(a_snapshot(), figures), statistics_svg(figures)
    assert "<script" not in sheet + picture
    assert "| &lt;b&gt;\\|\\[x\\](y) | 6 |" in sheet
    root = ElementTree.fromstring(picture)
    assert len([node for node in root.iter() if node.tag.endswith("rect")]) == 1 + 3, "a background, three bars"


def test_bars_are_as_long_as_their_figures() -> None:
    root = ElementTree.fromstring(statistics_svg(of_accents(scots=10, welsh=5)))
    widths = [float(node.get("width", "0")) for node in root.iter() if node.get("fill") == "#2563eb"]
    assert widths[0] == pytest.approx(2 * widths[1])


def test_lengths_are_in_bins_of_two_seconds() -> None:
    items, rows = corpus(*[(f"p{n}", "scots", "call") for n in range(10)])
    longer = [replace(item, duration_s=11.0) for item in items[:5]]
    figures = describe([*longer, *items[5:]], rows)
    assert [(group.name, group.n_samples) for group in figures.lengths] == [("2-4 s", 5), ("10-12 s", 5)]
