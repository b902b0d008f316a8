"""Text to tokens and back, and the ids of the special tokens.

The vocabulary is a Hugging Face `tokenizer.json`. The order of the ids is Whisper's, and the decoding rules rely on it:
text first, then end-of-text, then the other special tokens, then the timestamps, which end the vocabulary.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from pathlib import Path
from typing import Any, Literal

from tokenizers import Tokenizer as FastTokenizer

from projectone.errors import ArtifactError

SECONDS_PER_TIMESTAMP = 0.02  # two mel frames of 10 ms: the encoder's stride
MAX_TOKENIZER_BYTES = 32 * 2**20  # the largest published Whisper tokenizer.json is under 4 MB

Task = Literal["transcribe", "translate"]

_TIMESTAMP = re.compile(r"<\|(\d{1,3}\.\d\d)\|>")
_LANGUAGE = re.compile(r"<\|([a-z]{2,3})\|>")
_REQUIRED = ("<|endoftext|>", "<|startoftranscript|>", "<|notimestamps|>")


class Tokenizer:
    """A vocabulary with Whisper's special tokens.

    Attributes:
        source: The text of `tokenizer.json`, written back unchanged.
        is_multilingual: Whether the decoder's prefix names a language and a task. English-only checkpoints carry the
            language tokens too, so this cannot be read from the vocabulary alone.
        n_vocab: One more than the largest id in the file.
        languages: Language codes that have a token, in the order of their ids.
    """

    def __init__(self, source: str, *, is_multilingual: bool | None = None) -> None:
        added, self._text_only = _parse(source)
        self.source = source
        self._ids = {str(token["content"]): int(token["id"]) for token in added}
        self._contents = {token_id: content for content, token_id in self._ids.items()}
        if not len(self._ids) == len(self._contents) == len(added):
            raise ArtifactError("tokenizer.json: two special tokens share a name or an id")
        missing = [name for name in _REQUIRED if name not in self._ids]
        if missing:
            raise ArtifactError(f"tokenizer.json: expected the special tokens {list(_REQUIRED)}, without {missing}")
        self.eot = self._ids["<|endoftext|>"]
        self.sot = self._ids["<|startoftranscript|>"]
        self.no_timestamps = self._ids["<|notimestamps|>"]
        self.timestamp_begin = self._ids.get("<|0.00|>", self.no_timestamps + 1)
        self.transcribe = self._ids.get("<|transcribe|>")
        self.translate = self._ids.get("<|translate|>")
        self.sot_prev = self._ids.get("<|startofprev|>")
        self.sot_lm = self._ids.get("<|startoflm|>")
        # Checkpoints before large-v3 call it "nocaptions".
        self.no_speech = self._ids.get("<|nospeech|>", self._ids.get("<|nocaptions|>"))
        self.n_vocab = max(max(self._ids.values()) + 1, self._text_only.get_vocab_size())
        self._languages = _languages(self._ids)
        self.languages = tuple(self._languages)
        self.is_multilingual = bool(self.languages) if is_multilingual is None else is_multilingual
        self._check_order()

    @classmethod
    def from_file(cls, path: Path, *, is_multilingual: bool | None = None) -> Tokenizer:
        """Read `tokenizer.json`.

        Raises:
            ArtifactError: if the file is missing, too large, not a tokenizer, or lacks Whisper's special tokens.
        """
        try:
            size = path.stat().st_size
            if size > MAX_TOKENIZER_BYTES:
                raise ArtifactError(f"{path.name!r}: expected at most {MAX_TOKENIZER_BYTES} bytes, got {size}")
            source = path.read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError) as error:
            raise ArtifactError(f"{path.name!r} cannot be read: {error}") from error
        return cls(source, is_multilingual=is_multilingual)

    @property
    def has_timestamp_tokens(self) -> bool:
        """Whether the file itself holds the timestamps; in older checkpoints they exist as ids only."""
        return "<|0.00|>" in self._ids

    def language_id(self, language: str) -> int:
        """The token of a language code such as `"en"`.

        Raises:
            ValueError: if this vocabulary has no such language.
        """
        if language not in self._languages:
            raise ValueError(f"language: expected one of {', '.join(self.languages) or 'none'}, got {language!r}")
        return self._languages[language]

    def task_id(self, task: Task) -> int:
        """The token of a task.

        Raises:
            ValueError: if this vocabulary has no such task.
        """
        token_id = self.transcribe if task == "transcribe" else self.translate
        if token_id is None:
            raise ValueError(f"task: this vocabulary has no token for {task!r}")
        return token_id

    def encode(self, text: str) -> list[int]:
        """Text to ids. What looks like a special token inside `text` is encoded as the letters it is made of."""
        return list(self._text_only.encode(text, add_special_tokens=False).ids)

    def decode(self, ids: Iterable[int]) -> str:
        """Ids to text; special tokens and timestamps are left out, incomplete UTF-8 becomes U+FFFD."""
        return str(self._text_only.decode([i for i in ids if i < self.eot], skip_special_tokens=False))

    def decode_with_timestamps(self, ids: Iterable[int]) -> str:
        """Ids to text with timestamps as `<|1.24|>`; other special tokens are left out."""
        pieces: list[str] = []
        text: list[int] = []
        for token_id in ids:
            if token_id < self.eot:
                text.append(token_id)
            elif token_id >= self.timestamp_begin:
                pieces += [self.decode(text), f"<|{self.timestamp_s(token_id):.2f}|>"]
                text = []
        return "".join([*pieces, self.decode(text)])

    def timestamp_s(self, token_id: int) -> float:
        """Seconds from the start of the window that a timestamp token stands for."""
        return (token_id - self.timestamp_begin) * SECONDS_PER_TIMESTAMP

    def special_content(self, token_id: int) -> str | None:
        """The text of a special token, such as `<|en|>`, or None for any other id."""
        return self._contents.get(token_id)

    def special_id(self, content: str) -> int | None:
        """The id of a special token by its text, or None."""
        return self._ids.get(content)

    def _check_order(self) -> None:
        """Refuse a vocabulary in which "below end-of-text" does not mean "text"."""
        strangers = [c for c, i in self._ids.items() if i < self.eot]
        if strangers:
            raise ArtifactError(
                f"tokenizer.json: expected special tokens from id {self.eot} up, got {strangers[:3]} below"
            )
        if self.timestamp_begin <= self.no_timestamps:
            raise ArtifactError("tokenizer.json: expected the timestamps after <|notimestamps|>")
        for content, token_id in self._ids.items():
            match = _TIMESTAMP.fullmatch(content)
            if (match is not None) != (token_id >= self.timestamp_begin):
                raise ArtifactError(
                    f"tokenizer.json: timestamps must end the vocabulary; {content!r} has id {token_id}"
                )
            if match and abs(self.timestamp_s(token_id) - float(match[1])) > 0.001:
                raise ArtifactError(f"tokenizer.json: {content!r} is not at {SECONDS_PER_TIMESTAMP} s per token")


def _parse(source: str) -> tuple[list[dict[str, Any]], FastTokenizer]:
    """The added tokens of a `tokenizer.json`, and a tokenizer that knows none of them."""
    try:
        raw = json.loads(source)
        added = [token for token in raw["added_tokens"] if _is_special(str(token["content"]))]
        text_only = FastTokenizer.from_str(json.dumps(raw | {"added_tokens": [], "post_processor": None}))
    except ArtifactError:
        raise
    except Exception as error:  # the library raises a bare Exception for a bad file
        raise ArtifactError(f"tokenizer.json is not a tokenizer: {error}") from error
    return added, text_only


def _is_special(content: str) -> bool:
    return content.startswith("<|") and content.endswith("|>")


def _languages(ids: dict[str, int]) -> dict[str, int]:
    found = {match[1]: i for content, i in ids.items() if (match := _LANGUAGE.fullmatch(content))}
    return dict(sorted(found.items(), key=lambda item: item[1]))
