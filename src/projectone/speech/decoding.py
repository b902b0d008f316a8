"""Windows of sound to tokens: greedy or sampled, many windows at once, each finishing on its own."""

from __future__ import annotations

import zlib
from collections.abc import Sequence
from dataclasses import dataclass, field

import mlx.core as mx
import numpy as np

from projectone.speech.biasing import BiasedRows, TermBias
from projectone.speech.checkpoint import WhisperCheckpoint
from projectone.speech.encoding import embed_windows
from projectone.speech.generation import never_written
from projectone.speech.kernels import Floats
from projectone.speech.logit_rules import LogitRules, Scores, logsumexp
from projectone.speech.prefix import decoder_prefix
from projectone.speech.stepping import open_stepper
from projectone.speech.timing import Trace
from projectone.speech.tokenizer import Task
from projectone.speech.watching import Head, Watch


@dataclass(frozen=True, kw_only=True)
class DecodingOptions:
    """How one window is decoded.

    Attributes:
        language: Code such as `"en"`, or None to detect it in each window.
        task: Write the spoken language, or English.
        temperature: 0 takes the likeliest token, above it tokens are sampled.
        timestamps: Write timestamps, under Whisper's rules.
        max_new_tokens: At most this many tokens after the prefix; the context may allow fewer.
        previous_text: Text tokens that came before the window, given to the decoder as a prompt.
        suppress_tokens: Ids never written, or None for the list of the checkpoint.
        suppress_blank: Forbid a blank or nothing as the first token.
        seed: Of the sampling; rows draw from streams of their own, so a batch gives what its rows give alone.
        heads: Attention heads to watch meanwhile; with none there is no trace.
        bias: Terms to lean towards, at temperature 0.
        is_bias_watched: Write what would be written without `bias`, and only note where it would have changed that.
    """

    language: str | None = "en"
    task: Task = "transcribe"
    temperature: float = 0.0
    timestamps: bool = False
    max_new_tokens: int = 224
    previous_text: tuple[int, ...] = ()
    suppress_tokens: tuple[int, ...] | None = None
    suppress_blank: bool = True
    seed: int = 0
    heads: tuple[Head, ...] = ()
    bias: TermBias | None = None
    is_bias_watched: bool = False

    def __post_init__(self) -> None:
        if not 0 <= self.temperature <= 10:
            raise ValueError(f"temperature: expected 0 to 10, got {self.temperature!r}")
        if self.max_new_tokens < 1:
            raise ValueError(f"max_new_tokens: expected at least 1, got {self.max_new_tokens!r}")


@dataclass(frozen=True, kw_only=True)
class DecodingResult:
    """What was heard in one window.

    Attributes:
        tokens: Ids after the prefix, end-of-text left out.
        text: Without special tokens and outer blanks.
        language: The given or detected code; None for English-only models.
        avg_logprob: Mean log probability (nats) of the tokens, end-of-text included.
        no_speech_prob: Probability that nobody speaks; 0 if the vocabulary cannot say so.
        compression_ratio: Bytes of text over bytes compressed; repetition raises it.
        temperature: At which it was decoded.
        nothing_prob: Probability of no text at all, before the rules forbid that.
        trace: What `heads` looked at while these tokens were written.
        is_turned: Whether the list of terms changed a token, or would have.
        terms: Of the list, those that are in the text because of it.
    """

    tokens: tuple[int, ...]
    text: str
    language: str | None
    avg_logprob: float
    no_speech_prob: float
    compression_ratio: float
    temperature: float
    nothing_prob: float = 0.0
    trace: Trace | None = field(default=None, compare=False, repr=False)
    is_turned: bool = False
    terms: tuple[str, ...] = ()


def decode(
    checkpoint: WhisperCheckpoint, mels: mx.array, options: DecodingOptions | None = None
) -> list[DecodingResult]:
    """Decode windows of log-mel frames.

    Args:
        checkpoint: The model.
        mels: (batch, frames, n_mels), at most one window of frames. Fewer frames are computed as they are; Whisper
            was trained on full windows, so pad to `2 * n_audio_ctx` frames for the reference's results.
        options: Defaults to greedy English without timestamps.

    Raises:
        ValueError: if the model has no token for the language or task.
    """
    return decode_features(checkpoint, embed_windows(checkpoint.model, mels), options)


def decode_features(
    checkpoint: WhisperCheckpoint,
    features: mx.array,
    options: DecodingOptions | None = None,
    *,
    row_ids: Sequence[int] | None = None,
    forced: Sequence[Sequence[int]] | None = None,
) -> list[DecodingResult]:
    """Decode windows that the encoder has seen already: (batch, positions, state).

    Args:
        checkpoint: The model.
        features: Of `Whisper.embed_audio`.
        options: As for `decode`.
        row_ids: Which stream of random numbers each row draws from; its position by default.
        forced: What each row writes, whatever the model would: its opinion of that is what is asked for.
    """
    options = options or DecodingOptions()
    n_rows = features.shape[0]
    languages = _languages(checkpoint, features, options)
    prefixes = [
        decoder_prefix(
            checkpoint.tokenizer,
            language=language,
            task=options.task,
            timestamps=options.timestamps,
            previous_text=options.previous_text,
            n_text_ctx=checkpoint.dims.n_text_ctx,
        )
        for language in languages
    ]
    run = _Run(checkpoint, features, prefixes, options, row_ids or range(n_rows), forced)
    return [run.result(row, languages[row]) for row in range(n_rows)]


def detect_language(checkpoint: WhisperCheckpoint, features: mx.array) -> list[dict[str, float]]:
    """Probability of each language that the vocabulary knows, for each window; likeliest first.

    Raises:
        ValueError: if the model is English-only.
    """
    tokenizer = checkpoint.tokenizer
    if not tokenizer.is_multilingual:
        raise ValueError("an English-only model cannot detect languages")
    start = mx.full((features.shape[0], 1), tokenizer.sot, dtype=mx.int32)
    scores = np.array(checkpoint.model.logits(start, features)[:, 0].astype(mx.float32))
    chosen = scores[:, [tokenizer.language_id(code) for code in tokenizer.languages]]
    shares = np.exp(chosen - logsumexp(chosen)[:, None])
    return [
        dict(sorted(zip(tokenizer.languages, row.tolist(), strict=True), key=lambda item: -item[1])) for row in shares
    ]


def compression_ratio(text: str) -> float:
    """Bytes of the text over its bytes compressed: about 1 to 2 for speech, higher when it repeats itself."""
    content = text.encode()
    return len(content) / len(zlib.compress(content))


def _languages(checkpoint: WhisperCheckpoint, features: mx.array, options: DecodingOptions) -> list[str | None]:
    n_rows = features.shape[0]
    tokenizer = checkpoint.tokenizer
    if not tokenizer.is_multilingual:
        return [None] * n_rows
    if options.language is not None:
        return [options.language] * n_rows
    if len(tokenizer.languages) == 1:
        return [tokenizer.languages[0]] * n_rows
    return [next(iter(shares)) for shares in detect_language(checkpoint, features)]


class _Run:
    """One batch being decoded. A row that ended stays for nothing until half of the batch has; then it shrinks."""

    def __init__(
        self,
        checkpoint: WhisperCheckpoint,
        features: mx.array,
        prefixes: list[list[int]],
        options: DecodingOptions,
        row_ids: Sequence[int],
        forced: Sequence[Sequence[int]] | None,
    ) -> None:
        self._checkpoint = checkpoint
        self._options = options
        self._rules = _rules(checkpoint, options)
        self._eot = checkpoint.tokenizer.eot
        self._row_ids = list(row_ids)
        self._streams: dict[int, np.random.Generator] = {}  # made when they are drawn from: greedy needs none
        self._rows = list(range(len(prefixes)))  # the row that each line of the batch belongs to
        self._tokens: list[list[int]] = [[] for _ in prefixes]
        self._logprobs: list[list[float]] = [[] for _ in prefixes]
        self._watch = Watch(options.heads) if options.heads else None
        self._looks: list[list[Floats]] = [[] for _ in prefixes]  # of each row: (heads, tokens, positions)
        self._no_speech = [0.0] * len(prefixes)
        self._nothing = [0.0] * len(prefixes)
        self._forced = None if forced is None else [[*tokens, self._eot] for tokens in forced]
        bias = options.bias if options.temperature == 0 and forced is None else None
        is_written = not options.is_bias_watched
        self._biased = BiasedRows(bias, len(prefixes), is_written=is_written) if bias is not None else None
        self._decode(features, prefixes)

    def _decode(self, features: mx.array, prefixes: list[list[int]]) -> None:
        tokenizer = self._checkpoint.tokenizer
        # The last token needs no position of its own: nothing follows it.
        room = self._checkpoint.dims.n_text_ctx - len(prefixes[0]) + 1
        n_tokens = min(self._options.max_new_tokens, room)
        start = prefixes[0].index(tokenizer.sot)
        opening, stepper = open_stepper(
            self._checkpoint.model,
            features,
            prefixes,
            n_steps=n_tokens - 1,
            positions=(start, -1),
            watch=self._watch,
        )
        self._note_looks(slice(start, None))
        self._nothing = np.exp(opening[:, 1, self._eot] - logsumexp(opening[:, 1])).tolist()
        if tokenizer.no_speech is not None:
            at_start = opening[:, 0]
            self._no_speech = np.exp(at_start[:, tokenizer.no_speech] - logsumexp(at_start)).tolist()
        self._choose(np.ascontiguousarray(opening[:, 1]))
        for _ in range(n_tokens - 1):
            running = [line for line, row in enumerate(self._rows) if self._tokens[row][-1] != self._eot]
            if not running:
                return
            if 2 * len(running) <= len(self._rows):
                stepper.keep(running)
                self._rows = [self._rows[line] for line in running]
            scores = stepper.step([self._tokens[row][-1] for row in self._rows])
            self._note_looks(slice(None))
            self._choose(scores)

    def _note_looks(self, which: slice) -> None:
        """Of the tokens given last, those that are meant."""
        if self._watch is not None:
            for row, look in zip(self._rows, self._watch.take()[:, :, which], strict=True):
                self._looks[row].append(look)

    def _choose(self, scores: Scores) -> None:
        """Append the next token to every row of the batch."""
        self._rules.apply(scores, [self._tokens[row] for row in self._rows])
        normaliser = logsumexp(scores)
        for row, row_scores, total in zip(self._rows, scores, normaliser, strict=True):
            if self._tokens[row] and self._tokens[row][-1] == self._eot:
                self._tokens[row].append(self._eot)
                continue
            if self._forced is not None:
                token = self._forced[row][len(self._tokens[row])]
            else:
                token = self._pick(row_scores, row)
            if self._biased is not None:
                token = self._biased.choose(row, row_scores, float(total), token)
            self._tokens[row].append(token)
            self._logprobs[row].append(float(row_scores[token] - total))

    def _pick(self, scores: Scores, row: int) -> int:
        if self._options.temperature == 0:
            return int(scores.argmax())
        # The largest of scores with Gumbel noise is a draw from their softmax.
        if row not in self._streams:
            self._streams[row] = np.random.default_rng([self._options.seed, self._row_ids[row]])
        noisy = scores / self._options.temperature + self._streams[row].gumbel(size=scores.shape)
        return int(noisy.argmax())

    def result(self, row: int, language: str | None) -> DecodingResult:
        """What one row came to."""
        tokens = self._tokens[row]
        if self._eot in tokens:
            tokens = tokens[: tokens.index(self._eot)]
        text = self._checkpoint.tokenizer.decode(tokens).strip()
        return DecodingResult(
            tokens=tuple(tokens),
            text=text,
            language=language,
            avg_logprob=sum(self._logprobs[row]) / (len(tokens) + 1),
            no_speech_prob=self._no_speech[row],
            compression_ratio=compression_ratio(text),
            temperature=self._options.temperature,
            nothing_prob=self._nothing[row],
            trace=self._trace(row, tokens),
            is_turned=self._biased is not None and self._biased.is_turned[row],
        )

    def _trace(self, row: int, tokens: Sequence[int]) -> Trace | None:
        if self._watch is None:
            return None
        n_before = self._looks[row][0].shape[1] - 1
        shares = np.concatenate(self._looks[row], axis=1)[:, : n_before + len(tokens) + 1]
        return Trace(tuple(tokens), tuple(self._logprobs[row][: len(tokens)]), shares, n_before)


def _rules(checkpoint: WhisperCheckpoint, options: DecodingOptions) -> LogitRules:
    tokenizer, generation = checkpoint.tokenizer, checkpoint.generation
    suppressed = generation.suppress_tokens if options.suppress_tokens is None else options.suppress_tokens
    return LogitRules(
        n_vocab=checkpoint.dims.n_vocab,
        eot=tokenizer.eot,
        never=(*suppressed, *never_written(tokenizer)),
        not_first=generation.begin_suppress_tokens if options.suppress_blank else (),
        timestamp_begin=tokenizer.timestamp_begin if options.timestamps else None,
        no_timestamps=tokenizer.no_timestamps,
        max_initial_timestamp_index=generation.max_initial_timestamp_index,
    )
