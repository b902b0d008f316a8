"""Where chosen attention heads of the decoder look in the sound, noted while it decodes: it costs a copy."""

from __future__ import annotations

from collections.abc import Sequence

import mlx.core as mx
import numpy as np

from projectone.speech.kernels import Floats

Head = tuple[int, int]
"""Layer and head, both from 0."""


class Watch:
    """Is handed the shares of every step; whoever decodes takes what was noted after each.

    Attributes:
        heads: Those that are watched, in the order of the layers.
    """

    def __init__(self, heads: Sequence[Head]) -> None:
        self.heads = tuple(sorted(set(heads)))
        self._of_layer: dict[int, list[int]] = {}
        for layer, head in self.heads:
            self._of_layer.setdefault(layer, []).append(head)
        self._noted: list[Floats] = []

    def note(self, layer: int, shares: Floats) -> None:
        """The shares of all heads of a layer: (rows, heads, tokens, positions). They are copied."""
        if layer in self._of_layer:
            self._noted.append(shares[:, self._of_layer[layer]])

    def note_scores(self, of_layers: Sequence[mx.array | None]) -> None:
        """The scores of all layers, before they are made shares; only those of the watched heads are computed."""
        for layer, scores in enumerate(of_layers):
            if scores is not None and layer in self._of_layer:
                watched = scores[:, mx.array(self._of_layer[layer])].astype(mx.float32)
                self._noted.append(np.array(mx.softmax(watched, axis=-1, precise=True)))

    def take(self) -> Floats:
        """What was noted since the last call: (rows, watched heads, tokens, positions)."""
        noted, self._noted = self._noted, []
        return np.concatenate(noted, axis=1)
