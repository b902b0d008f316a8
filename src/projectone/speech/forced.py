"""What a model makes of given frames and given tokens, as numpy arrays: the truth that converted models are held to."""

from __future__ import annotations

import mlx.core as mx
import numpy as np
import numpy.typing as npt

from projectone.speech.checkpoint import WhisperCheckpoint
from projectone.speech.decoding import DecodingOptions, decode

Floats = npt.NDArray[np.float32]


def audio_features(checkpoint: WhisperCheckpoint, mel: Floats) -> Floats:
    """Log-mel frames (frames, mels) to audio features (positions, state)."""
    features = np.array(checkpoint.model.embed_audio(mx.array(mel[None])))
    return np.asarray(features[0], np.float32)


def written_tokens(checkpoint: WhisperCheckpoint, mel: Floats, *, language: str, n_most: int) -> list[int]:
    """What the model writes of log-mel frames (frames, mels), greedily, without timestamps: `n_most` tokens at most."""
    options = DecodingOptions(language=language, max_new_tokens=n_most)
    return list(decode(checkpoint, mx.array(mel[None]), options)[0].tokens)


def forced_scores(
    checkpoint: WhisperCheckpoint, tokens: npt.NDArray[np.int32], features: Floats
) -> tuple[Floats, Floats | None]:
    """Scores of the next token after each of `tokens`, and where its alignment heads look.

    Args:
        checkpoint: The model.
        tokens: (tokens,).
        features: (positions, state).

    Returns:
        (tokens, vocab), and the mean of the alignment heads' shares (tokens, positions), None for a model without any.
    """
    decoder = checkpoint.model.decoder
    hidden, _, of_layers = decoder.hidden_states(mx.array(tokens[None]), mx.array(features[None]))
    shares = []
    for layer, head in checkpoint.generation.alignment_heads:
        if (scores := of_layers[layer]) is not None:
            shares.append(np.array(mx.softmax(scores[0, head], axis=-1)))
    logits = np.array(decoder.token_embedding.as_linear(hidden))[0]
    return logits, np.asarray(np.mean(shares, axis=0), np.float32) if shares else None
