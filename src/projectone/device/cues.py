"""`client.cues`: the few sounds of the app. They are off until somebody wants them.

Each is made once, in this folder, and kept there. Nothing of a person goes into one.
"""

from __future__ import annotations

from pathlib import Path
from typing import Final, get_args

from projectone.assist.sound.cues import CUES, CueName, cue_wav
from projectone.errors import DataError
from projectone.storage.files import make_folder, write_atomically

NAMES: Final[tuple[CueName, ...]] = get_args(CueName)


class Cues:
    """The switch, and the sounds. It may be used by several threads and processes."""

    def __init__(self, folder: Path) -> None:
        """Use `folder`, which appears when something is kept in it."""
        self._folder = folder
        self._mark = folder / "on"

    @property
    def is_on(self) -> bool:
        """Whether the app may be heard. Not unless somebody switched it on."""
        return self._mark.is_file()

    def switch(self, *, is_on: bool) -> None:
        """Be heard from now on, or be silent."""
        if is_on:
            make_folder(self._folder)
            write_atomically(self._mark, b"")
        else:
            self._mark.unlink(missing_ok=True)

    def wav(self, name: str) -> bytes:
        """A cue as a WAV file, whether cues are on or not; made the first time.

        Raises:
            DataError: if there is no cue of this name.
        """
        known = self._known(name)
        path = self._folder / f"{known}-{CUES[known].fingerprint}.wav"
        try:
            return path.read_bytes()
        except FileNotFoundError:
            pass
        content = cue_wav(known)
        make_folder(self._folder)
        for older in self._folder.glob(f"{known}-*.wav"):
            older.unlink(missing_ok=True)
        write_atomically(path, content)
        return content

    def fingerprint(self, name: str) -> str:
        """Changes when the sound does.

        Raises:
            DataError: if there is no cue of this name.
        """
        return CUES[self._known(name)].fingerprint

    def meanings(self) -> dict[CueName, str]:
        """What each stands for, for people."""
        return {name: CUES[name].meaning for name in NAMES}

    @staticmethod
    def _known(name: str) -> CueName:
        for known in NAMES:
            if known == name:
                return known
        raise DataError("no-such-cue", f"cue: expected one of {', '.join(NAMES)}, got {name!r}")
