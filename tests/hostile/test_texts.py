"""Two hundred hostile texts and the four places that they go to: rows, terminals and logs, pages, tables."""

from __future__ import annotations

import csv
import io
import json
import unicodedata
import uuid
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from html.parser import HTMLParser

import pytest
from pydantic import ValidationError
from tests.fakes.story import STORY
from tests.fakes.tiny_whisper import say
from tests.hostile.text_families import FAMILIES, HELD, KEPT, REFUSED, texts
from tests.unit.server.work.test_worker import Office, make_office  # noqa: F401 - a fixture

from projectone.contracts.alphabets import has_foreign_letters
from projectone.contracts.audio import AudioClip
from projectone.contracts.corrections import Correction
from projectone.contracts.texts import as_cell, clean_transcript, printable
from projectone.demo.report import render
from projectone.demo.story import Example
from projectone.errors import DataError
from projectone.server.cli import main
from projectone.server.work import corpus

TEXTS = texts()
DANGEROUS = {"Cc", "Cs", "Co", "Cn", "Zl", "Zp"}
BARE = ("=", "+", "-", "@", "\t", "\r", "\uff1d", "\uff0b", "\uff0d", "\uff20")


def correction(text: str) -> Correction:
    return Correction(
        sample_id=uuid.uuid4(),
        contributor_id="mallory",
        kind="correction",
        audio=AudioClip(sha256="0" * 64, size_bytes=100, sample_rate_hz=16_000, duration_s=1.0),
        text=text,
        consent_receipt_id=uuid.uuid4(),
        recorded_at=datetime(2026, 11, 1, tzinfo=UTC),
    )


def raw_controls(text: str) -> list[str]:
    return [c for c in text if unicodedata.category(c) in DANGEROUS or (unicodedata.category(c) == "Cf")]


def test_there_are_two_hundred_of_them() -> None:
    assert len(TEXTS) == 200
    assert len(FAMILIES) == 20


@pytest.mark.parametrize("family", FAMILIES)
def test_each_is_refused_held_or_kept_as_its_family_must_be(family: str) -> None:
    for _, becomes, text in (item for item in TEXTS if item[0] == family):
        if becomes == REFUSED:
            with pytest.raises(DataError):
                clean_transcript(text)
            with pytest.raises(ValidationError):
                correction(text)
            continue
        cleaned = correction(text).text
        assert cleaned == " ".join(unicodedata.normalize("NFC", text).split())
        assert has_foreign_letters(cleaned, "en") == (becomes == HELD)


def test_none_of_them_writes_a_raw_control_into_a_log_whatever_let_it_in() -> None:
    lines = [printable(text[:5000]) for _, _, text in TEXTS]
    assert [line for line in lines if raw_controls(line)] == []
    assert "\n".join(lines).encode("utf-8").count(b"\n") == 199, "and none begins a line of its own"
    assert sum(bool(raw_controls(text[:5000])) for _, _, text in TEXTS) >= 110, "control: unescaped, most would"


def test_none_of_them_is_a_formula_in_a_cell() -> None:
    table = io.StringIO()
    writer = csv.writer(table, quoting=csv.QUOTE_ALL)
    writer.writerows([as_cell(text[:2000])] for _, _, text in TEXTS)
    cells = [row[0] for row in csv.reader(io.StringIO(table.getvalue()))]
    assert len(cells) == 200
    assert [cell for cell in cells if cell.startswith(BARE)] == []
    assert sum(text.startswith(BARE) for _, _, text in TEXTS) == 20, "control: as they came, twenty are"


class Tags(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.found: list[tuple[str, tuple[str, ...]]] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found.append((tag, tuple(name for name, _ in attrs)))


def tags_of(texts_said: list[str]) -> set[tuple[str, tuple[str, ...]]]:
    page = Tags()
    examples = tuple(Example(user="ann", said=said, before=said, after=said) for said in texts_said)
    page.feed(render(replace(STORY, examples=examples)))
    return set(page.found)


def test_none_of_them_adds_a_tag_or_a_script_to_a_page() -> None:
    plain = tags_of(["word"])
    assert "script" not in dict(plain)
    assert tags_of([text[:200] for _, _, text in TEXTS]) == plain
    control = Tags()
    control.feed("".join(text for _, _, text in TEXTS if "<" in text))
    assert "script" in dict(control.found), "control: unescaped, they would"


def test_what_is_kept_comes_back_as_it_was_and_shows_nothing_raw(
    make_office: Callable[..., Office],  # noqa: F811
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    office = make_office()
    for name, value in office.home.variables.items():
        monkeypatch.setenv(name, value)
    let_in = {text for _, becomes, text in TEXTS if becomes in (KEPT, HELD)}
    sound = say("red", seed=1)
    for number, text in enumerate(sorted(let_in)):
        office.home.send("ann", str(number), text, sound)

    def ask(*words: str) -> str:
        capsys.readouterr()
        assert main(["corpus", "list", "--limit", "500", *words]) == 0
        return capsys.readouterr().out

    rows = {item["text"] for item in json.loads(ask("--json"))["samples"]}
    assert rows == {" ".join(unicodedata.normalize("NFC", text).split()) for text in let_in}
    assert ask("--json").isascii()
    assert raw_controls(ask().replace("\n", "")) == []
    assert ask().count("\n") == len(let_in)
    table = list(csv.DictReader(io.StringIO(ask("--csv"))))
    assert len(table) == len(let_in)
    assert [cell for row in table for cell in row.values() if cell.startswith(BARE)] == []
    monkeypatch.setattr(corpus, "as_cell", str)
    table = list(csv.DictReader(io.StringIO(ask("--csv"))))
    assert sum(row["text"].startswith(BARE) for row in table) >= 10, "control: unescaped, these would be formulas"
