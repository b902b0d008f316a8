"""The decoder's opening tokens, built in one place for training, decoding and conversion."""

from __future__ import annotations

from collections.abc import Sequence

from projectone.speech.tokenizer import Task, Tokenizer


def decoder_prefix(
    tokenizer: Tokenizer,
    *,
    language: str | None,
    task: Task = "transcribe",
    timestamps: bool,
    previous_text: Sequence[int] = (),
    n_text_ctx: int = 448,
) -> list[int]:
    """The tokens that the decoder is given before the first one it must predict.

    Args:
        tokenizer: Says whether language and task are named at all: English-only models leave both out.
        language: Code such as `"en"`; ignored by English-only models.
        task: What to write: the spoken language, or English.
        timestamps: Whether timestamp tokens follow; if not, `<|notimestamps|>` says so.
        previous_text: Text tokens that came before this window; the last ones are kept, as many as leave half of the
            context free.
        n_text_ctx: The decoder's context.

    Raises:
        ValueError: if the language or task has no token, or earlier text is given to a vocabulary without
            `<|startofprev|>`.

    Source: `sot_sequence` in whisper/tokenizer.py and `_get_initial_tokens` in whisper/decoding.py.
    """
    prefix = [tokenizer.sot]
    if tokenizer.is_multilingual:
        if language is None:
            raise ValueError("language: a multilingual model needs one; detect it first")
        prefix += [tokenizer.language_id(language), tokenizer.task_id(task)]
    if not timestamps:
        prefix.append(tokenizer.no_timestamps)
    kept = list(previous_text)[-(n_text_ctx // 2 - 1) :]
    if not kept:
        return prefix
    if tokenizer.sot_prev is None:
        raise ValueError("previous_text: this vocabulary has no <|startofprev|>")
    return [tokenizer.sot_prev, *kept, *prefix]
