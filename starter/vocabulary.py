"""Builds the starter's tokenizer: a small byte-level BPE with Whisper's special tokens in Whisper's order."""

from __future__ import annotations

import json
import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers, trainers

from starter.text import CLOSED_WORDS, domain_sentence

WINDOW_S = 10
N_BASE = 1024
SPECIALS = (
    "<|endoftext|>", "<|startoftranscript|>", "<|en|>", "<|translate|>", "<|transcribe|>", "<|startoflm|>",
    "<|startofprev|>", "<|nospeech|>", "<|notimestamps|>",
)  # fmt: skip
# Whisper's clock: one token for every 20 ms of a window, both ends included.
TIMESTAMPS = tuple(f"<|{index / 50:.2f}|>" for index in range(50 * WINDOW_S + 1))
# The model's table is a little larger than the tokens, so that its width is a multiple of 16.
N_TEXT_CTX = 128


@dataclass(frozen=True)
class Vocabulary:
    """The tokenizer and the ids that training needs."""

    tokenizer: Tokenizer
    n_base: int

    @property
    def size(self) -> int:
        """Tokens in all, special ones included."""
        return int(self.tokenizer.get_vocab_size())

    def id_of(self, token: str) -> int:
        """The id of a special token."""
        found = self.tokenizer.token_to_id(token)
        if found is None:
            raise ValueError(f"expected a token of this vocabulary, got {token!r}")
        return int(found)

    def encode(self, text: str) -> list[int]:
        """Text to base tokens, with the leading space that Whisper's texts have."""
        return list(self.tokenizer.encode(" " + text.strip(), add_special_tokens=False).ids) if text.strip() else []

    def decode(self, ids: Sequence[int]) -> str:
        """Base tokens to text; special tokens are left out."""
        return str(self.tokenizer.decode([token for token in ids if token < self.n_base])).strip()


def build_vocabulary(sentences: Sequence[str], *, seed: int) -> Vocabulary:
    """Learn the merges: every closed-domain word becomes one token, `sentences` share what is left."""
    rng = random.Random(seed)
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=True)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=N_BASE, initial_alphabet=sorted(pre_tokenizers.ByteLevel.alphabet()), show_progress=False
    )

    def corpus() -> Iterator[str]:
        for word in CLOSED_WORDS:
            yield from [f" {word}"] * 5000
        yield from (" " + domain_sentence(rng, ("anna", "smith")) for _ in range(2000))
        yield from (" " + sentence.lower() for sentence in sentences)

    tokenizer.train_from_iterator(corpus(), trainer)
    n_base = int(tokenizer.get_vocab_size())
    tokenizer.add_special_tokens([AddedToken(token, special=True, normalized=False) for token in SPECIALS])
    tokenizer.add_tokens([AddedToken(token, special=False, normalized=False) for token in TIMESTAMPS])
    return Vocabulary(tokenizer, n_base)


def save_vocabulary(vocabulary: Vocabulary, folder: Path) -> None:
    """Write `tokenizer.json`, and the files that transformers wants beside it."""
    folder.mkdir(parents=True, exist_ok=True)
    vocabulary.tokenizer.save(str(folder / "tokenizer.json"))
    (folder / "tokenizer_config.json").write_text(_json(tokenizer_config()), encoding="utf-8")


def load_vocabulary(folder: Path) -> Vocabulary:
    """Read what `save_vocabulary` wrote."""
    tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
    end = tokenizer.token_to_id("<|endoftext|>")
    if end is None:
        raise ValueError(f"expected a Whisper tokenizer in {folder.name!r}, found no <|endoftext|>")
    return Vocabulary(tokenizer, int(end))


def tokenizer_config() -> dict[str, Any]:
    """What transformers reads beside `tokenizer.json`."""
    end = "<|endoftext|>"
    return {
        "add_prefix_space": False, "bos_token": end, "clean_up_tokenization_spaces": False, "eos_token": end,
        "errors": "replace", "model_max_length": N_TEXT_CTX, "pad_token": end, "processor_class": "WhisperProcessor",
        "return_attention_mask": False, "tokenizer_class": "WhisperTokenizer", "unk_token": end,
    }  # fmt: skip


def generation_config(vocabulary: Vocabulary) -> dict[str, Any]:
    """How to decode with this vocabulary, in the form of transformers."""
    end = vocabulary.id_of("<|endoftext|>")
    space = vocabulary.tokenizer.encode(" ", add_special_tokens=False).ids
    return {
        "begin_suppress_tokens": [*space, end],
        "bos_token_id": end,
        "decoder_start_token_id": vocabulary.id_of("<|startoftranscript|>"),
        "eos_token_id": end,
        "is_multilingual": True,
        "lang_to_id": {"<|en|>": vocabulary.id_of("<|en|>")},
        "max_initial_timestamp_index": 50,
        "max_length": N_TEXT_CTX,
        "no_timestamps_token_id": vocabulary.id_of("<|notimestamps|>"),
        "pad_token_id": end,
        "prev_sot_token_id": vocabulary.id_of("<|startofprev|>"),
        "return_timestamps": False,
        "suppress_tokens": sorted(
            vocabulary.id_of(token)
            for token in SPECIALS
            if token not in {"<|endoftext|>", "<|notimestamps|>"}
        ),
        "task_to_id": {
            "transcribe": vocabulary.id_of("<|transcribe|>"), "translate": vocabulary.id_of("<|translate|>"),
        },
    }  # fmt: skip


def _json(value: object) -> str:
    return json.dumps(value, indent=2, sort_keys=True, ensure_ascii=False) + "\n"
