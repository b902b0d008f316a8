"""What the small models promise: one required method each."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

import numpy as np

Vectors = np.ndarray[Any, np.dtype[np.float32]]


@dataclass(frozen=True)
class Judgement:
    """What a classifier thinks of a text.

    Attributes:
        label: What is meant; None for none of these.
        nearest: The label that fits best, also where it does not fit.
        probability: That `nearest` is right, if one of the labels is.
        fit: How well `nearest` fits; below the classifier's threshold it is none of these.
        sketch: In which of eight parts of space the text lies (`assist.sketches`); None if its vector is not at hand.
    """

    label: str | None
    nearest: str
    probability: float
    fit: float
    sketch: int | None = field(default=None, compare=False)


class Embedder(Protocol):
    """Texts as vectors: what means the same lies side by side."""

    def embed(self, texts: Sequence[str]) -> Vectors:
        """A vector of length one for each text, (texts, width); all zeros where a text says nothing."""
        ...


class Classifier(Protocol):
    """Which of a closed set of labels a text has, or none."""

    def classify(self, texts: Sequence[str]) -> list[Judgement]:
        """A judgement for each text."""
        ...
