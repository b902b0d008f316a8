"""JSON files of strangers, read with limits: a wrong key is named, nothing is guessed."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from projectone.errors import ArtifactError

MAX_JSON_BYTES = 4 * 2**20


def read_json(path: Path) -> dict[str, Any]:
    """A JSON object from a file of bounded size.

    Raises:
        ArtifactError: naming the file, if it is missing, too large or not a JSON object.
    """
    try:
        size = path.stat().st_size
        if size > MAX_JSON_BYTES:
            raise ArtifactError(f"{path.name!r}: expected at most {MAX_JSON_BYTES} bytes, got {size}")
        raw = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise ArtifactError(f"{path.name!r} is missing or cannot be read: {error}") from error
    except (ValueError, RecursionError) as error:
        raise ArtifactError(f"{path.name!r} is not JSON: {error}") from error
    if not isinstance(raw, dict):
        raise ArtifactError(f"{path.name!r}: expected a JSON object, got {type(raw).__name__}")
    return raw


def integer_at(raw: Mapping[str, Any], key: str, file_name: str) -> int:
    """A whole number, or an ArtifactError that names the key."""
    value = raw.get(key)
    if not isinstance(value, int) or isinstance(value, bool):
        raise ArtifactError(f"{file_name}: {key}: expected a whole number, got {value!r:.40}")
    return value


def integers_at(raw: Mapping[str, Any], key: str, file_name: str) -> tuple[int, ...]:
    """A list of whole numbers, empty where the key is absent, or an ArtifactError that names the key."""
    values = raw.get(key) or ()
    if not isinstance(values, list | tuple) or not all(isinstance(v, int) and not isinstance(v, bool) for v in values):
        raise ArtifactError(f"{file_name}: {key}: expected a list of ids, got {values!r:.40}")
    return tuple(values)


def table_at(raw: Mapping[str, Any], key: str, file_name: str) -> dict[str, int]:
    """Names with their ids, empty where the key is absent, or an ArtifactError that names the key."""
    table = raw.get(key) or {}
    if not isinstance(table, dict) or not all(isinstance(v, int) for v in table.values()):
        raise ArtifactError(f"{file_name}: {key}: expected names and ids, got {table!r:.40}")
    return dict(table)
