"""What the decoder should write for a window: with or without timestamps, after a prompt or not, or nothing at all."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from projectone.server.training.loss import Target
from projectone.speech.checkpoint import WhisperCheckpoint
from projectone.speech.prefix import decoder_prefix
from projectone.speech.tokenizer import SECONDS_PER_TIMESTAMP

MAX_SPECIAL_TOKENS = 6  # start, language, task, two timestamps, end
TOKENS_PER_SEGMENT = 2  # its two timestamps


@dataclass(frozen=True)
class Spoken:
    """A stretch of a window in which somebody speaks.

    Attributes:
        text: Tokens of what is said.
        start_s: From the start of the window.
        end_s: From the start of the window.
    """

    text: tuple[int, ...]
    start_s: float
    end_s: float


class TargetBuilder:
    """Makes targets for one model. The opening tokens are those of `decoder_prefix`, as in decoding and conversion.

    Args:
        checkpoint: Says which vocabulary and which context.
        language: Of the texts; None for English-only models.
        marks_speech: Also learn what follows the start token: `<|nospeech|>` where nobody speaks, else what the
            prefix says. Decoders read the probability of speech there, and it must not drift to one side.
    """

    def __init__(self, checkpoint: WhisperCheckpoint, *, language: str | None, marks_speech: bool = False) -> None:
        self._tokenizer = checkpoint.tokenizer
        self._n_vocab = checkpoint.dims.n_vocab
        self._n_text_ctx = checkpoint.dims.n_text_ctx
        self._language = language
        self._marks_speech = marks_speech and checkpoint.tokenizer.no_speech is not None

    def window(self, spoken: Sequence[Spoken], *, timed: bool, previous: Sequence[int] = ()) -> Target:
        """The target of one window.

        Args:
            spoken: In order of time; none if nobody speaks.
            timed: Whether to write timestamps. A time that no token says makes the target a plain one.
            previous: Tokens of what was said before. As many of the last ones are shown as fit, and nothing is learned
                from them.
        """
        times = [self._times(piece) for piece in spoken] if timed else []
        body = [] if timed else [token for piece in spoken for token in piece.text]
        for piece, pair in zip(spoken, times, strict=False):
            if pair is None:
                return self.window(spoken, timed=False, previous=previous)
            body += [pair[0], *piece.text, pair[1]]
        if timed and not spoken:
            body = [self._tokenizer.timestamp_begin]  # the rules of decoding let the text end after it
        body.append(self._tokenizer.eot)
        prefix = self._prefix(timed, previous, len(body))
        marks = self._speech_marks(prefix, is_speech=bool(spoken))
        # English-only with timestamps: where nobody speaks, the mark takes the place of the first timestamp.
        is_taken = any(column >= len(prefix) - 1 for column, _ in marks)
        return Target((*prefix, *body), len(prefix) + is_taken, marks)

    def _times(self, piece: Spoken) -> tuple[int, int] | None:
        begin = self._tokenizer.timestamp_begin
        first, last = (begin + round(time_s / SECONDS_PER_TIMESTAMP) for time_s in (piece.start_s, piece.end_s))
        return (first, last) if last < self._n_vocab else None

    def _prefix(self, timed: bool, previous: Sequence[int], n_body: int) -> list[int]:
        n_opening = len(decoder_prefix(self._tokenizer, language=self._language, timestamps=timed))
        # The last token is predicted and never read; `<|startofprev|>` takes a place too.
        room = self._n_text_ctx + 1 - n_opening - n_body - 1
        shown = list(previous)[-room:] if room > 0 and self._tokenizer.sot_prev is not None else []
        return decoder_prefix(
            self._tokenizer,
            language=self._language,
            timestamps=timed,
            previous_text=shown,
            n_text_ctx=self._n_text_ctx,
        )

    def _speech_marks(self, prefix: list[int], *, is_speech: bool) -> tuple[tuple[int, int], ...]:
        no_speech = self._tokenizer.no_speech
        if not self._marks_speech or no_speech is None:
            return ()
        start = prefix.index(self._tokenizer.sot)
        if not is_speech:
            return ((start, no_speech),)
        # Without language and task the first word or timestamp follows, which is learned anyway.
        return ((start, prefix[start + 1]),) if start + 1 < len(prefix) else ()
