"""BERT in numpy: for one sentence on a CPU, without mlx.

For so few rows mlx pays more to dispatch small operations than the arithmetic costs. Gives what `bert` gives, up to
the rounding of float32.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from projectone.assist.encoder.bert_files import BertConfig
from projectone.speech import kernels
from projectone.speech.kernels import Floats
from projectone.speech.thin_products import thin_product


@dataclass(frozen=True)
class _Layer:
    """One layer; the projections to queries, keys and values lie one below the other."""

    gather: tuple[Floats, Floats]
    attend: tuple[Floats, Floats]
    attend_norm: tuple[Floats, Floats]
    widen: tuple[Floats, Floats]
    narrow: tuple[Floats, Floats]
    narrow_norm: tuple[Floats, Floats]


class NumpyBert:
    """A BERT for one sentence at a time.

    Args:
        config: Its sizes.
        tensors: By their stock names; matrices are used as they lie.
    """

    def __init__(self, config: BertConfig, tensors: Mapping[str, Floats]) -> None:
        self._n_heads, self._eps = config.num_attention_heads, config.layer_norm_eps
        self._words, self._places = word_states(tensors)
        self._norm = _pair(tensors, "embeddings.LayerNorm")
        self._layers = [_layer(tensors, f"encoder.layer.{n}", self._n_heads) for n in range(config.num_hidden_layers)]

    def vector(self, tokens: Sequence[int]) -> Floats:
        """The mean over the tokens, of length one, (width,)."""
        states = self.states(tokens).sum(axis=0)
        length = math.sqrt(float(states @ states))
        return np.asarray(states / np.float32(max(length, 1e-12)), np.float32)

    def states(self, tokens: Sequence[int]) -> Floats:
        """The last layer's states, (tokens, width)."""
        x = self._words[np.asarray(tokens)] + self._places[: len(tokens)]
        x = self._normalised(x, self._norm)
        for layer in self._layers:
            x = self._normalised(x + _linear(self._attended(x, layer), layer.attend), layer.attend_norm)
            inner = _linear(x, layer.widen)
            kernels.gelu(inner, inner)
            x = self._normalised(x + _linear(inner, layer.narrow), layer.narrow_norm)
        return x

    def _attended(self, x: Floats, layer: _Layer) -> Floats:
        n_tokens, width = x.shape
        parts = _linear(x, layer.gather).reshape(n_tokens, 3, self._n_heads, -1).transpose(1, 2, 0, 3)
        query, key, value = parts  # (heads, tokens, part of the width) each
        scores = query @ key.transpose(0, 2, 1)
        scores -= scores.max(axis=-1, keepdims=True)
        np.exp(scores, out=scores)
        scores /= scores.sum(axis=-1, keepdims=True)
        return np.asarray((scores @ value).transpose(1, 0, 2).reshape(n_tokens, width), np.float32)

    def _normalised(self, x: Floats, norm: tuple[Floats, Floats]) -> Floats:
        scaled, _ = kernels.standardised(x, self._eps)
        scaled *= norm[0]
        scaled += norm[1]
        return scaled


def word_states(tensors: Mapping[str, Floats]) -> tuple[Floats, Floats]:
    """What each word is, (vocabulary, width), and what each place adds to it, (places, width)."""
    places = tensors["embeddings.position_embeddings.weight"] + tensors["embeddings.token_type_embeddings.weight"][0]
    return tensors["embeddings.word_embeddings.weight"], places


def _layer(tensors: Mapping[str, Floats], name: str, n_heads: int) -> _Layer:
    parts = [_pair(tensors, f"{name}.attention.self.{part}") for part in ("query", "key", "value")]
    # The root of a head's width divides the scores; once, here.
    shrink = np.float32(1 / math.sqrt(parts[0][0].shape[0] // n_heads))
    parts[0] = (parts[0][0] * shrink, parts[0][1] * shrink)
    return _Layer(
        gather=(np.concatenate([weight for weight, _ in parts]), np.concatenate([bias for _, bias in parts])),
        attend=_pair(tensors, f"{name}.attention.output.dense"),
        attend_norm=_pair(tensors, f"{name}.attention.output.LayerNorm"),
        widen=_pair(tensors, f"{name}.intermediate.dense"),
        narrow=_pair(tensors, f"{name}.output.dense"),
        narrow_norm=_pair(tensors, f"{name}.output.LayerNorm"),
    )


def _pair(tensors: Mapping[str, Floats], name: str) -> tuple[Floats, Floats]:
    return tensors[f"{name}.weight"], tensors[f"{name}.bias"]


def _linear(x: Floats, layer: tuple[Floats, Floats]) -> Floats:
    product = thin_product(x, layer[0])
    product += layer[1]
    return product
