"""A text in the person's own editor."""

from __future__ import annotations

import shlex
import subprocess
import sys
import tempfile
from pathlib import Path

from projectone.errors import SettingsError, UsageError


def require_terminal() -> None:
    """Say so before anything else where no editor can be opened.

    Raises:
        UsageError: if there is no terminal.
    """
    if not _is_terminal():
        raise UsageError("expected TEXT: there is no terminal here in which an editor could be opened", usage="")


def edited(text: str, *, editor: str, folder: Path) -> str:
    """What a person makes of a text.

    Args:
        text: What stands there first.
        editor: The command that edits a file.
        folder: Where the text lies meanwhile, in a file that its owner alone may read.

    Raises:
        SettingsError: if there is no such editor, or it ended with an error.
    """
    command = shlex.split(editor)
    with tempfile.TemporaryDirectory(dir=folder, prefix=".tmp-edit-") as private:
        path = Path(private) / "what-was-said.txt"
        path.write_text(text + "\n")
        try:
            done = subprocess.run([*command, str(path)], check=False)
        except OSError as error:
            raise SettingsError(f"{command[0]!r}: {error.strerror}; EDITOR chooses another editor") from error
        if done.returncode:
            raise SettingsError(f"{command[0]!r} ended with {done.returncode}; nothing was kept")
        return " ".join(path.read_text(errors="replace").split())


def _is_terminal() -> bool:
    return sys.stdin.isatty() and sys.stdout.isatty()
