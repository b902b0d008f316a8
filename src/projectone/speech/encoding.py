"""Windows of log-mel frames to audio features: what the decoder attends to. For inference only."""

from __future__ import annotations

import mlx.core as mx
import numpy as np

from projectone.speech.numpy_layers import Convolution, Floats, Linear, Norm, gelu, is_plain, view
from projectone.speech.whisper import AudioEncoder, MultiHeadAttention, ResidualAttentionBlock, Whisper

_AT_ONCE = 4  # windows: the scores of one window of 30 s take 54 MB in whisper-tiny
_QUERIES = 256  # whose scores over a window of 30 s, 1.5 MB, stay in a core's second-level cache


def embed_windows(model: Whisper, mels: mx.array) -> mx.array:
    """`Whisper.embed_audio`, evaluated; on a CPU nearly twice as fast, and always in little memory.

    Args:
        model: In evaluation mode.
        mels: (batch, frames, n_mels), at most one window of frames.

    Returns:
        (batch, ceil(frames / 2), state).
    """
    if is_plain(model.encoder) and mels.dtype == mx.float32 and 0 < mels.shape[1] <= 2 * model.dims.n_audio_ctx:
        encoder = NumpyEncoder(model.encoder)
        return mx.array(np.stack([encoder(window) for window in view(mels)]))
    features = []
    for first in range(0, mels.shape[0], _AT_ONCE):
        features.append(model.embed_audio(mels[first : first + _AT_ONCE]))
        mx.eval(features[-1])
    return mx.concatenate(features)


class NumpyEncoder:
    """The encoder on one window, (frames, n_mels) to (positions, state)."""

    def __init__(self, encoder: AudioEncoder) -> None:
        self._conv1 = Convolution(encoder.conv1, stride=1)
        self._conv2 = Convolution(encoder.conv2, stride=2)
        self._positions = np.array(encoder._positional_embedding.astype(mx.float32))
        self._blocks = [_Block(block) for block in encoder.blocks]
        self._ln_post = Norm(encoder.ln_post)

    def __call__(self, mel: Floats) -> Floats:
        """Features of one window."""
        x = gelu(self._conv2(gelu(self._conv1(mel))))
        x += self._positions[: len(x)]
        for block in self._blocks:
            block.add_to(x)
        return self._ln_post(x)


class _Block:
    def __init__(self, block: ResidualAttentionBlock) -> None:
        self._attn, self._attn_ln = _Attention(block.attn), Norm(block.attn_ln)
        self._mlp1, self._mlp2, self._mlp_ln = Linear(block.mlp1), Linear(block.mlp2), Norm(block.mlp_ln)

    def add_to(self, x: Floats) -> None:
        x += self._attn(self._attn_ln(x))
        x += self._mlp2(gelu(self._mlp1(self._mlp_ln(x))))


class _Attention:
    def __init__(self, attention: MultiHeadAttention) -> None:
        self._query, self._key = Linear(attention.query), Linear(attention.key)
        self._value, self._out = Linear(attention.value), Linear(attention.out)
        self._n_head = attention.n_head

    def __call__(self, x: Floats) -> Floats:
        n_positions, n_state = x.shape
        width = n_state // self._n_head
        query, key, value = self._query(x), self._key(x), self._value(x)
        query *= np.float32(width**-0.5)
        attended = np.empty_like(x)
        scores = np.empty((min(_QUERIES, n_positions), n_positions), np.float32)
        for head in range(self._n_head):
            columns = slice(head * width, (head + 1) * width)
            q, k, v = (np.ascontiguousarray(part[:, columns]) for part in (query, key, value))
            for start in range(0, n_positions, _QUERIES):
                rows = slice(start, start + _QUERIES)
                block = np.matmul(q[rows], k.T, out=scores[: len(q[rows])])
                block -= block.max(axis=-1, keepdims=True)
                np.exp(block, out=block)
                # Divided after the product: a row has fewer values than scores.
                attended[rows, columns] = (block @ v) / block.sum(axis=-1, keepdims=True)
        return self._out(attended)
