"""Where a file may lie inside a package, so that unpacking it can never touch anything else."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Annotated

from pydantic import StringConstraints

# Begins with a letter or digit, so that neither `.`, `..` nor a hidden name can be one; ends with something that no
# file system takes away.
_SEGMENT = r"[A-Za-z0-9](?:[A-Za-z0-9._-]{0,94}[A-Za-z0-9_-])?"
# Core ML's deepest file is three folders down; no system's longest path is near.
_PATH = rf"^{_SEGMENT}(?:/{_SEGMENT}){{0,7}}$"
_MOST_CHARACTERS = 200

PackagePath = Annotated[str, StringConstraints(pattern=_PATH, max_length=_MOST_CHARACTERS)]
"""A relative path of at most eight names with `/` between them, safe on every file system and in a URL."""


def is_package_path(text: str) -> bool:
    """Whether a `PackagePath` can be made of it."""
    return len(text) <= _MOST_CHARACTERS and re.fullmatch(_PATH[1:-1], text) is not None


def conflict_of(paths: Iterable[str]) -> str | None:
    """Why these files cannot lie side by side in one folder; None if they can, whatever the file system.

    A file cannot be there twice, nor be a folder for another one. macOS and Windows take two names that differ in the
    case of letters for one.
    """
    files: dict[str, str] = {}
    for path in paths:
        if path.casefold() in files:
            return f"{path!r} is there twice" if files[path.casefold()] == path else f"{path!r} differs in case alone"
        files[path.casefold()] = path
    folders: dict[str, str] = {}
    for path in files.values():
        parts = path.split("/")
        for folder in ("/".join(parts[:depth]) for depth in range(1, len(parts))):
            if folder.casefold() in files:
                return f"{folder!r} is a file and a folder"
            if folders.setdefault(folder.casefold(), folder) != folder:
                return f"{folder!r} differs in case alone"
    return None
