"""Estimates which attention heads follow the sound, where a model names none or was trained away from those it names.

The texts of the recordings need not be known. Where most heads put each token that the model itself writes is taken for
true at first; a head is as good as its attention is near its own tokens and not near others'; and the best ones decide
the next time. A head that always looks at the same place, or anywhere, has nothing of its own to gain.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from itertools import pairwise

import numpy as np

from projectone.speech.audio import HOP_LENGTH, log_mel_spectrogram
from projectone.speech.checkpoint import WhisperCheckpoint
from projectone.speech.decoding import DecodingOptions, decode_features
from projectone.speech.encoding import embed_windows
from projectone.speech.kernels import Floats
from projectone.speech.model_files import ENCODER_STRIDE
from projectone.speech.pauses import loudness_of
from projectone.speech.timing import Trace, token_starts
from projectone.speech.watching import Head

MOST_HEADS = 10
"""As many as the published models name, at most."""

MOST_CLIPS = 12
"""More say nothing new, and every one takes as much memory as all heads of the model look at."""

_LEAST_TOKENS = 3
_NEAR = 5  # positions: a tenth of a second before and after a token belong to it
_LEAST = 0.5  # of the best head's score
_ROUNDS = 3
_SAMPLES_PER_POSITION = HOP_LENGTH * ENCODER_STRIDE


def realigned(
    checkpoint: WhisperCheckpoint, clips: Sequence[Floats], *, language: str | None = None
) -> WhisperCheckpoint:
    """The model, naming heads that follow the sound: those that it names already, if they still do.

    Args:
        checkpoint: After its training.
        clips: A few recordings with several words each, one channel at 16 kHz; the first window of each is heard.
        language: Of the recordings; detected if not given.

    Raises:
        ValueError: if the model hears too little in them to go by.
    """
    dims, named = checkpoint.dims, checkpoint.generation.alignment_heads
    heads = [(layer, head) for layer in range(dims.n_text_layer) for head in range(dims.n_text_head)]
    traces = traces_of(checkpoint, clips[:MOST_CLIPS], heads, language=language)
    scores = follow_scores(traces, len(heads), eot=checkpoint.tokenizer.eot)
    of_head = dict(zip(heads, scores.tolist(), strict=True))
    if named and np.mean([of_head.get(head, 0.0) for head in named]) >= _LEAST * max(scores):
        return checkpoint
    chosen = sorted(heads[index] for index in _best(scores))
    return replace(checkpoint, generation=replace(checkpoint.generation, alignment_heads=tuple(chosen)))


def still_aligned(
    checkpoint: WhisperCheckpoint, clips: Sequence[Floats], *, language: str | None = None
) -> WhisperCheckpoint:
    """A model that was trained, naming heads that follow the sound if it named any before; see `realigned`.

    Where too little is heard in the clips, it stays as it is.
    """
    if not checkpoint.generation.alignment_heads:
        return checkpoint
    try:
        return realigned(checkpoint, clips, language=language)
    except ValueError:
        return checkpoint


def traces_of(
    checkpoint: WhisperCheckpoint, clips: Sequence[Floats], heads: Sequence[Head], *, language: str | None
) -> list[tuple[Trace, Floats]]:
    """What the model writes of each clip, where these heads look meanwhile, and the part of the clip that it heard."""
    n_samples = checkpoint.features.n_samples
    options = DecodingOptions(language=language, heads=tuple(heads))
    traces = []
    for clip in clips:
        heard = clip[:n_samples]
        mel = log_mel_spectrogram(heard, checkpoint.dims.n_mels, padding=n_samples - heard.size)
        (result,) = decode_features(checkpoint, embed_windows(checkpoint.model, mel[None]), options)
        if result.trace is not None:
            n_positions = max(1, heard.size // _SAMPLES_PER_POSITION)
            # Of the padding behind a short clip nothing is asked.
            traces.append((replace(result.trace, shares=result.trace.shares[:, :, :n_positions].copy()), heard))
    return traces


def follow_scores(traces: Sequence[tuple[Trace, Floats]], n_heads: int, *, eot: int) -> Floats:
    """How well each of the heads follows the sound, at most 1: (heads,).

    Args:
        traces: Of these heads, and the recordings.
        n_heads: How many they are.
        eot: Every lower token is text.

    Raises:
        ValueError: if there is nothing to go by.
    """
    told = [
        (trace, samples) for trace, samples in traces if sum(token < eot for token in trace.tokens) >= _LEAST_TOKENS
    ]
    if not told:
        raise ValueError(f"clips: expected one in which at least {_LEAST_TOKENS} words are heard")
    chosen = list(range(n_heads))
    for _ in range(_ROUNDS):
        scores = np.mean([_scores(trace, samples, chosen, eot) for trace, samples in told], axis=0)
        chosen = _best(scores)
    return np.asarray(scores, np.float32)


def _best(scores: Floats) -> list[int]:
    order = np.argsort(-scores)[:MOST_HEADS].tolist()
    return [index for index in order if scores[index] >= _LEAST * scores[order[0]]]


def _scores(trace: Trace, samples: Floats, chosen: Sequence[int], eot: int) -> Floats:
    """Of every head: its share near the token that it is about, less what other tokens look there."""
    n_positions = min(trace.shares.shape[2], max(1, samples.size // _SAMPLES_PER_POSITION))
    places = [place for place, token in enumerate(trace.tokens) if token < eot]
    heard = loudness_of(samples)
    loudness = None if heard is None else heard.of_positions(0, n_positions)
    judged = replace(trace, shares=trace.shares[list(chosen)])
    starts = token_starts(judged, places, range(len(places)), n_positions, loudness)
    rows = trace.shares[:, [trace.n_before + place for place in places]]
    spans = [slice(max(0, start - _NEAR), end + _NEAR) for start, end in pairwise(starts)]
    near = np.stack([rows[:, :, span].sum(axis=-1) for span in spans], axis=-1)  # (heads, who looks, at whose place)
    own, n_tokens = np.trace(near, axis1=1, axis2=2), len(places)
    return np.asarray(own / n_tokens - (near.sum(axis=(1, 2)) - own) / (n_tokens * (n_tokens - 1)), np.float32)
