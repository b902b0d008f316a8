"""The golden texts: sentences whose meaning is known and that nobody trains on, under one digest."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from projectone.contracts.assist import as_target, clean_label
from projectone.contracts.base import canonical_json, sha256_hex
from projectone.errors import DataError, EvaluationError
from projectone.speech.normalize import normalize_text

PLAIN = "plain"
Row = tuple[str, str | None]
_MOST_BYTES, _MOST_CHARACTERS = 256 * 2**20, 10_000


@dataclass(frozen=True)
class GoldenText:
    """One sentence with the truth about it.

    Attributes:
        text_id: Names it within its set.
        speaker: Whose it is; its own name where that is not known.
        slice: The group whose error rate is watched on its own, such as texts with recognition errors.
        label: What is meant; None for none of the intents.
    """

    text_id: str
    speaker: str
    slice: str
    text: str
    label: str | None

    @property
    def sha256(self) -> str:
        """What the sentence says, as a digest; see `words_digest`."""
        return words_digest(self.text)


@dataclass(frozen=True)
class GoldenTexts:
    """Sentences and the digest over all of them and their labels."""

    sha256: str
    texts: tuple[GoldenText, ...]


def words_digest(text: str) -> str:
    """SHA-256 of the words alone: capitals, punctuation and spaces make no other sentence."""
    return sha256_hex(normalize_text(text).encode())


def golden_texts(texts: Iterable[GoldenText]) -> GoldenTexts:
    """A set under its digest.

    Raises:
        EvaluationError: if no text has a label, or two have the same name.
    """
    kept = tuple(texts)
    if not any(text.label is not None for text in kept):
        raise EvaluationError(f"golden texts: expected one with a label at least, got {len(kept)} without")
    if len({text.text_id for text in kept}) < len(kept):
        raise EvaluationError("golden texts: expected names that differ")
    facts = [[text.text_id, text.speaker, text.slice, text.text, as_target(text.label)] for text in kept]
    return GoldenTexts(sha256_hex(canonical_json(facts)), kept)


def read_golden_texts(path: Path) -> tuple[GoldenText, ...]:
    """JSON lines of `text` and `label` (null for none of these), and perhaps `slice` and `speaker`.

    Raises:
        DataError: naming the line that is none.
    """
    found = []
    for number, row in read_rows(path):
        speaker, part = row.get("speaker"), row.get("slice")
        name = f"line-{number}"
        found.append(
            GoldenText(
                text_id=name,
                speaker=speaker if isinstance(speaker, str) and speaker else name,
                slice=part if isinstance(part, str) and part else PLAIN,
                text=row["text"],
                label=row["label"],
            )
        )
    return tuple(found)


def read_rows(path: Path) -> list[tuple[int, Mapping[str, Any]]]:
    """JSON lines that hold `text` and `label`, whatever else they hold, with their numbers.

    Raises:
        DataError: naming the line that is none.
    """
    try:
        if path.stat().st_size > _MOST_BYTES:
            raise DataError("too-large", f"{path.name}: expected at most {_MOST_BYTES} bytes")
        lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise DataError("unreadable", f"{path.name} cannot be read: {error}") from error
    return [(number, _row(path.name, number, line)) for number, line in enumerate(lines, start=1) if line.strip()]


def read_lessons(path: Path) -> tuple[list[Row], list[Row]]:
    """The texts and labels of a file to learn from, and those to measure on: lines of the split `dev`.

    Raises:
        DataError: naming the line that is none.
    """
    learned: list[Row] = []
    measured_on: list[Row] = []
    for _, row in read_rows(path):
        (measured_on if row.get("split") == "dev" else learned).append((row["text"], row["label"]))
    return learned, measured_on


def _row(name: str, number: int, line: str) -> Mapping[str, Any]:
    place = f"{name}, line {number}"
    try:
        row: Mapping[str, Any] = json.loads(line)
        text, label = row["text"], row["label"]
    except (ValueError, RecursionError, KeyError, TypeError) as error:
        raise DataError("no-example", f"{place}: expected text and label: {error!r}") from error
    if not isinstance(text, str) or not text.strip() or len(text) > _MOST_CHARACTERS:
        raise DataError("no-example", f"{place}: text: expected 1 to {_MOST_CHARACTERS} characters")
    if label is not None:
        if not isinstance(label, str):
            raise DataError("no-example", f"{place}: label: expected a name or null, got {label!r:.40}")
        try:
            clean_label(label)
        except DataError as error:
            raise DataError("no-example", f"{place}: {error}") from error
    return row
