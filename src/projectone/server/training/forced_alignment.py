"""Where in a clip the words of a text are, by what the decoder looks at while it is made to write them.

Whisper has no CTC head: there is no blank, and no probability of a token in a frame. What it has are the scores of its
cross attention. Each head's are taken relative to its mean over the tokens, all heads are averaged, and the best path
that goes through tokens and sound in order gives each token its stretch. A model whose heads look elsewhere gives a
poor path: this is evidence beside the probabilities of the tokens, and much weaker than they are.

Source: `find_alignment` in openai/whisper `timing.py`, with all heads, for models that name none.
"""

from __future__ import annotations

from collections.abc import Sequence

import mlx.core as mx
import numpy as np
import numpy.typing as npt

from projectone.speech.timing import dtw

POSITION_S = 0.02

Float32 = npt.NDArray[np.float32]


def attention_of(scores: Sequence[mx.array | None], row: int, places: Sequence[int], n_positions: int) -> Float32:
    """What each token looks at, shape (tokens, positions): higher is more than other tokens of the same head do.

    Args:
        scores: Of each block, (batch, heads, tokens, positions), as `TextDecoder.hidden_states` gives them.
        row: Which text of the batch.
        places: Where each of its tokens is predicted.
        n_positions: How many positions hold sound; the others are padding.
    """
    heads = []
    for block in scores:
        if block is not None:
            looks = np.array(mx.softmax(block[row].astype(mx.float32), axis=-1))
            heads.append(looks[:, list(places), :n_positions])
    looks = np.concatenate(heads)
    middle, spread = looks.mean(axis=1, keepdims=True), looks.std(axis=1, keepdims=True)
    relative: Float32 = ((looks - middle) / (spread + 1e-9)).mean(axis=0).astype(np.float32)
    return relative


def stretches(attention: Float32) -> npt.NDArray[np.int64]:
    """How many positions each token has on the best path through both, in order; shape (tokens,)."""
    rows, _ = dtw(-attention)
    return np.bincount(rows, minlength=len(attention))
