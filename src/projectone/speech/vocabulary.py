"""A small vocabulary of our own, in Whisper's order, for models that are trained from scratch."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence

from tokenizers import Tokenizer as FastTokenizer
from tokenizers import decoders, models, pre_tokenizers, trainers

from projectone.speech.tokenizer import SECONDS_PER_TIMESTAMP, Tokenizer

_AFTER_LANGUAGES = (
    "<|translate|>",
    "<|transcribe|>",
    "<|startoflm|>",
    "<|startofprev|>",
    "<|nospeech|>",
    "<|notimestamps|>",
)


def train_tokenizer(
    texts: Iterable[str], *, n_text_tokens: int = 512, languages: Sequence[str] = ("en",), window_s: float = 10.0
) -> Tokenizer:
    """Learn a byte-level BPE vocabulary from texts, and add Whisper's special tokens and timestamps.

    All 256 bytes are in it, so every text of every language can be written, if not briefly.

    Args:
        texts: What the model is to write, with the leading space that Whisper's transcripts have.
        n_text_tokens: At most this many text tokens, at least 256.
        languages: Codes that get a token, in this order; empty makes an English-only vocabulary.
        window_s: Length of the model's window; one timestamp per 20 ms of it, both ends included.
    """
    if n_text_tokens < 256:
        raise ValueError(f"n_text_tokens: expected at least 256, one per byte, got {n_text_tokens}")
    bpe = FastTokenizer(models.BPE())
    bpe.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    bpe.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=n_text_tokens,
        initial_alphabet=sorted(pre_tokenizers.ByteLevel.alphabet()),
        show_progress=False,
        special_tokens=[],
    )
    bpe.train_from_iterator(texts, trainer)
    raw = json.loads(bpe.to_str())
    n_timestamps = round(window_s / SECONDS_PER_TIMESTAMP) + 1
    specials = ["<|endoftext|>", "<|startoftranscript|>", *(f"<|{code}|>" for code in languages), *_AFTER_LANGUAGES]
    timestamps = [f"<|{index * SECONDS_PER_TIMESTAMP:.2f}|>" for index in range(n_timestamps)]
    first = bpe.get_vocab_size()
    raw["added_tokens"] = [
        {
            "id": first + offset,
            "content": content,
            "single_word": False,
            "lstrip": False,
            "rstrip": False,
            "normalized": False,
            "special": offset < len(specials),  # as in Whisper's own files, timestamps are added but not special
        }
        for offset, content in enumerate([*specials, *timestamps])
    ]
    return Tokenizer(json.dumps(raw, ensure_ascii=False, separators=(",", ":")), is_multilingual=bool(languages))
