"""What a server's answers hold, looked at piece by piece: the library that fetches them checks no type."""

from __future__ import annotations

import json
import math
from typing import Final

from projectone.assist.generation.protocol import MAX_ANSWER_CHARACTERS, GenerationError

_CHARACTERS_OF_A_TOKEN: Final = 4


def read_completion(body: bytes) -> tuple[str, tuple[int, int]]:
    """The text and the tokens of a whole answer."""
    found = json.loads(body)
    try:
        text = found["choices"][0]["message"]["content"]
    except (LookupError, TypeError):
        text = None
    if not isinstance(text, str):
        raise GenerationError("wrong-schema", "expected choices[0].message.content to be text")
    return text, _usage(found.get("usage"))


def read_chunk(chunk: object, usage: tuple[int, int], is_ended: bool) -> tuple[str, tuple[int, int], bool]:
    """The text of a piece, the tokens so far, and whether the end was said."""
    choices = getattr(chunk, "choices", None)
    if not isinstance(choices, list):
        raise GenerationError("wrong-schema", "expected a piece with choices")
    told = getattr(chunk, "usage", None)
    usage = _usage(told if isinstance(told, dict) else vars(told)) if told else usage
    if not choices:
        return "", usage, is_ended
    text = getattr(getattr(choices[0], "delta", None), "content", "")
    if text is not None and not isinstance(text, str):
        raise GenerationError("wrong-schema", "expected choices[0].delta.content to be text")
    is_ended = is_ended or isinstance(getattr(choices[0], "finish_reason", None), str)
    return text or "", usage, is_ended


def _usage(told: object) -> tuple[int, int]:
    counts = [told.get(name) for name in ("prompt_tokens", "completion_tokens")] if isinstance(told, dict) else []
    known = [count for count in counts if isinstance(count, int) and 0 <= count < 10**7]
    return (known[0], known[1]) if len(known) == 2 else (0, 0)


def cleaned(text: str) -> str:
    """Without what could move a cursor, hide, turn a line around, or not be written at all."""
    if text.isprintable():
        return text
    return "".join(c for c in text.replace("\r\n", "\n") if c.isprintable() or c in "\n\t\u200c\u200d")


def check_length(text: str) -> None:
    """Raise `too-long` if nobody would read it."""
    if len(text) > MAX_ANSWER_CHARACTERS:
        raise GenerationError("too-long", f"expected an answer of at most {MAX_ANSWER_CHARACTERS} characters")


def tokens_at_most(text: str) -> int:
    """About how many tokens a text has, where a server does not say."""
    return math.ceil(len(text.encode(errors="replace")) / _CHARACTERS_OF_A_TOKEN)
