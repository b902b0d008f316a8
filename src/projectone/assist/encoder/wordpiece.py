"""Text to the tokens of a BERT, through the `tokenizers` library and the model's own `tokenizer.json`."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence

from tokenizers import Tokenizer

from projectone.errors import ArtifactError

_WHOLE_WORD = re.compile("[a-z]{2,}|[ai]")
_MARKS = ("\u2581", "\u0120")  # of SentencePiece and of GPT-2
MAX_TOKENS = 256  # what all-MiniLM-L6-v2 was trained with


class WordPiece:
    """A model's tokenizer.

    Args:
        content: The bytes of `tokenizer.json`.
        n_vocabulary: Tokens that the model knows.
        max_places: Places of the model; what is longer than they, or than `MAX_TOKENS`, is cut off.

    Raises:
        ArtifactError: if that is no tokenizer, or one with more tokens than the model knows.
    """

    def __init__(self, content: bytes, *, n_vocabulary: int, max_places: int = MAX_TOKENS) -> None:
        try:
            self._tokenizer = Tokenizer.from_buffer(content)
        except Exception as error:  # the library raises nothing narrower
            raise ArtifactError(f"'tokenizer.json' is no tokenizer: {error}") from error
        if self._tokenizer.get_vocab_size() > n_vocabulary:
            raise ArtifactError(
                f"'tokenizer.json': expected at most {n_vocabulary} tokens, got {self._tokenizer.get_vocab_size()}"
            )
        self._tokenizer.no_padding()
        self._tokenizer.enable_truncation(min(max_places, MAX_TOKENS))

    def tokens(self, texts: Sequence[str]) -> list[list[int]]:
        """Ids of each text, with what opens and closes a sentence; never empty."""
        if len(texts) == 1:
            return [self._tokenizer.encode(texts[0]).ids]
        return [encoding.ids for encoding in self._tokenizer.encode_batch(list(texts))]


def whole_words(content: bytes) -> list[str]:
    """The plain English words of a `tokenizer.json`, in its own order; that of a BERT begins with the usual ones.

    Where a sign marks the beginning of a word, as in other tokenizers than WordPiece, only what has it is a word.

    Args:
        content: The bytes of the tokenizer.

    Raises:
        ArtifactError: if that has no vocabulary.
    """
    try:
        listed = json.loads(content)["model"]["vocab"]
        pieces = [piece for piece, _ in listed] if isinstance(listed, list) else sorted(listed, key=listed.__getitem__)
        marked = [piece[1:] for piece in pieces if piece[:1] in _MARKS and piece]
        return [piece for piece in marked or pieces if _WHOLE_WORD.fullmatch(piece)]
    except (ValueError, RecursionError, KeyError, TypeError, AttributeError) as error:
        raise ArtifactError(f"'tokenizer.json' has no vocabulary: {error!r}") from error
