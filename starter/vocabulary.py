"""Builds the starter's tokenizer: a small byte-level BPE with Whisper's special tokens in Whisper's order."""

from __future__ import annotations

import json
import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tokenizers import Tokenizer

from projectone.speech.vocabulary import train_tokenizer
from starter.text import CLOSED_WORDS, domain_sentence

WINDOW_S = 10
N_BASE = 1024
SPECIALS = (
    "<|endoftext|>", "<|startoftranscript|>", "<|en|>", "<|translate|>", "<|transcribe|>", "<|startoflm|>",
    "<|startofprev|>", "<|nospeech|>", "<|notimestamps|>",
)  # fmt: skip
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

    def corpus() -> Iterator[str]:
        for word in CLOSED_WORDS:
            yield from [f" {word}"] * 5000
        yield from (" " + domain_sentence(rng, ("anna", "smith")) for _ in range(2000))
        yield from (" " + sentence.lower() for sentence in sentences)

    trained = train_tokenizer(corpus(), n_text_tokens=N_BASE, languages=["en"], window_s=float(WINDOW_S))
    return Vocabulary(Tokenizer.from_str(trained.source), trained.eot)


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
