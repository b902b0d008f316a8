"""The Whisper model: encoder, decoder with a key and value cache. Attribute names are those of mlx_whisper."""

from __future__ import annotations

import math
from dataclasses import dataclass

import mlx.core as mx
import mlx.nn as nn
import numpy as np

from projectone.speech import absorbed_attention, blocked_attention, cross_attention, half_blocks, ops, tied_embedding
from projectone.speech.layers import Conv1d, LayerNorm, Linear

# Keys and values of one attention: (batch, positions, state) each.
KeyValues = tuple[mx.array, mx.array]
# Per decoder block: of the tokens so far, and of the audio.
BlockCache = tuple[KeyValues | None, KeyValues | None]
KvCache = list[BlockCache]


@dataclass(frozen=True)
class ModelDimensions:
    """The sizes of a Whisper model; the names are the reference's.

    Attributes:
        n_mels: Mel bands of the input.
        n_audio_ctx: Encoder positions of a full window: half its mel frames.
        n_audio_state: Width of the encoder.
        n_audio_head: Attention heads of the encoder.
        n_audio_layer: Encoder blocks.
        n_vocab: Tokens, special ones included.
        n_text_ctx: Decoder positions.
        n_text_state: Width of the decoder; equals `n_audio_state`.
        n_text_head: Attention heads of the decoder.
        n_text_layer: Decoder blocks.
    """

    n_mels: int
    n_audio_ctx: int
    n_audio_state: int
    n_audio_head: int
    n_audio_layer: int
    n_vocab: int
    n_text_ctx: int
    n_text_state: int
    n_text_head: int
    n_text_layer: int

    def __post_init__(self) -> None:
        for name, value in vars(self).items():
            if not isinstance(value, int) or value < 1:
                raise ValueError(f"{name}: expected a positive whole number, got {value!r}")
        if self.n_audio_state != self.n_text_state:
            raise ValueError(f"expected one width, got encoder {self.n_audio_state} and decoder {self.n_text_state}")
        for state, head in ((self.n_audio_state, self.n_audio_head), (self.n_text_state, self.n_text_head)):
            if state % head or state % 2:
                raise ValueError(f"expected an even width that {head} heads divide, got {state}")


def sinusoids(length: int, channels: int, *, max_timescale: float = 10_000.0) -> mx.array:
    """The encoder's fixed positions, (length, channels): sines in the first half, cosines in the second."""
    # float64 first: mlx's own float32 sine of large arguments is off by more than the checkpoints round to.
    rates = np.exp(-math.log(max_timescale) / (channels // 2 - 1) * np.arange(channels // 2))
    angles = np.arange(length)[:, None] * rates[None, :]
    return mx.array(np.concatenate([np.sin(angles), np.cos(angles)], axis=1).astype(np.float32))


class MultiHeadAttention(nn.Module):
    """Attention of Whisper: the key projection has no bias."""

    def __init__(self, n_state: int, n_head: int) -> None:
        super().__init__()
        self.n_head = n_head
        self.query = Linear(n_state, n_state)
        self.key = Linear(n_state, n_state, bias=False)
        self.value = Linear(n_state, n_state)
        self.out = Linear(n_state, n_state)

    def __call__(
        self,
        x: mx.array,
        xa: mx.array | None = None,
        mask: mx.array | None = None,
        kv_cache: KeyValues | None = None,
    ) -> tuple[mx.array, KeyValues, mx.array]:
        """Attend from `x` to itself, or to `xa` where given.

        Args:
            x: (batch, tokens, state).
            xa: (batch, positions, state); its keys and values are computed once and then come from `kv_cache`.
            mask: Added to the scores, (tokens, positions).
            kv_cache: What the last call returned.

        Returns:
            The output, keys and values so far, and the scores (batch, heads, tokens, positions).
        """
        if xa is not None:
            keys, values = kv_cache if kv_cache is not None else (self.key(xa), self.value(xa))
        else:
            keys, values = self.key(x), self.value(x)
            if kv_cache is not None:
                keys = mx.concatenate([kv_cache[0], keys], axis=1)
                values = mx.concatenate([kv_cache[1], values], axis=1)
        attended, scores = self._attend(self.query(x), keys, values, mask)
        return self.out(attended), (keys, values), scores

    def _attend(
        self, query: mx.array, keys: mx.array, values: mx.array, mask: mx.array | None
    ) -> tuple[mx.array, mx.array]:
        batch, n_tokens, n_state = query.shape
        scale = (n_state // self.n_head) ** -0.5
        q = (query * scale).reshape(batch, n_tokens, self.n_head, -1).transpose(0, 2, 1, 3)
        k = keys.reshape(keys.shape[0], keys.shape[1], self.n_head, -1).transpose(0, 2, 3, 1)
        v = values.reshape(values.shape[0], values.shape[1], self.n_head, -1).transpose(0, 2, 1, 3)
        scores = q @ k
        if mask is not None:
            scores = scores + mask.astype(scores.dtype)
        if mask is None and blocked_attention.suits(query, keys, self.n_head):
            # The scores are made only if the caller evaluates them.
            return blocked_attention.attend(query * scale, keys, values, self.n_head), scores
        attended = (ops.softmax(scores) @ v).transpose(0, 2, 1, 3)
        return attended.reshape(batch, n_tokens, n_state), scores


class ResidualAttentionBlock(nn.Module):
    """One transformer block; the decoder's also attends to the audio."""

    def __init__(self, n_state: int, n_head: int, *, cross_attention: bool = False) -> None:
        super().__init__()
        self.attn = MultiHeadAttention(n_state, n_head)
        self.attn_ln = LayerNorm(n_state)
        if cross_attention:
            self.cross_attn = MultiHeadAttention(n_state, n_head)
            self.cross_attn_ln = LayerNorm(n_state)
        self.mlp1 = Linear(n_state, 4 * n_state)
        self.mlp2 = Linear(4 * n_state, n_state)
        self.mlp_ln = LayerNorm(n_state)

    def __call__(
        self,
        x: mx.array,
        xa: mx.array | None = None,
        mask: mx.array | None = None,
        kv_cache: BlockCache | None = None,
    ) -> tuple[mx.array, BlockCache, mx.array | None]:
        """(batch, tokens, state) to the same shape, the cache for the next call, and the scores over the audio."""
        own_cache, cross_cache = kv_cache if kv_cache is not None else (None, None)
        attended, own_cache, _ = self.attn(self.attn_ln(x), mask=mask, kv_cache=own_cache)
        x = x + attended
        cross_qk: mx.array | None = None
        if xa is not None:
            attended, cross_cache, cross_qk = self.cross_attn(self.cross_attn_ln(x), xa, kv_cache=cross_cache)
            x = x + attended
        return self._add_mlp(x), (own_cache, cross_cache), cross_qk

    def transform(self, x: mx.array) -> mx.array:
        """As a call with nothing but `x`, (batch, positions, state), whose cache nobody wants."""
        linears = [self.attn.query, self.attn.key, self.attn.value, self.attn.out]
        if half_blocks.suits(x, self.attn_ln, linears):
            return self._add_mlp(half_blocks.add_attention(x, self.attn_ln, linears, self.attn.n_head))
        return self._add_mlp(x + self.attn(self.attn_ln(x))[0])

    def hear(self, x: mx.array, xa: mx.array, mask: mx.array | None) -> mx.array:
        """As a call, whose cache and scores nobody wants.

        Args:
            x: (batch, tokens, state).
            xa: (batch, positions, state).
            mask: Added to the scores of the tokens, (tokens, tokens); None for a single one.
        """
        x = x + self.attn(self.attn_ln(x), mask=mask)[0]
        cross = self.cross_attn
        linears = [cross.query, cross.key, cross.value, cross.out]
        if absorbed_attention.suits(x, xa, self.cross_attn_ln, linears, cross.n_head):
            x = absorbed_attention.add_cross_attention(x, xa, self.cross_attn_ln, linears, cross.n_head)
        elif cross_attention.suits(x, xa, self.cross_attn_ln, linears):
            x = cross_attention.add_cross_attention(x, xa, self.cross_attn_ln, linears, cross.n_head)
        else:
            x = x + cross(self.cross_attn_ln(x), xa)[0]
        return self._add_mlp(x)

    def _add_mlp(self, x: mx.array) -> mx.array:
        linears = [self.mlp1, self.mlp2]
        if half_blocks.suits(x, self.mlp_ln, linears):
            return half_blocks.add_mlp(x, self.mlp_ln, linears)
        return x + self.mlp2(ops.gelu(self.mlp1(self.mlp_ln(x))))


class AudioEncoder(nn.Module):
    """Log-mel frames to audio features, one for every two frames."""

    def __init__(self, n_mels: int, n_ctx: int, n_state: int, n_head: int, n_layer: int) -> None:
        super().__init__()
        self.conv1 = Conv1d(n_mels, n_state, kernel_size=3, padding=1)
        self.conv2 = Conv1d(n_state, n_state, kernel_size=3, stride=2, padding=1)
        self._positional_embedding = sinusoids(n_ctx, n_state)
        self.blocks = [ResidualAttentionBlock(n_state, n_head) for _ in range(n_layer)]
        self.ln_post = LayerNorm(n_state)

    def __call__(self, mel: mx.array) -> mx.array:
        """(batch, frames, mels) to (batch, ceil(frames / 2), state); fewer frames than a window are welcome.

        Raises:
            ValueError: if there are more frames than a window holds.
        """
        n_ctx = self._positional_embedding.shape[0]
        if mel.ndim != 3 or not 1 <= mel.shape[1] <= 2 * n_ctx:
            raise ValueError(f"expected (batch, 1 to {2 * n_ctx} frames, mels), got {mel.shape}")
        x = ops.gelu(self.conv1(mel))
        x = ops.gelu(self.conv2(x))
        x = x + self._positional_embedding[: x.shape[1]].astype(x.dtype)
        for block in self.blocks:
            x = block.transform(x)
        return self.ln_post(x)


class TextDecoder(nn.Module):
    """Tokens and audio features to scores of the next token."""

    def __init__(self, n_vocab: int, n_ctx: int, n_state: int, n_head: int, n_layer: int) -> None:
        super().__init__()
        self.token_embedding = nn.Embedding(n_vocab, n_state)
        self.positional_embedding = mx.zeros((n_ctx, n_state))
        self.blocks = [ResidualAttentionBlock(n_state, n_head, cross_attention=True) for _ in range(n_layer)]
        self.ln = LayerNorm(n_state)
        self._mask = nn.MultiHeadAttention.create_additive_causal_mask(n_ctx)

    def hidden_states(
        self, tokens: mx.array, audio_features: mx.array, kv_cache: KvCache | None = None
    ) -> tuple[mx.array, KvCache, list[mx.array | None]]:
        """All but the vocabulary projection, for callers that need it at few positions only.

        Args:
            tokens: (batch, tokens); with a cache, only those that follow it.
            audio_features: (batch, positions, state) of the encoder.
            kv_cache: What the last call returned, to go on from there.

        Returns:
            (batch, tokens, state), the cache for the next call, and each block's scores over the audio.

        Raises:
            ValueError: if there are more tokens than positions.
        """
        offset = kv_cache[0][0][0].shape[1] if kv_cache and kv_cache[0][0] is not None else 0
        x, mask = self._placed(self.token_embedding(tokens), offset)
        new_cache: KvCache = []
        cross_qk: list[mx.array | None] = []
        for index, block in enumerate(self.blocks):
            x, block_cache, scores = block(x, audio_features, mask, kv_cache[index] if kv_cache else None)
            new_cache.append(block_cache)
            cross_qk.append(scores)
        return self.ln(x), new_cache, cross_qk

    def next_token_nats(
        self, tokens: mx.array, audio_features: mx.array, places: tuple[mx.array, mx.array], targets: mx.array
    ) -> mx.array:
        """Nats of the tokens that should follow, (targets,), float32: what a loss asks for, and its gradients cheaply.

        Args:
            tokens: (batch, tokens).
            audio_features: (batch, positions, state) of the encoder.
            places: After which tokens the targets follow: row and column of each.
            targets: (targets,).

        Raises:
            ValueError: if there are more tokens than positions.
        """
        embedded, weight = tied_embedding.looked_up(self.token_embedding.weight, tokens)
        x, mask = self._placed(embedded, 0)
        for block in self.blocks:
            x = block.hear(x, audio_features, mask)
        return tied_embedding.next_token_nats(self.ln(x)[places], weight, targets)

    def _placed(self, x: mx.array, offset: int) -> tuple[mx.array, mx.array | None]:
        """Tokens that are looked up, (batch, tokens, state), at their positions; and the mask over those before."""
        end = offset + x.shape[1]
        n_ctx = self.positional_embedding.shape[0]
        if end > n_ctx:
            raise ValueError(f"expected at most {n_ctx} tokens, got {end}")
        mask = self._mask[offset:end, :end] if x.shape[1] > 1 else None
        return x + self.positional_embedding[offset:end], mask

    def __call__(
        self, tokens: mx.array, audio_features: mx.array, kv_cache: KvCache | None = None
    ) -> tuple[mx.array, KvCache, list[mx.array | None]]:
        """As `hidden_states`, with scores of the next token (batch, tokens, vocab) in the first place."""
        x, new_cache, cross_qk = self.hidden_states(tokens, audio_features, kv_cache)
        return self.token_embedding.as_linear(x), new_cache, cross_qk


class Whisper(nn.Module):
    """Speech in, text out: the whole model, with random weights until a checkpoint is loaded into it."""

    def __init__(self, dims: ModelDimensions) -> None:
        super().__init__()
        self.dims = dims
        self.encoder = AudioEncoder(
            dims.n_mels, dims.n_audio_ctx, dims.n_audio_state, dims.n_audio_head, dims.n_audio_layer
        )
        self.decoder = TextDecoder(
            dims.n_vocab, dims.n_text_ctx, dims.n_text_state, dims.n_text_head, dims.n_text_layer
        )

    def embed_audio(self, mel: mx.array) -> mx.array:
        """Log-mel (batch, frames, mels) to audio features (batch, ceil(frames / 2), state)."""
        features: mx.array = self.encoder(mel)
        return features

    def logits(self, tokens: mx.array, audio_features: mx.array) -> mx.array:
        """Scores of the next token after each of `tokens`: (batch, tokens, vocab)."""
        scores: mx.array = self.decoder(tokens, audio_features)[0]
        return scores

    def __call__(self, mel: mx.array, tokens: mx.array) -> mx.array:
        """Scores of the next token, (batch, tokens, vocab), straight from sound."""
        return self.logits(tokens, self.embed_audio(mel))
