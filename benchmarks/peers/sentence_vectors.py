"""One sentence to its vector in other libraries, each on one thread: the same weights, the same tokens."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from projectone.assist.encoder.bert_files import TOKENIZER, read_bert
from projectone.assist.encoder.wordpiece import WordPiece

Embed = Callable[[str], np.ndarray[Any, Any]]


def sentence_transformers_embed(folder: Path) -> Embed:
    """As `SentenceTransformer.encode` gives it."""
    import torch
    from sentence_transformers import SentenceTransformer

    torch.set_num_threads(1)
    model = SentenceTransformer(str(folder), device="cpu")
    return lambda text: np.asarray(model.encode(text, show_progress_bar=False))


def export_onnx(folder: Path, target: Path) -> None:
    """The encoder as torch exports it, up to its last states."""
    import torch
    from transformers import BertModel

    model = BertModel.from_pretrained(folder, add_pooling_layer=False, attn_implementation="eager").eval()

    class States(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.model = model

        def forward(self, tokens: torch.Tensor) -> torch.Tensor:
            return self.model(input_ids=tokens, attention_mask=torch.ones_like(tokens)).last_hidden_state

    torch.onnx.export(
        States(),
        (torch.ones((1, 9), dtype=torch.int64),),
        str(target),
        input_names=["tokens"],
        output_names=["states"],
        dynamic_axes={"tokens": {1: "n"}, "states": {1: "n"}},
        opset_version=17,
        dynamo=False,
    )


def quantise_onnx(source: Path, target: Path) -> None:
    """Dynamic int8 with a scale for each channel, as onnxruntime's own tool makes it."""
    from onnxruntime.quantization import QuantType, quantize_dynamic

    quantize_dynamic(source, target, per_channel=True, weight_type=QuantType.QInt8)


def onnxruntime_embed(model: Path, folder: Path) -> Embed:
    """With all of onnxruntime's graph optimisations; the mean and its length in numpy."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_ENABLE_ALL
    session = onnxruntime.InferenceSession(str(model), options, providers=["CPUExecutionProvider"])
    wordpiece = WordPiece((folder / TOKENIZER).read_bytes(), n_vocabulary=read_bert(folder).config.vocab_size)

    def embed(text: str) -> np.ndarray[Any, Any]:
        (states,) = session.run(None, {"tokens": np.array(wordpiece.tokens([text]), np.int64)})
        summed = states[0].sum(axis=0)
        return np.asarray(summed / np.sqrt(summed @ summed))

    return embed
