"""Whisper with weights and activations of eight bits in its matrix products: for inference on a CPU.

All products of the blocks and with the vocabulary are quantised (`int8_products`). The two convolutions, which hear the
sound itself, attention between activations, normalisation and sums stay in float32.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Literal

import mlx.core as mx
import mlx.nn as nn
import numpy as np

from projectone.speech.checkpoint import WhisperCheckpoint, load_checkpoint
from projectone.speech.int8_products import Codes, product, quantise_rows
from projectone.speech.kernels import Floats
from projectone.speech.layers import Conv1d, LayerNorm
from projectone.speech.numpy_layers import has_plain_layers, view
from projectone.speech.onnx_graphs import Graph, Session
from projectone.speech.whisper import AudioEncoder, MultiHeadAttention, ResidualAttentionBlock, TextDecoder, Whisper

Numerics = Literal["float32", "int8"]


class Int8Whisper(Whisper):
    """A model whose windows are encoded, and whose tokens are decoded, in eight bits.

    It shares the float32 weights that it was made from; whatever asks the model itself, and not `embed_windows` or
    `open_stepper`, computes with those.

    Args:
        model: In float32. Later changes of its weights are not followed.
        n_threads: As many as there are cores by default.

    Raises:
        ValueError: if the model holds other layers, or other numbers.
        SettingsError: if onnxruntime is not installed.
    """

    def __init__(self, model: Whisper, *, n_threads: int = 0) -> None:
        if not has_plain_layers(model):
            raise ValueError("expected a model in float32 without adapters")
        super().__init__(model.dims)
        self.update(model.parameters())
        self.encoder._positional_embedding = model.encoder._positional_embedding
        self.eval()
        self._encode = _encoder_session(model.encoder, n_threads)
        self._sound_positions = view(model.encoder._positional_embedding)
        self.decoding = DecoderSessions(model.decoder, n_threads)

    def windows(self, mels: Floats) -> Floats:
        """Features (rows, ceil(frames / 2), state) of log-mel frames (rows, frames, mels)."""
        positions = self._sound_positions[: (mels.shape[1] + 1) // 2]
        return np.stack([self._encode(mel=mel.T[None], positions=positions)[0] for mel in mels])


class DecoderSessions:
    """What a decoder computes between its attentions; activations are (rows, state).

    Attributes:
        sound: Features of one window, (positions, state), to keys and values of all blocks, (heads, positions, width)
            each: the keys of the first block, its values, the keys of the second ...
        opening: Hidden states to what the first block's own attention needs: query, keys, values.
        after_own: For each block. Hidden states and what its own attention gathered, to new hidden states and the
            query of the attention to the sound.
        after_sound: For each block. Hidden states and what the attention to the sound gathered, to new hidden states
            and what the next block's attention needs: query, keys, values; after the last block nothing more.
        scores: Hidden states to scores of the next token, (rows, vocab).
        embedding: (vocab, state), in float32.
        positions: (text positions, state).
        n_head: Attention heads.
    """

    def __init__(self, decoder: TextDecoder, n_threads: int) -> None:
        blocks = decoder.blocks
        self.embedding, self.positions = view(decoder.token_embedding.weight), view(decoder.positional_embedding)
        self.n_head = blocks[0].attn.n_head
        self.sound = _sound_session(decoder, n_threads)
        state = self.embedding.shape[1]
        self.opening = _opening_session(blocks[0], state, n_threads)
        self.after_own = [_after_own_session(block, state, n_threads) for block in blocks]
        followers = [*blocks[1:], None]
        self.after_sound = [
            _after_sound_session(block, following, state, n_threads)
            for block, following in zip(blocks, followers, strict=True)
        ]
        self.scores = _scores_session(decoder, state, n_threads)


def quantised(checkpoint: WhisperCheckpoint, *, n_threads: int = 0) -> WhisperCheckpoint:
    """The same checkpoint, computing in eight bits.

    Args:
        checkpoint: With weights in float32.
        n_threads: As many as there are cores by default.

    Raises:
        SettingsError: if onnxruntime is not installed.
    """
    return replace(checkpoint, model=Int8Whisper(checkpoint.model, n_threads=n_threads))


def load_for_inference(folder: Path, numerics: Numerics, *, n_threads: int = 0) -> WhisperCheckpoint:
    """Read a model folder, and compute with it in these numerics.

    Raises:
        ArtifactError: naming the file, key or tensor that is not as it must be.
        SettingsError: if onnxruntime is not installed, and int8 asked for.
    """
    # GPUs multiply packed numbers as they are; on a CPU that takes fifty times as long as unpacking them once.
    stays_packed = bool(mx.default_device() == mx.gpu) and numerics == "float32"
    checkpoint = load_checkpoint(folder, stays_packed=stays_packed)
    return quantised(checkpoint, n_threads=n_threads) if numerics == "int8" else checkpoint


def _encoder_session(encoder: AudioEncoder, n_threads: int) -> Session:
    """A window, (1, mels, frames), and its positions, (positions, state), to features (positions, state)."""
    graph = Graph()
    x = _convolution(graph, "mel", encoder.conv1, stride=1)
    x = _convolution(graph, x, encoder.conv2, stride=2)
    first = graph.constant(np.array([0]))
    x = graph.add("Add", graph.add("Transpose", graph.add("Squeeze", x, first), perm=[1, 0]), "positions")
    for block in encoder.blocks:
        codes = quantise_rows(graph, _norm(graph, x, block.attn_ln))
        parts = [graph.add("Unsqueeze", part, first) for part in _projections(graph, codes, block.attn)]
        attended = graph.add("MultiHeadAttention", *parts, num_heads=block.attn.n_head)
        x = _add_linear(graph, x, graph.add("Squeeze", attended, first), block.attn.out)
        x = _add_mlp(graph, x, block)
    n_mels, state = encoder.conv1.weight.shape[2], encoder.conv1.weight.shape[0]
    inputs = {"mel": (1, n_mels, "frames"), "positions": ("positions", state)}
    return graph.session(inputs, [_norm(graph, x, encoder.ln_post)], n_threads=n_threads)


def _sound_session(decoder: TextDecoder, n_threads: int) -> Session:
    graph = Graph()
    codes = quantise_rows(graph, "features")
    n_head = decoder.blocks[0].attn.n_head
    state = decoder.token_embedding.weight.shape[1]
    shape = graph.constant(np.array([-1, n_head, state // n_head]))
    outputs = []
    for block in decoder.blocks:
        for linear in (block.cross_attn.key, block.cross_attn.value):
            made = graph.add("Reshape", _linear(graph, codes, linear), shape)
            outputs.append(graph.add("Transpose", made, perm=[1, 0, 2]))
    return graph.session({"features": ("positions", state)}, outputs, n_threads=n_threads)


def _opening_session(block: ResidualAttentionBlock, state: int, n_threads: int) -> Session:
    graph = Graph()
    outputs = _projections(graph, quantise_rows(graph, _norm(graph, "x", block.attn_ln)), block.attn)
    return graph.session({"x": ("rows", state)}, outputs, n_threads=n_threads)


def _after_own_session(block: ResidualAttentionBlock, state: int, n_threads: int) -> Session:
    graph = Graph()
    x = _add_linear(graph, "x", "gathered", block.attn.out)
    codes = quantise_rows(graph, _norm(graph, x, block.cross_attn_ln))
    query = _linear(graph, codes, block.cross_attn.query)
    return graph.session({"x": ("rows", state), "gathered": ("rows", state)}, [x, query], n_threads=n_threads)


def _after_sound_session(
    block: ResidualAttentionBlock, following: ResidualAttentionBlock | None, state: int, n_threads: int
) -> Session:
    graph = Graph()
    x = _add_mlp(graph, _add_linear(graph, "x", "gathered", block.cross_attn.out), block)
    outputs = [x]
    if following is not None:
        codes = quantise_rows(graph, _norm(graph, x, following.attn_ln))
        outputs += _projections(graph, codes, following.attn)
    return graph.session({"x": ("rows", state), "gathered": ("rows", state)}, outputs, n_threads=n_threads)


def _scores_session(decoder: TextDecoder, state: int, n_threads: int) -> Session:
    graph = Graph()
    codes = quantise_rows(graph, _norm(graph, "x", decoder.ln))
    scores = product(graph, codes, view(decoder.token_embedding.weight))
    return graph.session({"x": ("rows", state)}, [scores], n_threads=n_threads)


def _projections(graph: Graph, codes: Codes, attention: MultiHeadAttention) -> list[str]:
    return [_linear(graph, codes, linear) for linear in (attention.query, attention.key, attention.value)]


def _linear(graph: Graph, codes: Codes, linear: nn.Linear) -> str:
    return product(graph, codes, view(linear.weight), view(linear.bias) if "bias" in linear else None)


def _add_linear(graph: Graph, x: str, given: str, linear: nn.Linear) -> str:
    return graph.add("Add", x, _linear(graph, quantise_rows(graph, given), linear))


def _add_mlp(graph: Graph, x: str, block: ResidualAttentionBlock) -> str:
    wide = _linear(graph, quantise_rows(graph, _norm(graph, x, block.mlp_ln)), block.mlp1)
    return _add_linear(graph, x, graph.add("Gelu", wide), block.mlp2)


def _norm(graph: Graph, x: str, norm: LayerNorm) -> str:
    weight, bias = graph.constant(view(norm.weight)), graph.constant(view(norm.bias))
    return graph.add("LayerNormalization", x, weight, bias, axis=-1, epsilon=norm.eps)


def _convolution(graph: Graph, x: str, convolution: Conv1d, *, stride: int) -> str:
    weight = graph.constant(view(convolution.weight).transpose(0, 2, 1))
    made = graph.add("Conv", x, weight, graph.constant(view(convolution.bias)), pads=[1, 1], strides=[stride])
    return graph.add("Gelu", made)
