"""A snapshot leaves as a folder that other tools read, and as nothing else."""

import json
import sys
import uuid
from pathlib import Path

import pytest
from tests.fakes.caller import a_clip
from tests.unit.server.corpus.test_datasheet import a_snapshot, corpus

from projectone.contracts.snapshots import SignedSnapshot, sample_key
from projectone.contracts.texts import clean_transcript
from projectone.errors import DataError, SettingsError
from projectone.server.corpus.datasets import DatasetItem
from projectone.server.corpus.export import export_rows, write_export
from projectone.server.corpus.tables import SampleRow

PEOPLE = [(f"p{n % 6}", "scots" if n % 6 < 5 else "irish", f"text {n}") for n in range(12)]

# What a text could try to do to a file of lines, a terminal, a page or a table: 50 ways, each in 4 places of a text.
SIGNS = [chr(n) for n in range(32)] + [chr(n) for n in (0x7F, 0x85, 0x9B, 0x200B, 0x202E, 0x2028, 0x2029, 0xFEFF)]
TRICKS = [
    *SIGNS,
    "=cmd|' /C calc'!A0",
    "+1",
    "-1",
    "@SUM(A1)",
    '"',
    "\\n",
    "</script>",
    "\r\n",
    "'; DROP",
    "\U000e0041",
]
HOSTILE = [place.format(trick) for trick in TRICKS for place in ("{0}", "{0} end", "start {0}", "a {0} z")]


def export(tmp_path: Path, people: list[tuple[str, str, str]]) -> Path:
    items, rows = corpus(*people)
    write_export(a_snapshot(), items, rows, lambda sha256: a_clip(1), tmp_path, kind="audiofolder")
    return tmp_path


def lines(folder: Path) -> list[dict[str, str]]:
    return [json.loads(line) for line in (folder / "metadata.jsonl").read_bytes().split(b"\n") if line]


def test_an_audiofolder_holds_each_sample_on_its_side_with_its_clip(tmp_path: Path) -> None:
    out = export(tmp_path, PEOPLE)
    train, dev = lines(out / "train"), lines(out / "validation")
    assert (len(train), [row["text"] for row in dev]) == (11, ["text 0"])
    assert dev[0]["id"] == sample_key(uuid.UUID(int=0))
    assert all((out / "train" / row["file_name"]).read_bytes() == a_clip(1) for row in train)
    assert len(list((out / "train").iterdir())) == 12, "eleven clips and their metadata"
    assert SignedSnapshot.from_bytes((out / "snapshot.json").read_bytes()) == a_snapshot().signed
    assert (out / "README.md").read_text().startswith("---\nlicense: other\n")
    assert "## Composition" in (out / "README.md").read_text()


def test_an_export_names_nobody() -> None:
    items, rows = corpus(*PEOPLE)
    written = export_rows(a_snapshot(), items, rows)
    assert {row.speaker for row in written} == {f"speaker-{n:05d}" for n in range(6)}
    assert {row.accent for row in written} == {"scots", None}, "one person's accent would point at that person"
    text = "".join(map(repr, written))
    assert not any(name in text for name in ("'p0'", "irish", str(uuid.UUID(int=1))))


def test_two_hundred_hostile_texts_stay_one_line_of_ascii_each_and_come_back_unchanged(tmp_path: Path) -> None:
    """T19, the JSONL export. The policy refuses most of them before; the file is safe without it."""
    assert len(HOSTILE) == 200
    out = export(tmp_path, [("ada", "scots", text) for text in HOSTILE])
    content = b"".join((out / side / "metadata.jsonl").read_bytes() for side in ("validation", "train"))
    assert content.count(b"\n") == 200
    assert all(byte == 10 or 32 <= byte < 127 for byte in content)
    assert [row["text"] for side in ("validation", "train") for row in lines(out / side)] == HOSTILE


def test_with_plain_unicode_in_the_file_hostile_texts_would_reach_a_terminal() -> None:
    """The control run: the same rows without the escapes."""
    plain = "".join(json.dumps({"text": text}, ensure_ascii=False) + "\n" for text in HOSTILE)
    assert len(plain.splitlines()) > 200, "line ends of Unicode split rows"
    assert any(sign in plain for sign in ("\u202e", "\x9b", "\x7f"))


def test_most_hostile_texts_never_get_that_far() -> None:
    refused = 0
    for text in HOSTILE:
        try:
            clean_transcript(text)
        except DataError:
            refused += 1
    assert refused > 100


def test_parquet_without_its_library_says_what_to_install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    items: list[DatasetItem]
    rows: dict[str, SampleRow]
    items, rows = corpus(*PEOPLE)
    with pytest.raises(SettingsError, match=r"pip install 'projectone\[export\]'"):
        write_export(a_snapshot(), items, rows, lambda sha256: b"", tmp_path, kind="parquet")
