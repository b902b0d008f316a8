"""Tokens to words: which of them make one, and which of these are spoken and which are marks at its edges."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from projectone.speech.tokenizer import Tokenizer

UNSPACED = frozenset({"zh", "ja", "th", "lo", "my", "yue"})
"""Languages that are written without blanks: each character is a word of its own."""

PREPENDED = frozenset("\"'“¿([{-")
APPENDED = frozenset("\"'.。,，!！?？:：”)]}、")  # noqa: RUF001 - Whisper's list, full-width marks included
"""Marks that are written to the word behind them, and to the one before. Whisper's lists."""

_INCOMPLETE = "\ufffd"


@dataclass(frozen=True)
class WordTokens:
    """One word.

    Attributes:
        text: With its marks, without blanks around it.
        first: Of its tokens, among all of the text; `end` is one past its last.
        spoken_first: The first one that is no mark; `spoken_end` is one past the last such. All of them, if it is
            nothing but marks.
    """

    text: str
    first: int
    end: int
    spoken_first: int
    spoken_end: int

    def shifted(self, by: int) -> WordTokens:
        """The same word where so many tokens stand before the text."""
        return WordTokens(self.text, self.first + by, self.end + by, self.spoken_first + by, self.spoken_end + by)


def split_to_word_tokens(tokenizer: Tokenizer, tokens: Sequence[int], language: str | None) -> list[WordTokens]:
    """The words of a text: what `str.split` gives, or single characters where the language writes no blanks.

    Args:
        tokenizer: Of the model.
        tokens: Of text alone.
        language: Of the text.

    Source: `split_to_word_tokens` in whisper/tokenizer.py and `merge_punctuations` in whisper/timing.py. They cut at
    every mark, so that "well-known" is two words there.
    """
    pieces = list(_characters(tokenizer, tokens))
    groups = _by_character(pieces) if language in UNSPACED else _by_blanks(pieces)
    words, first = [], 0
    for group in groups:
        sizes = [n_tokens for _, n_tokens in group]
        word = WordTokens("".join(text for text, _ in group).strip(), first, first + sum(sizes), first, 0)
        head, tail = _marks([text.strip() for text, _ in group])
        words.append(
            replace(word, spoken_first=first + sum(sizes[:head]), spoken_end=word.end - sum(sizes[len(sizes) - tail :]))
        )
        first = word.end
    return [word for word in words if word.text]


_Piece = tuple[str, int]


def _by_blanks(pieces: list[_Piece]) -> list[list[_Piece]]:
    groups: list[list[_Piece]] = []
    for piece in pieces:
        # In small vocabularies a blank is a token of its own: it opens the word that follows.
        if not groups or piece[0][:1].isspace():
            groups.append([])
        groups[-1].append(piece)
    return groups


def _by_character(pieces: list[_Piece]) -> list[list[_Piece]]:
    groups: list[list[_Piece]] = []
    is_open = False  # marks that wait for the word behind them
    for piece in pieces:
        mark = piece[0].strip()
        if is_open or (groups and (mark in APPENDED or not mark)):
            groups[-1].append(piece)
        else:
            groups.append([piece])
            is_open = True
        is_open = is_open and (mark in PREPENDED or not mark)
    return groups


def _marks(texts: list[str]) -> tuple[int, int]:
    """How many pieces at the front and at the end are marks or nothing; none of either if all are."""
    head = next((at for at, text in enumerate(texts) if text and text not in PREPENDED), None)
    tail = next((at for at, text in enumerate(reversed(texts)) if text and text not in APPENDED), None)
    if head is None or tail is None or head + tail >= len(texts):
        return 0, 0
    # A blank alone is said with the word: whether there is one at all may be in doubt.
    return (head if any(texts[:head]) else 0), (tail if any(texts[len(texts) - tail :]) else 0)


def _characters(tokenizer: Tokenizer, tokens: Sequence[int]) -> Iterator[_Piece]:
    """The shortest runs of tokens that are whole characters; a run that never becomes whole ends the text.

    Source: `split_tokens_on_unicode` in whisper/tokenizer.py.
    """
    whole, n_read = tokenizer.decode(tokens), 0
    run: list[int] = []
    for token in tokens:
        run.append(token)
        text = tokenizer.decode(run)
        at = text.find(_INCOMPLETE)
        # The text itself may hold U+FFFD: then it is no sign of something missing.
        if at < 0 or whole[n_read + at : n_read + at + 1] == _INCOMPLETE:
            yield text, len(run)
            n_read, run = n_read + len(text), []
    if run:
        yield tokenizer.decode(run), len(run)
