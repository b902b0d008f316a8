"""Whisper in PyTorch, small and fast to train; its parameter names are those of the Hugging Face checkpoints."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from projectone.speech.whisper import sinusoids


@dataclass(frozen=True)
class Shape:
    """The sizes of the model."""

    n_vocab: int
    n_state: int = 192
    n_head: int = 3
    n_audio_layer: int = 5
    n_text_layer: int = 2
    n_audio_ctx: int = 500
    n_text_ctx: int = 128
    n_mels: int = 80
    dropout: float = 0.04


def drop(x: Tensor, share: float, *, is_training: bool) -> Tensor:
    """Dropout with one mask for all positions of an example: drawing a number for each costs more than a product."""
    if not is_training or share == 0:
        return x
    mask = torch.rand(x.shape[0], 1, x.shape[2]) >= share
    return x * (mask / (1 - share)).to(x.dtype)


class Attention(nn.Module):
    """Attention of Whisper: no bias on the keys."""

    def __init__(self, n_state: int, n_head: int) -> None:
        super().__init__()
        self.n_head = n_head
        self.guided: Tensor | None = None  # the first head's scores over the audio in the last call
        self.k_proj = nn.Linear(n_state, n_state, bias=False)
        self.v_proj = nn.Linear(n_state, n_state)
        self.q_proj = nn.Linear(n_state, n_state)
        self.out_proj = nn.Linear(n_state, n_state)

    def forward(self, x: Tensor, xa: Tensor | None = None, *, is_causal: bool = False) -> Tensor:
        """(batch, tokens, state) to the same."""
        query, keys, values = self._projections(x, x if xa is None else xa)
        # Written out: on a CPU in bfloat16 it takes a third of the time of the fused kernel.
        scores = query @ keys.transpose(-1, -2)
        self.guided = scores[:, 0] if xa is not None else None
        if is_causal:
            future = torch.ones(x.shape[1], x.shape[1], dtype=torch.bool).triu(1)
            scores = scores.masked_fill(future, -torch.inf)
        attended = torch.softmax(scores, dim=-1, dtype=scores.dtype) @ values
        out: Tensor = self.out_proj(attended.transpose(1, 2).reshape(x.shape))
        return out

    def _projections(self, x: Tensor, source: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Query, keys and values, (batch, heads, tokens, head state) each; joint products, which are the faster."""
        scale = (x.shape[-1] // self.n_head) ** -0.5
        query_weight, query_bias = self.q_proj.weight * scale, self.q_proj.bias * scale
        pair_weight = [self.k_proj.weight, self.v_proj.weight]
        pair_bias = [torch.zeros_like(self.v_proj.bias), self.v_proj.bias]
        if source is x:
            joint = functional.linear(x, torch.cat([query_weight, *pair_weight]), torch.cat([query_bias, *pair_bias]))
            query, keys, values = self._heads(joint, 3)
            return query, keys, values
        (query,) = self._heads(functional.linear(x, query_weight, query_bias), 1)
        keys, values = self._heads(functional.linear(source, torch.cat(pair_weight), torch.cat(pair_bias)), 2)
        return query, keys, values

    def _heads(self, joint: Tensor, n_parts: int) -> Tensor:
        """(parts, batch, heads, tokens, head state)."""
        return joint.view(*joint.shape[:2], n_parts, self.n_head, -1).permute(2, 0, 3, 1, 4).contiguous()


class Layer(nn.Module):
    """One transformer block."""

    def __init__(self, shape: Shape, *, is_decoder: bool) -> None:
        super().__init__()
        self.self_attn = Attention(shape.n_state, shape.n_head)
        self.self_attn_layer_norm = nn.LayerNorm(shape.n_state)
        self.is_decoder = is_decoder
        if is_decoder:
            self.encoder_attn = Attention(shape.n_state, shape.n_head)
            self.encoder_attn_layer_norm = nn.LayerNorm(shape.n_state)
        self.fc1 = nn.Linear(shape.n_state, 4 * shape.n_state)
        self.fc2 = nn.Linear(4 * shape.n_state, shape.n_state)
        self.final_layer_norm = nn.LayerNorm(shape.n_state)
        self.dropout = shape.dropout

    def forward(self, x: Tensor, xa: Tensor | None = None) -> Tensor:
        """(batch, tokens, state) to the same."""
        own = self.self_attn(self.self_attn_layer_norm(x), is_causal=self.is_decoder)
        x = x + drop(own, self.dropout, is_training=self.training)
        if xa is not None:
            across = self.encoder_attn(self.encoder_attn_layer_norm(x), xa)
            x = x + drop(across, self.dropout, is_training=self.training)
        hidden = self.fc2(functional.gelu(self.fc1(self.final_layer_norm(x))))
        return x + drop(hidden, self.dropout, is_training=self.training)


class Encoder(nn.Module):
    """Log-mel frames to audio features."""

    def __init__(self, shape: Shape) -> None:
        super().__init__()
        self.conv1 = nn.Conv1d(shape.n_mels, shape.n_state, 3, padding=1)
        self.conv2 = nn.Conv1d(shape.n_state, shape.n_state, 3, stride=2, padding=1)
        self.embed_positions = nn.Embedding(shape.n_audio_ctx, shape.n_state)
        self.embed_positions.weight.data = torch.from_numpy(np.array(sinusoids(shape.n_audio_ctx, shape.n_state)))
        self.embed_positions.weight.requires_grad = False
        self.layers = nn.ModuleList(Layer(shape, is_decoder=False) for _ in range(shape.n_audio_layer))
        self.layer_norm = nn.LayerNorm(shape.n_state)
        self.dropout = shape.dropout

    def forward(self, mel: Tensor) -> tuple[Tensor, Tensor]:
        """(batch, frames, mels) to features (batch, frames / 2, state), and those of the middle layer."""
        x = functional.gelu(self.conv1(mel.transpose(1, 2)))
        x = functional.gelu(self.conv2(x)).transpose(1, 2)
        x = drop(x + self.embed_positions.weight[: x.shape[1]], self.dropout, is_training=self.training)
        middle = x
        for index, layer in enumerate(self.layers):
            x = layer(x)
            if index + 1 == (len(self.layers) + 1) // 2:
                middle = x
        features: Tensor = self.layer_norm(x)
        return features, middle


class Decoder(nn.Module):
    """Tokens and audio features to scores of the next token."""

    def __init__(self, shape: Shape) -> None:
        super().__init__()
        self.embed_tokens = nn.Embedding(shape.n_vocab, shape.n_state)
        self.embed_positions = nn.Embedding(shape.n_text_ctx, shape.n_state)
        self.layers = nn.ModuleList(Layer(shape, is_decoder=True) for _ in range(shape.n_text_layer))
        self.layer_norm = nn.LayerNorm(shape.n_state)
        nn.init.normal_(self.embed_tokens.weight, std=0.05)
        nn.init.normal_(self.embed_positions.weight, std=0.02)
        self.dropout = shape.dropout

    def forward(self, tokens: Tensor, features: Tensor) -> Tensor:
        """(batch, tokens) to (batch, tokens, vocab)."""
        x = self.embed_tokens(tokens) + self.embed_positions.weight[: tokens.shape[1]]
        x = drop(x, self.dropout, is_training=self.training)
        for layer in self.layers:
            x = layer(x, features)
        return functional.linear(self.layer_norm(x), self.embed_tokens.weight)


class Body(nn.Module):
    """The part that the checkpoint calls `model`."""

    def __init__(self, shape: Shape) -> None:
        super().__init__()
        self.encoder = Encoder(shape)
        self.decoder = Decoder(shape)


class Student(nn.Module):
    """Whisper, and the two connectionist heads that teach its encoder to align; they are not kept."""

    def __init__(self, shape: Shape, *, n_pieces: int, n_phonemes: int) -> None:
        super().__init__()
        self.shape = shape
        self.model = Body(shape)
        self.piece_head = nn.Linear(shape.n_state, n_pieces + 1)
        self.phoneme_head = nn.Sequential(nn.LayerNorm(shape.n_state), nn.Linear(shape.n_state, n_phonemes + 1))

    def kept_weights(self) -> dict[str, Tensor]:
        """The checkpoint's tensors by their Hugging Face names."""
        return {name: value for name, value in self.state_dict().items() if name.startswith("model.")}
