"""Which attention heads of a decoder follow the sound: those that the model names, or those that are seen to do it.

Published models name theirs. A model trained here has none, and fine-tuning may turn a head away from what it did:
then they are estimated anew from recordings, whose texts need not be known.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from itertools import pairwise
from typing import Any

import numpy as np

from projectone.speech.audio import HOP_LENGTH
from projectone.speech.checkpoint import WhisperCheckpoint
from projectone.speech.kernels import Floats
from projectone.speech.model_files import ENCODER_STRIDE
from projectone.speech.pauses import loudness_of
from projectone.speech.timing import Trace, token_starts
from projectone.speech.watching import Head
from projectone.speech.whisper import ModelDimensions

Samples = np.ndarray[Any, np.dtype[np.float32]]

MOST_HEADS = 10
"""As many as the published models name, at most."""

SAMPLES_PER_POSITION = HOP_LENGTH * ENCODER_STRIDE
_LEAST_TOKENS = 3
_NEAR = 5  # positions: a tenth of a second before and after a token belong to it
_LEAST = 0.5  # of the best head's score
_ROUNDS = 3
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


def estimate_alignment_heads(traces: Sequence[tuple[Trace, Samples]], heads: Sequence[Head], *, eot: int) -> list[Head]:
    """Of some heads those that follow the sound best, best first.

    Where most of them put each token is taken for true at first; a head is as good as its attention is near its own
    tokens and not near others'; and the best ones decide the next time.

    Args:
        traces: Of these heads over recordings with several words each, and the recordings.
        heads: In the order in which they were watched.
        eot: Every lower token is text.

    Raises:
        ValueError: if there is nothing to go by.
    """
    chosen = list(range(len(heads)))
    for _ in range(_ROUNDS):
        scores = [scored for trace, samples in traces if (scored := _scores(trace, samples, chosen, eot)) is not None]
        if not scores:
            raise ValueError("traces: expected recordings with several words")
        mean = np.mean(scores, axis=0)
        order = np.argsort(-mean)[:MOST_HEADS]
        chosen = [int(index) for index in order if mean[index] >= _LEAST * mean[order[0]]]
    return [heads[index] for index in chosen]


def _scores(trace: Trace, samples: Samples, chosen: Sequence[int], eot: int) -> Floats | None:
    """Of every head: its share near the token that it is about, less what other tokens look there."""
    n_positions = min(trace.shares.shape[2], max(1, samples.size // SAMPLES_PER_POSITION))
    places = [place for place, token in enumerate(trace.tokens) if token < eot]
    if len(places) < _LEAST_TOKENS:
        return None
    heard = loudness_of(samples)
    loudness = None if heard is None else heard.of_positions(0, n_positions)
    judged = replace(trace, shares=trace.shares[list(chosen)])
    starts = token_starts(judged, places, range(len(places)), n_positions, loudness)
    rows = trace.shares[:, [trace.n_before + place for place in places]]
    spans = [slice(max(0, start - _NEAR), end + _NEAR) for start, end in pairwise(starts)]
    near = np.stack([rows[:, :, span].sum(axis=-1) for span in spans], axis=-1)  # (heads, who looks, at whose place)
    own, n_tokens = np.trace(near, axis1=1, axis2=2), len(places)
    return np.asarray(own / n_tokens - (near.sum(axis=(1, 2)) - own) / (n_tokens * (n_tokens - 1)), np.float32)
