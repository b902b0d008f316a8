"""Rows of a manifest to sound: whatever the files are, one channel at 16 kHz comes out."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import numpy.typing as npt

from projectone.errors import DataError
from projectone.server.corpus.manifests import ManifestRow
from projectone.server.sandbox.decode import AudioDecoder
from projectone.server.training import TrainingClip
from projectone.storage.given_files import read_given
from projectone.waveform.resample import to_16k_mono

# Ten minutes, the most that is decoded, of eight channels at 192 kHz and 32 bits are 3.7 GB: nobody trains on that.
_MAX_CLIP_BYTES = 1 << 30

Samples = npt.NDArray[np.float32]


@contextmanager
def open_decoder() -> Iterator[Callable[[Path], Samples]]:
    """A function from a file to one channel at 16 kHz; one sealed child serves all files."""
    with AudioDecoder() as decoder:

        def decode(path: Path) -> Samples:
            try:
                samples, rate = decoder.decode(_content(path), suffix=path.suffix)
                return to_16k_mono(samples, rate)
            except DataError as error:
                raise DataError(error.reason, f"{path.name!r}: {error}") from error
            except ValueError as error:
                raise DataError("audio-unreadable", f"{path.name!r}: {error}") from error

        yield decode


def _content(path: Path) -> bytes:
    try:
        return read_given(path, max_bytes=_MAX_CLIP_BYTES, expected="a recording")
    except DataError as error:
        raise DataError("audio-unreadable", str(error)) from error


def training_clips(rows: Sequence[ManifestRow], decode: Callable[[Path], Samples]) -> list[TrainingClip]:
    """Clips to learn from; rows without words are left out: there is nothing to learn to write."""
    return [
        TrainingClip(row.clip_id, decode(row.audio), row.text, row.speaker, row.previous_text)
        for row in rows
        if row.text
    ]
