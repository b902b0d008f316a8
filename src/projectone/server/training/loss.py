"""Masked next-token cross-entropy, with the vocabulary projection at target positions only."""

from __future__ import annotations

from dataclasses import dataclass

import mlx.core as mx
import numpy as np
import numpy.typing as npt

from projectone.speech.whisper import Whisper

Integers = npt.NDArray[np.int32]
Floats = npt.NDArray[np.float32]


@dataclass(frozen=True)
class Batch:
    """What one step sees.

    Attributes:
        mel: (clips, frames, mels).
        tokens: Decoder input, (clips, tokens), right-padded with anything.
        rows: Clip of each target, (targets,).
        columns: Position in `tokens` after which the target follows, (targets,).
        targets: The token that follows, (targets,).
        audio_s: Seconds of real audio, without padding.
        weights: Of each target, 0 for those that only fill the shape; None if every one counts.
        features: What the encoder makes of `mel`, (clips, positions, state), if it is known: `mel` is not heard then.
    """

    mel: mx.array
    tokens: mx.array
    rows: mx.array
    columns: mx.array
    targets: mx.array
    audio_s: float
    features: mx.array | None = None
    weights: mx.array | None = None


@dataclass(frozen=True)
class Target:
    """One window's decoder tokens: the opening ones are given, the others must be predicted.

    Attributes:
        tokens: The opening ones first.
        n_given: How many of them open.
        marks: What else must be predicted: after which position, and which token, whatever follows there in `tokens`.
    """

    tokens: tuple[int, ...]
    n_given: int
    marks: tuple[tuple[int, int], ...] = ()

    def __post_init__(self) -> None:
        if not 1 <= self.n_given < len(self.tokens):
            raise ValueError(f"expected 1 <= n_given < {len(self.tokens)}, got {self.n_given}")


def collate_targets(targets: list[Target], *, pad: int) -> tuple[Integers, Integers, Integers, Integers]:
    """Decoder input (clips, tokens), then row, column and token of every target."""
    width = max(len(target.tokens) for target in targets) - 1
    tokens = np.full((len(targets), width), pad, dtype=np.int32)
    rows: list[int] = []
    columns: list[int] = []
    wanted: list[int] = []
    for row, target in enumerate(targets):
        tokens[row, : len(target.tokens) - 1] = target.tokens[:-1]
        for column in range(target.n_given - 1, len(target.tokens) - 1):
            rows.append(row)
            columns.append(column)
            wanted.append(target.tokens[column + 1])
        for column, token in target.marks:
            rows.append(row)
            columns.append(column)
            wanted.append(token)
    return tokens, np.array(rows, np.int32), np.array(columns, np.int32), np.array(wanted, np.int32)


def filled_up(
    tokens: Integers, rows: Integers, columns: Integers, wanted: Integers, *, multiple: int, most: int, pad: int
) -> tuple[Integers, Integers, Integers, Integers, Floats]:
    """What `collate_targets` gives, in shapes that repeat, and the weight of each target: 0 for those that fill.

    Args:
        tokens: Of `collate_targets`, (clips, tokens).
        rows: Of `collate_targets`, (targets,).
        columns: Of `collate_targets`, (targets,).
        wanted: Of `collate_targets`, (targets,).
        multiple: Of tokens in a row, and of targets.
        most: Decoder positions of the model; rows are never filled beyond.
        pad: The token to fill with.
    """
    width = min(most, -(-tokens.shape[1] // multiple) * multiple)
    n_more = -wanted.size % multiple
    filling = np.zeros(n_more, np.int32)
    weights = np.concatenate([np.ones(wanted.size, np.float32), np.zeros(n_more, np.float32)])
    return (
        np.pad(tokens, ((0, 0), (0, max(0, width - tokens.shape[1]))), constant_values=pad),
        np.concatenate([rows, filling]),
        np.concatenate([columns, filling]),
        np.concatenate([wanted, filling]),
        weights,
    )


def mean_cross_entropy(model: Whisper, batch: Batch) -> mx.array:
    """Nats per target token, float32; padding and the given opening tokens count for nothing.

    Projecting onto the vocabulary only where a target is spares most of that product: a batch of short corrections
    is mostly padding.
    """
    features = model.embed_audio(batch.mel) if batch.features is None else batch.features
    return decoder_cross_entropy(model, features, batch)


def decoder_cross_entropy(model: Whisper, features: mx.array, batch: Batch) -> mx.array:
    """As `mean_cross_entropy`, from audio features (clips, positions, state) that are given."""
    nats = model.decoder.next_token_nats(batch.tokens, features, (batch.rows, batch.columns), batch.targets)
    return nats.mean() if batch.weights is None else (nats * batch.weights).sum() / batch.weights.sum()
