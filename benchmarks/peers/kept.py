"""Results that take minutes, one file each: a run that was stopped goes on, and none is taken for another's."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from statistics import mean
from typing import Any

Row = dict[str, Any]


def kept(folder: Path | None, about: Mapping[str, object], make: Callable[[], Row]) -> Row:
    """What lies in the folder for exactly this, or what is made now, and kept; without a folder it is made.

    Args:
        folder: Where results lie.
        about: All that the result depends on. JSON.
        make: Makes it.
    """
    if folder is None:
        return make()
    key = json.dumps(about, sort_keys=True)
    file = folder / f"{about['name']}-{about['seed']}-{hashlib.sha256(key.encode()).hexdigest()[:12]}.json"
    if file.is_file():
        found: Row = json.loads(file.read_text())["row"]
        return found
    row = make()
    folder.mkdir(parents=True, exist_ok=True)
    building = file.with_suffix(".building")
    building.write_text(json.dumps({"about": about, "row": row}, indent=1) + "\n")
    building.rename(file)
    return row


def code_of(*folders: Path) -> str:
    """A digest of the Python files below: results of other code are others."""
    found = hashlib.sha256()
    for file in sorted(path for folder in folders for path in folder.rglob("*.py")):
        found.update(file.read_bytes())
    return found.hexdigest()[:16]


def version_of(package: str) -> str:
    """What is installed."""
    try:
        return version(package)
    except PackageNotFoundError:
        return "not installed"


def mean_and_range(rows: Sequence[Row], name: str) -> str:
    """A share over all seeds, as percent; the lowest and highest where there is more than one."""
    values = [100 * float(row[name]) for row in rows]
    shown = f"{mean(values):.1f} %"
    return shown if len(values) == 1 else f"{shown} ({min(values):.1f} to {max(values):.1f})"
