"""A snapshot as a folder that other tools train on, as Hugging Face `datasets` reads it.

    out/
      README.md, statistics.svg     the datasheet, and its picture
      snapshot.json                 the signed manifest
      audiofolder:  train/metadata.jsonl, train/<id>.wav; the same below validation/
      parquet:      data/train-00000-of-00001.parquet; the same for validation
      texts:        train.jsonl, validation.jsonl: corrected intents, which have no other layout

A row's `id` is the sample's key in the snapshot (`contracts/snapshots.py`): who holds the folder can delete what a
withdrawal lists, and learns nothing else from it. Speakers are numbered anew in every snapshot.
"""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Literal
from uuid import UUID

from projectone.contracts.assist import label_of
from projectone.contracts.base import sha256_hex
from projectone.contracts.snapshots import sample_key
from projectone.server.corpus.datasets import DatasetItem
from projectone.server.corpus.datasheet import PICTURE, datasheet_of
from projectone.server.corpus.parquet import write_parquet
from projectone.server.corpus.pictures import statistics_svg
from projectone.server.corpus.snapshots import Snapshot
from projectone.server.corpus.statistics import MIN_PEOPLE, describe
from projectone.server.corpus.tables import SampleRow
from projectone.storage.files import write_atomically

ExportFormat = Literal["audiofolder", "parquet", "texts"]
EXPORT_FORMATS: tuple[ExportFormat, ...] = ("audiofolder", "parquet")
"""Layouts for recordings, the usual one first."""
TEXTS: ExportFormat = "texts"

_SPLIT_NAMES = {"train": "train", "dev": "validation"}


@dataclass(frozen=True, kw_only=True)
class ExportRow:
    """One sample, as it leaves.

    Attributes:
        id: The sample's key in the snapshot.
        text: What is learned: of a sentence its label, as samples keep it.
        speaker: A number within the snapshot.
        accent: As the person said it, if at least `MIN_PEOPLE` people of the snapshot say the same.
    """

    id: str
    text: str
    speaker: str
    language: str
    accent: str | None
    duration_s: float


def write_export(
    snapshot: Snapshot,
    items: Sequence[DatasetItem],
    rows: Mapping[str, SampleRow],
    read: Callable[[str], bytes],
    out: Path,
    *,
    kind: ExportFormat,
) -> int:
    """Write the folder `out`, which exists and is empty; gives how many samples are in it.

    Args:
        snapshot: What is written.
        items: Its samples.
        rows: The catalog's row for each, by sample id.
        read: A payload's digest to a WAV file, or a sentence in UTF-8.
        out: Where to.
        kind: In which layout.

    Raises:
        SettingsError: if Parquet is asked for and its library is not installed.
    """
    sides: dict[str, list[tuple[ExportRow, str]]] = defaultdict(list)
    for row, item in zip(export_rows(snapshot, items, rows), items, strict=True):
        sides[_SPLIT_NAMES[item.split]].append((row, item.clip_sha256))
    for split, own in sides.items():
        clips = ((row, read(clip_sha256)) for row, clip_sha256 in own)
        if kind == TEXTS:
            _write_texts(out / f"{split}.jsonl", clips)
        elif kind == "parquet":
            write_parquet(out / "data" / f"{split}-00000-of-00001.parquet", ((asdict(row), wav) for row, wav in clips))
        else:
            _write_audiofolder(out / split, clips)
    statistics = describe(items, rows)
    (out / "README.md").write_text(_card(kind, sides.keys()) + datasheet_of(snapshot, statistics), encoding="utf-8")
    (out / PICTURE).write_text(statistics_svg(statistics), encoding="utf-8")
    (out / "snapshot.json").write_bytes(snapshot.signed.to_bytes() + b"\n")
    return len(items)


def export_rows(snapshot: Snapshot, items: Sequence[DatasetItem], rows: Mapping[str, SampleRow]) -> list[ExportRow]:
    """The samples as they leave, in the order of `items`."""
    # Numbered by a digest, so that neither the order of arrival nor another snapshot tells who is who.
    speakers = sorted(
        {item.speaker for item in items}, key=lambda name: sha256_hex(f"{snapshot.snapshot_id}/{name}".encode())
    )
    numbers = {speaker: f"speaker-{number:05d}" for number, speaker in enumerate(speakers)}
    people: defaultdict[str, set[str]] = defaultdict(set)
    for item in items:
        if (accent := rows[item.sample_id].accent) is not None:
            people[accent].add(item.speaker)
    common = {accent for accent, own in people.items() if len(own) >= MIN_PEOPLE}
    return [
        ExportRow(
            id=sample_key(UUID(item.sample_id)),
            text=item.text,
            speaker=numbers[item.speaker],
            language=rows[item.sample_id].language,
            accent=accent if (accent := rows[item.sample_id].accent) in common else None,
            duration_s=round(item.duration_s, 3),
        )
        for item in items
    ]


def _write_audiofolder(folder: Path, clips: Iterator[tuple[ExportRow, bytes]]) -> None:
    folder.mkdir(parents=True)
    lines = []
    for row, wav in clips:
        name = f"{row.id[:32]}.wav"
        (folder / name).write_bytes(wav)
        # ASCII: no text can end a line, hide a sign or turn a terminal around, whatever reads the file.
        lines.append(json.dumps({"file_name": name, **asdict(row)}) + "\n")
    write_atomically(folder / "metadata.jsonl", "".join(lines).encode("ascii"))


def _write_texts(path: Path, sentences: Iterator[tuple[ExportRow, bytes]]) -> None:
    lines = []
    for row, sentence in sentences:
        plain = {"id": row.id, "text": sentence.decode(), "label": label_of(row.text)}
        lines.append(json.dumps({**plain, "speaker": row.speaker, "language": row.language}) + "\n")
    write_atomically(path, "".join(lines).encode("ascii"))


def _card(kind: ExportFormat, splits: Iterable[str]) -> str:
    """What the Hub and `datasets` read at the top of the page: where each split lies."""
    lines = ["---", "license: other", "license_name: by-consent", "configs:", "- config_name: default", "  data_files:"]
    for split in sorted(splits):
        path = {"parquet": f"data/{split}-*.parquet", TEXTS: f"{split}.jsonl"}.get(kind, f"{split}/**")
        lines += [f"  - split: {split}", f"    path: {path}"]
    return "\n".join([*lines, "---", "", ""])
