"""Which attention heads of a decoder follow the sound: those that the model names, or a guess."""

from __future__ import annotations

from projectone.speech.checkpoint import WhisperCheckpoint
from projectone.speech.watching import Head
from projectone.speech.whisper import ModelDimensions

_MOST_GUESSED = 32


def alignment_heads_of(checkpoint: WhisperCheckpoint) -> tuple[Head, ...]:
    """The heads that the model names, or a guess.

    Distilled models are published with the heads of the model that they come from: those are passed over.
    """
    dims, named = checkpoint.dims, checkpoint.generation.alignment_heads
    if named and all(0 <= layer < dims.n_text_layer and 0 <= head < dims.n_text_head for layer, head in named):
        return named
    return guessed_heads(dims)


def guessed_heads(dims: ModelDimensions) -> tuple[Head, ...]:
    """All heads of the last half of the layers, or some of each where that would be very many.

    Source: `alignment_heads` in whisper/model.py, for models that name none.
    """
    layers = range(dims.n_text_layer // 2, dims.n_text_layer)
    step = -(-len(layers) * dims.n_text_head // _MOST_GUESSED)
    return tuple((layer, head) for layer in layers for head in range(0, dims.n_text_head, step))
