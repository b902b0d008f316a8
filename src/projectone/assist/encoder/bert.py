"""BERT in MLX, as a function of its weights: what is trained, and what a GPU computes.

File and tensor names are those of transformers' `BertModel`. The pooler is not used: a sentence is the mean over its
tokens, of length one, as in sentence-transformers.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import mlx.core as mx
import numpy as np

from projectone.assist.encoder.bert_files import BertConfig
from projectone.speech import ops

Weights = Mapping[str, mx.array]
_FAR_BELOW = -1e9


def padded(sentences: Sequence[Sequence[int]]) -> tuple[mx.array, mx.array]:
    """Sentences of tokens side by side, (sentences, tokens), and how many tokens each has, (sentences,)."""
    lengths = [len(sentence) for sentence in sentences]
    rows = np.zeros((len(sentences), max(lengths)), np.int32)
    for row, sentence in zip(rows, sentences, strict=True):
        row[: len(sentence)] = sentence
    return mx.array(rows), mx.array(lengths)


def sentence_vectors(weights: Weights, config: BertConfig, tokens: mx.array, n_tokens: mx.array) -> mx.array:
    """Mean over the real tokens, of length one: (sentences, tokens) and (sentences,) to (sentences, width)."""
    is_real = mx.arange(tokens.shape[1]) < n_tokens[:, None]
    states = hidden_states(weights, config, tokens, is_real)
    sums = (states * is_real[..., None]).sum(axis=1)
    # The mean has the direction of the sum.
    return sums / mx.maximum(mx.linalg.norm(sums, axis=-1, keepdims=True), 1e-12)


def hidden_states(weights: Weights, config: BertConfig, tokens: mx.array, is_real: mx.array) -> mx.array:
    """The last layer's states: tokens and which are real, both (sentences, tokens), to (sentences, tokens, width)."""
    positions = weights["embeddings.position_embeddings.weight"][: tokens.shape[1]]
    x = weights["embeddings.word_embeddings.weight"][tokens] + positions
    x = x + weights["embeddings.token_type_embeddings.weight"][0]
    x = _norm(weights, "embeddings.LayerNorm", x, config)
    unseen = mx.where(is_real, 0.0, _FAR_BELOW)[:, None, None, :]
    for number in range(config.num_hidden_layers):
        layer = f"encoder.layer.{number}"
        x = _norm(
            weights, f"{layer}.attention.output.LayerNorm", x + _attention(weights, layer, x, unseen, config), config
        )
        inner = ops.gelu(_linear(weights, f"{layer}.intermediate.dense", x))
        x = _norm(weights, f"{layer}.output.LayerNorm", x + _linear(weights, f"{layer}.output.dense", inner), config)
    return x


def _attention(weights: Weights, layer: str, x: mx.array, unseen: mx.array, config: BertConfig) -> mx.array:
    n_sentences, n_tokens, width = x.shape
    heads = (n_sentences, n_tokens, config.num_attention_heads, -1)
    query, key, value = (
        _linear(weights, f"{layer}.attention.self.{part}", x).reshape(heads).transpose(0, 2, 1, 3)
        for part in ("query", "key", "value")
    )
    scores = query @ key.transpose(0, 1, 3, 2) / math.sqrt(width // config.num_attention_heads) + unseen
    gathered = (ops.softmax(scores) @ value).transpose(0, 2, 1, 3).reshape(x.shape)
    return _linear(weights, f"{layer}.attention.output.dense", gathered)


def _linear(weights: Weights, name: str, x: mx.array) -> mx.array:
    return mx.addmm(weights[f"{name}.bias"], x, weights[f"{name}.weight"].T)


def _norm(weights: Weights, name: str, x: mx.array, config: BertConfig) -> mx.array:
    return ops.layer_norm(x, weights[f"{name}.weight"], weights[f"{name}.bias"], config.layer_norm_eps)
