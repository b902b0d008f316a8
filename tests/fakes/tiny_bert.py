"""A BERT of random weights that is made in milliseconds, and a tokenizer for a dozen words."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors

from projectone.assist.encoder.bert_files import CONFIG, BertConfig, BertFiles, expected_shapes, write_bert

SPECIAL = ("[PAD]", "[UNK]", "[CLS]", "[SEP]")
WORDS = ("play", "music", "song", "some", "rain", "warm", "weather", "is", "it", "the", "set", "alarm", "wake", "##s")


def tiny_tokenizer() -> bytes:
    """A WordPiece of fourteen words, as `tokenizer.json`."""
    vocabulary = {word: number for number, word in enumerate((*SPECIAL, *WORDS))}
    tokenizer = Tokenizer(models.WordPiece(vocabulary, unk_token="[UNK]"))
    tokenizer.normalizer = normalizers.BertNormalizer(lowercase=True)
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    tokenizer.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]", special_tokens=[("[CLS]", 2), ("[SEP]", 3)]
    )
    return tokenizer.to_str().encode()


def tiny_bert(*, seed: int = 0, width: int = 16, n_layers: int = 2) -> BertFiles:
    """Two layers of two heads."""
    config = BertConfig(
        hidden_size=width,
        intermediate_size=4 * width,
        num_attention_heads=2,
        num_hidden_layers=n_layers,
        vocab_size=len(SPECIAL) + len(WORDS),
        max_position_embeddings=24,
    )
    draw = np.random.default_rng(seed)
    tensors = {name: draw.normal(0, 0.3, shape).astype(np.float32) for name, shape in expected_shapes(config).items()}
    for name in tensors:
        if name.endswith("LayerNorm.weight"):
            tensors[name] += 1
    return BertFiles(config, tensors, tiny_tokenizer())


def write_tiny_bert(folder: Path) -> Path:
    """It, in a new folder, as `--encoder` and `PROJECTONE_SERVER_INTENTS_ENCODER` want one."""
    folder.mkdir()
    write_bert(folder, tiny_bert())
    (folder / CONFIG).write_text(json.dumps(tiny_bert().config.to_json()))
    return folder
