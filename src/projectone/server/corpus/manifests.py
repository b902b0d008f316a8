"""`manifest.jsonl`: one clip a line, as any folder of speech can be described."""

from __future__ import annotations

import errno
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast, get_args

from projectone.contracts.scores import Domain
from projectone.errors import DataError

MANIFEST_NAME = "manifest.jsonl"
NO_SPEAKER = "unknown"
_MAX_LINE_BYTES = 64 * 1024


@dataclass(frozen=True, kw_only=True)
class ManifestRow:
    """One clip.

    Attributes:
        clip_id: The line's `clip_id`, else its `audio` as written.
        audio: The file.
        text: What is said; empty for a clip in which nobody speaks.
        speaker: Who speaks; ``"unknown"`` if the line does not say.
        split: Which part of the set it belongs to, if the set has parts.
        heard: What a model made of the clip before it was corrected, if that is known.
        previous_text: What the speaker said just before, if that is known.
        domain: What the clip stands for where it judges models: the speech they are trained for, or general speech.
    """

    clip_id: str
    audio: Path
    text: str
    speaker: str
    accent: str | None = None
    split: str | None = None
    duration_s: float | None = None
    heard: str | None = None
    previous_text: str | None = None
    domain: Domain = "target"


def read_manifest(path: Path, *, split: str | None = None) -> list[ManifestRow]:
    """The rows of a manifest, in order.

    A row is a JSON object with `audio` (relative to the manifest's folder) and `text`; `speaker`, `accent`, `split`,
    `duration_s`, `clip_id`, `heard`, `previous_text` and `domain` are optional, other keys are ignored.

    Args:
        path: The manifest, or a folder that holds a `manifest.jsonl`.
        split: Only rows of this part.

    Raises:
        DataError: naming the line and what is wrong with it, with the reason ``manifest-missing``, ``manifest-line``
            or ``manifest-empty``.
    """
    path = path / MANIFEST_NAME if path.is_dir() else path
    try:
        if path.exists() and not path.is_file():
            raise OSError(errno.EINVAL, "expected a file")
        content = path.read_bytes()
    except OSError as error:
        raise DataError("manifest-missing", f"manifest {str(path)!r} cannot be read: {error.strerror}") from error
    rows: list[ManifestRow] = []
    seen: dict[str, int] = {}
    for number, line in enumerate(content.split(b"\n"), start=1):
        if not line.strip():
            continue
        try:
            row = _row(line, path.parent)
            if row.clip_id in seen:
                raise ValueError(f"clip {row.clip_id!r} is on line {seen[row.clip_id]} already")
        except ValueError as error:
            raise DataError("manifest-line", f"{path.name}, line {number}: {error}") from error
        seen[row.clip_id] = number
        rows.append(row)
    if not rows:
        raise DataError("manifest-empty", f"manifest {str(path)!r} lists no clip")
    if split is None:
        return rows
    kept = [row for row in rows if row.split == split]
    if not kept:
        known = sorted({row.split for row in rows if row.split is not None})
        raise DataError("manifest-empty", f"{path.name}: no clip of split {split!r}; it has {known or 'no splits'}")
    return kept


def _row(line: bytes, folder: Path) -> ManifestRow:
    if len(line) > _MAX_LINE_BYTES:
        raise ValueError(f"expected at most {_MAX_LINE_BYTES} bytes, got {len(line)}")
    try:
        raw = json.loads(line)
    except (ValueError, RecursionError) as error:
        raise ValueError(f"not JSON: {error}") from error
    if not isinstance(raw, dict):
        raise ValueError(f"expected a JSON object, got {type(raw).__name__}")
    audio = _text(raw, "audio")
    if not audio:
        raise ValueError("audio: expected a file name, got nothing")
    file = folder / audio
    try:
        if not file.is_file():
            raise ValueError(f"audio: there is no file {audio!r} beside the manifest")
    except OSError as error:
        raise ValueError(f"audio: {error.strerror}: {audio[:80]!r}") from error
    return ManifestRow(
        clip_id=_optional_text(raw, "clip_id") or audio,
        audio=file,
        text=_text(raw, "text").strip(),
        speaker=_optional_text(raw, "speaker") or NO_SPEAKER,
        accent=_optional_text(raw, "accent"),
        split=_optional_text(raw, "split"),
        duration_s=_duration(raw),
        heard=_optional_text(raw, "heard"),
        previous_text=_optional_text(raw, "previous_text"),
        domain=_domain(raw),
    )


def _domain(raw: dict[str, Any]) -> Domain:
    domain = raw.get("domain", "target")
    if domain not in get_args(Domain):
        raise ValueError(f"domain: expected one of {', '.join(get_args(Domain))}, got {domain!r:.40}")
    return cast(Domain, domain)


def _text(raw: dict[str, Any], key: str) -> str:
    if key not in raw:
        raise ValueError(f"{key}: missing")
    value = raw[key]
    if not isinstance(value, str):
        raise ValueError(f"{key}: expected a text, got {value!r:.40}")
    return _unicode(key, value)


def _optional_text(raw: dict[str, Any], key: str) -> str | None:
    value = raw.get(key)
    if value is None or value == "":
        return None
    if not isinstance(value, str | int):
        raise ValueError(f"{key}: expected a text, got {value!r:.40}")
    return _unicode(key, str(value))


def _unicode(key: str, value: str) -> str:
    """JSON can say half of a pair of surrogates; no file and no digest can hold it."""
    try:
        value.encode()
    except UnicodeEncodeError as error:
        message = f"{key}: expected Unicode, got a lone surrogate at character {error.start + 1}"
        raise ValueError(message) from error
    return value


def _duration(raw: dict[str, Any]) -> float | None:
    value = raw.get("duration_s")
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value < float("inf"):
        raise ValueError(f"duration_s: expected seconds, got {value!r:.40}")
    return float(value)
