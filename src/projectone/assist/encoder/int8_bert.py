"""BERT with weights and activations of eight bits in its matrix products: the fastest way to one sentence on a CPU.

Attention between activations, normalisation and sums stay in float32, as in `speech.int8`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from projectone.assist.encoder.bert_files import BertConfig
from projectone.assist.encoder.numpy_bert import word_states
from projectone.speech.int8_products import Codes, product, quantise_rows
from projectone.speech.kernels import Floats
from projectone.speech.onnx_graphs import Graph, Session


class Int8Bert:
    """A BERT for one sentence at a time, computing in eight bits.

    Args:
        config: Its sizes.
        tensors: By their stock names, in float32.
        n_threads: As many as there are cores by default.

    Raises:
        SettingsError: if onnx or onnxruntime is not installed.
    """

    def __init__(self, config: BertConfig, tensors: Mapping[str, Floats], *, n_threads: int = 0) -> None:
        self._words, self._places = word_states(tensors)
        self._session = _session(config, tensors, n_threads)

    def vector(self, tokens: Sequence[int]) -> Floats:
        """The mean over the tokens, of length one, (width,)."""
        (states,) = self._session(x=self._words[np.asarray(tokens)] + self._places[: len(tokens)])
        summed = states.sum(axis=0)
        length = np.float32(np.sqrt(summed @ summed))
        return np.asarray(summed / max(length, np.float32(1e-12)), np.float32)


def _session(config: BertConfig, tensors: Mapping[str, Floats], n_threads: int) -> Session:
    """Sums of what a word and its place are, (tokens, width), to the last layer's states."""
    graph = Graph()
    x = _norm(graph, tensors, "x", "embeddings.LayerNorm", config)
    first = graph.constant(np.array([0]))
    for number in range(config.num_hidden_layers):
        layer = f"encoder.layer.{number}"
        codes = quantise_rows(graph, x)
        parts = [
            graph.add("Unsqueeze", _linear(graph, tensors, codes, f"{layer}.attention.self.{part}"), first)
            for part in ("query", "key", "value")
        ]
        attended = graph.add("MultiHeadAttention", *parts, num_heads=config.num_attention_heads)
        gathered = quantise_rows(graph, graph.add("Squeeze", attended, first))
        x = graph.add("Add", x, _linear(graph, tensors, gathered, f"{layer}.attention.output.dense"))
        x = _norm(graph, tensors, x, f"{layer}.attention.output.LayerNorm", config)
        wide = _linear(graph, tensors, quantise_rows(graph, x), f"{layer}.intermediate.dense")
        inner = quantise_rows(graph, graph.add("Gelu", wide))
        x = graph.add("Add", x, _linear(graph, tensors, inner, f"{layer}.output.dense"))
        x = _norm(graph, tensors, x, f"{layer}.output.LayerNorm", config)
    return graph.session({"x": ("tokens", config.hidden_size)}, [x], n_threads=n_threads)


def _linear(graph: Graph, tensors: Mapping[str, Floats], codes: Codes, name: str) -> str:
    return product(graph, codes, tensors[f"{name}.weight"], tensors[f"{name}.bias"])


def _norm(graph: Graph, tensors: Mapping[str, Floats], x: str, name: str, config: BertConfig) -> str:
    weight, bias = graph.constant(tensors[f"{name}.weight"]), graph.constant(tensors[f"{name}.bias"])
    return graph.add("LayerNormalization", x, weight, bias, axis=-1, epsilon=config.layer_norm_eps)
