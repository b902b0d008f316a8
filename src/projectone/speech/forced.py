"""What a model makes of given frames and given tokens, as numpy arrays: the truth that converted models are held to."""

from __future__ import annotations

from collections.abc import Sequence

import mlx.core as mx
import numpy as np
import numpy.typing as npt

from projectone.speech.audio import SAMPLE_RATE, log_mel
from projectone.speech.checkpoint import WhisperCheckpoint
from projectone.speech.decoding import DecodingOptions, decode
from projectone.speech.logit_rules import logsumexp
from projectone.speech.prefix import decoder_prefix
from projectone.speech.timing import Trace
from projectone.speech.watching import Head, Watch

Floats = npt.NDArray[np.float32]


def audio_features(checkpoint: WhisperCheckpoint, mel: Floats) -> Floats:
    """Log-mel frames (frames, mels) to audio features (positions, state)."""
    features = np.array(checkpoint.model.embed_audio(mx.array(mel[None])))
    return np.asarray(features[0], np.float32)


def clip_features(checkpoint: WhisperCheckpoint, samples: Floats) -> Floats:
    """Audio features (positions, state) of a clip at 16 kHz, one window at most, in whole seconds.

    As `short_context` of transcribing has it: several times as fast as a whole window.
    """
    n_samples = min(checkpoint.features.n_samples, -(-samples.size // SAMPLE_RATE) * SAMPLE_RATE)
    heard = samples[:n_samples]
    return audio_features(checkpoint, log_mel(heard, checkpoint.dims.n_mels, padding=n_samples - heard.size))


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


def forced_trace(
    checkpoint: WhisperCheckpoint,
    tokens: Sequence[int],
    features: mx.array,
    *,
    language: str | None,
    timestamps: bool = False,
    heads: Sequence[Head],
) -> Trace:
    """What would have been noted had the model written these tokens itself.

    Args:
        checkpoint: The model.
        tokens: Without prefix and end-of-text.
        features: (positions, state).
        language: Of the text.
        timestamps: Whether they are among the tokens.
        heads: To watch; at least one.

    Source: `find_alignment` in whisper/timing.py.
    """
    prefix = decoder_prefix(checkpoint.tokenizer, language=language, timestamps=timestamps)
    decoder = checkpoint.model.decoder
    # End-of-text looks at nothing that is asked for, but what is usual for a token is judged with it.
    given = mx.array([[*prefix, *tokens, checkpoint.tokenizer.eot]], dtype=mx.int32)
    hidden, _, of_layers = decoder.hidden_states(given, features[None])
    watch = Watch(heads)
    watch.note_scores(of_layers)
    n_before = len(prefix) - 1
    scores = np.array(decoder.token_embedding.as_linear(hidden[0, n_before:-2]).astype(mx.float32))
    logprobs = scores[np.arange(len(tokens)), list(tokens)] - logsumexp(scores)
    return Trace(tuple(tokens), tuple(logprobs.tolist()), watch.take()[0], n_before)
