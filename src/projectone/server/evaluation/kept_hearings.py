"""What a model heard in a set, kept page by page while it is heard: an evaluation that was ended goes on from there.

folder/
  0123456789abcdef/        one model, one set, one way to transcribe: a digest of all three
    page-0003.json           texts and numbers of tokens of a page of clips

A page is always heard whole and with the same neighbours, so that the numbers are those of an evaluation that was never
ended.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import astuple, dataclass
from pathlib import Path
from typing import Any, Final, Protocol

import numpy as np

from projectone.contracts.base import sha256_hex
from projectone.speech.checkpoint import WhisperCheckpoint
from projectone.speech.transcribe import TranscribeOptions, transcribe_many
from projectone.storage.files import make_folder, sweep_temporary, write_atomically

Samples = np.ndarray[Any, np.dtype[np.float32]]
OnProgress = Callable[[int, int], None]
_BATCHES_OF_A_PAGE: Final = 4


@dataclass(frozen=True)
class Said:
    """What was heard in a clip, and how many tokens that took."""

    text: str
    n_tokens: int


class Hear(Protocol):
    """Clips to texts, in their order."""

    def __call__(
        self,
        checkpoint: WhisperCheckpoint,
        clips: Sequence[Samples],
        *,
        identity: str,
        batch_size: int,
        options: TranscribeOptions,
        on_progress: OnProgress | None,
    ) -> list[Said]:
        """What is said in each; `identity` names the model, its numbers and the clips."""
        ...


def hear_all(
    checkpoint: WhisperCheckpoint,
    clips: Sequence[Samples],
    *,
    identity: str,
    batch_size: int,
    options: TranscribeOptions,
    on_progress: OnProgress | None,
) -> list[Said]:
    """What is said in each clip; nothing is kept."""
    heard = transcribe_many(checkpoint, list(clips), batch_size=batch_size, options=options, on_progress=on_progress)
    return [Said(one.text, sum(len(segment.tokens) for segment in one.segments)) for one in heard]


class KeptHearings:
    """Hears clips page by page, and no page twice.

    Args:
        folder: Where pages are kept; of one evaluation or of many. Whoever wants them no more removes it.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def __call__(
        self,
        checkpoint: WhisperCheckpoint,
        clips: Sequence[Samples],
        *,
        identity: str,
        batch_size: int,
        options: TranscribeOptions,
        on_progress: OnProgress | None,
    ) -> list[Said]:
        """What is said in each clip.

        Raises:
            StorageError: if a page cannot be kept.
        """
        own = self._folder / sha256_hex(f"{identity} {batch_size} {options!r}".encode())[:16]
        make_folder(own)
        sweep_temporary(own)
        size = batch_size * _BATCHES_OF_A_PAGE
        said: list[Said] = []
        for number, start in enumerate(range(0, len(clips), size)):
            page, path = clips[start : start + size], own / f"page-{number:04d}.json"
            heard = _read(path, len(page))
            if heard is None:
                heard = hear_all(
                    checkpoint,
                    page,
                    identity=identity,
                    batch_size=batch_size,
                    options=options,
                    on_progress=_after(on_progress, start, len(clips)),
                )
                write_atomically(path, json.dumps([astuple(one) for one in heard]).encode())
            said += heard
            if on_progress:
                on_progress(len(said), len(clips))
        return said


def _after(on_progress: OnProgress | None, n_before: int, n_all: int) -> OnProgress | None:
    return None if on_progress is None else lambda n_done, _: on_progress(n_before + n_done, n_all)


def _read(path: Path, n_clips: int) -> list[Said] | None:
    """A page that is whole; None for any other, which is then heard again."""
    try:
        rows = json.loads(path.read_bytes())
        said = [Said(str(text), int(n_tokens)) for text, n_tokens in rows]
    except (OSError, ValueError, TypeError):
        return None
    return said if len(said) == n_clips else None
