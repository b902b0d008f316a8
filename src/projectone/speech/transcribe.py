"""Recordings of any length to text: window by window, with a second try where the first looks wrong."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import mlx.core as mx
import numpy as np

from projectone.errors import DataError
from projectone.speech.alignment_heads import alignment_heads_of
from projectone.speech.audio import SAMPLE_RATE, log_mel_spectrogram
from projectone.speech.biasing import TermBias
from projectone.speech.checkpoint import WhisperCheckpoint
from projectone.speech.decoding import DecodingOptions, DecodingResult, decode_features, detect_language
from projectone.speech.encoding import embed_windows
from projectone.speech.pauses import middles_of_pauses
from projectone.speech.segments import SECONDS_PER_FRAME, Segment
from projectone.speech.term_guard import write_terms
from projectone.speech.tokenizer import Task
from projectone.speech.transcription import Findings, Transcription
from projectone.speech.windows import next_window

__all__ = ["GREEDY", "Segment", "TranscribeOptions", "Transcription", "transcribe", "transcribe_many"]

Samples = np.ndarray[Any, np.dtype[np.float32]]
OnWindow = Callable[[float, float], object]

TEMPERATURES = (0.0, 0.2, 0.4, 0.6, 0.8, 1.0)
GREEDY_TEMPERATURES = (0.0,)

_LIKELIER_THAN_NOT = 0.5
_SHORT_STEP_S = 1.0  # short contexts are rounded up to whole seconds, so that shapes repeat


@dataclass(frozen=True, kw_only=True)
class TranscribeOptions:
    """How recordings become text. The thresholds are Whisper's.

    Attributes:
        language: Code such as `"en"`, or None to detect it at the start of each recording.
        task: Write the spoken language, or English.
        timestamps: Let the model place its words in time. Without them a long recording is cut at quiet places.
        temperatures: Tried in turn until the text looks right; 0 is greedy, above it is sampled.
        compression_ratio_threshold: A text that repeats itself more than this is tried again.
        logprob_threshold: A text less probable than this (mean nats per token) is tried again.
        no_speech_threshold: Above it, and with an improbable text or none at all likelier than not, nobody spoke.
        condition_on_previous_text: Show the decoder what came before. Off, unlike in Whisper: models fine-tuned on
            single sentences have not learned to use it, and mistakes repeat themselves through it.
        initial_prompt: Words to expect, given to the decoder before every window as if they had just been said.
        max_new_tokens: Per window.
        short_context: Compute a clip's own length, rounded up to whole seconds, instead of a full window. Several
            times as fast; Whisper was trained on full windows and may do worse.
        seed: Of the sampling.
        bias: Terms that may be said; written where the sound allows it (see `term_guard`).
        words: Say of each word when it was said and how sure the model is of it: `Segment.words`.
    """

    language: str | None = None
    task: Task = "transcribe"
    timestamps: bool = False
    temperatures: tuple[float, ...] = TEMPERATURES
    compression_ratio_threshold: float = 2.4
    logprob_threshold: float = -1.0
    no_speech_threshold: float = 0.6
    condition_on_previous_text: bool = False
    initial_prompt: str = ""
    max_new_tokens: int = 224
    short_context: bool = False
    seed: int = 0
    bias: TermBias | None = None
    words: bool = False

    def __post_init__(self) -> None:
        if not self.temperatures:
            raise ValueError("temperatures: expected at least one")


GREEDY = TranscribeOptions(temperatures=GREEDY_TEMPERATURES)
"""One greedy try: the same model and sound always give the same text. For evaluation."""


def transcribe(
    checkpoint: WhisperCheckpoint,
    samples: Samples,
    *,
    options: TranscribeOptions | None = None,
    on_window: OnWindow | None = None,
) -> Transcription:
    """Transcribe a recording of any length.

    Args:
        checkpoint: The model; its window and vocabulary are whatever it says.
        samples: One channel, float32 at 16 kHz, within -1 and 1.
        options: Whisper's defaults if not given.
        on_window: Called with (seconds done, seconds in all) between two windows of a recording that has several.
            What it raises ends the transcription.

    Raises:
        DataError: if the sound is empty, not one channel, or holds numbers that are not finite.
        ValueError: if the model has no token for the language or task.
    """
    return transcribe_many(checkpoint, [samples], options=options, on_window=on_window)[0]


def transcribe_many(
    checkpoint: WhisperCheckpoint,
    clips: Sequence[Samples],
    *,
    batch_size: int = 16,
    options: TranscribeOptions | None = None,
    on_progress: Callable[[int, int], None] | None = None,
    on_window: OnWindow | None = None,
) -> list[Transcription]:
    """Transcribe many recordings, in order; those that fit one window are decoded together.

    Each gets what it would get alone, up to the rounding of sums in another order.

    Args:
        checkpoint: The model.
        clips: As for `transcribe`.
        batch_size: Windows decoded at once.
        options: Whisper's defaults if not given.
        on_progress: Called with (recordings done, recordings in all) after each batch.
        on_window: As for `transcribe`, for each recording by itself.

    Raises:
        DataError: as for `transcribe`, naming the position of the clip; before anything is decoded.
    """
    options = options or TranscribeOptions()
    if batch_size < 1:
        raise ValueError(f"batch_size: expected at least 1, got {batch_size!r}")
    for index, clip in enumerate(clips):
        _check(clip, index)
    # Timestamps may end a window early, so that even a short recording can take two.
    fits = [not options.timestamps and clip.size <= checkpoint.features.n_samples for clip in clips]
    groups: dict[int, list[int]] = {}
    for index in (index for index, is_short in enumerate(fits) if is_short):
        groups.setdefault(_n_samples(checkpoint, clips[index], options), []).append(index)
    batches = [
        group[first : first + batch_size] for group in groups.values() for first in range(0, len(group), batch_size)
    ]
    done: dict[int, Transcription] = {}
    for batch in [*batches, *([index] for index, is_short in enumerate(fits) if not is_short)]:
        if fits[batch[0]]:
            texts = _transcribe_batch(checkpoint, [clips[index] for index in batch], options)
            done.update(zip(batch, texts, strict=True))
        else:
            done[batch[0]] = _transcribe_long(checkpoint, clips[batch[0]], options, on_window)
        if on_progress is not None:
            on_progress(len(done), len(clips))
    return [done[index] for index in range(len(clips))]


def _check(samples: Samples, index: int) -> None:
    if samples.ndim != 1:
        raise DataError("not-mono", f"clip {index}: expected one channel, got shape {samples.shape}")
    if not samples.size:
        raise DataError("empty-audio", f"clip {index}: there is no sound in it")
    if not np.isfinite(samples).all():
        raise DataError("not-finite", f"clip {index}: the samples hold numbers that are not finite")


def _n_samples(checkpoint: WhisperCheckpoint, clip: Samples, options: TranscribeOptions) -> int:
    """How much sound the encoder is given for a clip that fits one window: its neighbours have no say in it."""
    if not options.short_context:
        return checkpoint.features.n_samples
    step = round(_SHORT_STEP_S * SAMPLE_RATE)
    return min(checkpoint.features.n_samples, -(-clip.size // step) * step)


def _transcribe_batch(
    checkpoint: WhisperCheckpoint, clips: list[Samples], options: TranscribeOptions
) -> list[Transcription]:
    """Clips of one context, together."""
    n_samples = _n_samples(checkpoint, clips[0], options)
    mels = mx.stack(
        [log_mel_spectrogram(clip, checkpoint.dims.n_mels, padding=n_samples - clip.size) for clip in clips]
    )
    decoding = _decoding_options(checkpoint, options, _prompt(checkpoint, options))
    features = embed_windows(checkpoint.model, mels)
    results = _decode_with_fallback(checkpoint, features, options, decoding)
    transcriptions = []
    for row, (clip, result) in enumerate(zip(clips, results, strict=True)):
        found = Findings(checkpoint, clip, timestamps=options.timestamps, words=options.words)
        n_frames = -(-clip.size // checkpoint.features.hop_length)
        is_silence = _is_silence(result, options)
        found.take(result, features[row], start_frame=0, n_frames=n_frames, is_silence=is_silence)
        transcriptions.append(found.transcription(result.language))
    return transcriptions


def _transcribe_long(
    checkpoint: WhisperCheckpoint, samples: Samples, options: TranscribeOptions, on_window: OnWindow | None
) -> Transcription:
    """A recording window by window; where one ends says where the next begins."""
    n_window = checkpoint.features.n_frames
    # A window of silence at the end: the last piece of sound can be read as a whole window.
    mel = log_mel_spectrogram(samples, checkpoint.dims.n_mels, padding=checkpoint.features.n_samples)
    n_content = max(1, samples.size // checkpoint.features.hop_length)
    language = _language_of(checkpoint, mel[:n_window], options)
    prompt = initial = _prompt(checkpoint, options)
    found = Findings(checkpoint, samples, timestamps=options.timestamps, words=options.words)
    pauses = [round(middle_s / SECONDS_PER_FRAME) for middle_s in middles_of_pauses(samples)]
    start = 0
    while start < n_content:
        if start and on_window is not None:
            on_window(start * SECONDS_PER_FRAME, n_content * SECONDS_PER_FRAME)
        window, n_frames = next_window(
            mel, start, n_content, n_window, is_cut_freely=not options.timestamps, pauses=pauses
        )
        decoding = replace(_decoding_options(checkpoint, options, prompt), language=language)
        features = embed_windows(checkpoint.model, window[None])
        result = _decode_with_fallback(checkpoint, features, options, decoding, stream=start)[0]
        is_silence = _is_silence(result, options)
        segments, n_done = found.take(result, features[0], start_frame=start, n_frames=n_frames, is_silence=is_silence)
        start += n_done
        if is_silence:
            continue
        # What was sampled at a high temperature would lead the next window astray.
        said = [token for segment in segments for token in segment.tokens if token < checkpoint.tokenizer.eot]
        is_shown = options.condition_on_previous_text and result.temperature <= 0.5
        prompt = (*prompt, *said) if is_shown else initial
    return found.transcription(language)


def _decode_with_fallback(
    checkpoint: WhisperCheckpoint,
    features: mx.array,
    options: TranscribeOptions,
    decoding: DecodingOptions,
    *,
    stream: int = 0,
) -> list[DecodingResult]:
    """Decode every row at the first temperature, and those that look wrong at the next ones."""
    results: dict[int, DecodingResult] = {}
    pending = list(range(features.shape[0]))
    for temperature in options.temperatures:
        rows = features if len(pending) == features.shape[0] else features[mx.array(pending)]
        # One stream for all rows: what is sampled for a clip does not depend on its neighbours.
        ids = [stream] * len(pending)
        decoded = decode_features(checkpoint, rows, replace(decoding, temperature=temperature), row_ids=ids)
        results.update(zip(pending, decoded, strict=True))
        pending = [row for row in pending if _looks_wrong(results[row], options)]
        if not pending:
            break
    done = [results[row] for row in sorted(results)]
    return done if decoding.bias is None else write_terms(checkpoint, features, done, decoding)


def _looks_wrong(result: DecodingResult, options: TranscribeOptions) -> bool:
    is_odd = (
        result.compression_ratio > options.compression_ratio_threshold or result.avg_logprob < options.logprob_threshold
    )
    return is_odd and not _is_silence(result, options)


def _is_silence(result: DecodingResult, options: TranscribeOptions) -> bool:
    """Whether the model doubts that anybody spoke, and what it wrote is improbable or it would rather write nothing.

    The second is ours: the rules make the likeliest word the first one even where a model has learned to write none.
    """
    is_doubtful = result.avg_logprob < options.logprob_threshold or result.nothing_prob > _LIKELIER_THAN_NOT
    return result.no_speech_prob > options.no_speech_threshold and is_doubtful


def _language_of(checkpoint: WhisperCheckpoint, mel: mx.array, options: TranscribeOptions) -> str | None:
    if options.language is not None or not checkpoint.tokenizer.is_multilingual:
        return options.language if checkpoint.tokenizer.is_multilingual else None
    return next(iter(detect_language(checkpoint, embed_windows(checkpoint.model, mel[None]))[0]))


def _prompt(checkpoint: WhisperCheckpoint, options: TranscribeOptions) -> tuple[int, ...]:
    prompt = options.initial_prompt.strip()
    return tuple(checkpoint.tokenizer.encode(f" {prompt}")) if prompt else ()


def _decoding_options(
    checkpoint: WhisperCheckpoint, options: TranscribeOptions, previous_text: tuple[int, ...]
) -> DecodingOptions:
    return DecodingOptions(
        language=options.language,
        task=options.task,
        timestamps=options.timestamps,
        max_new_tokens=options.max_new_tokens,
        previous_text=previous_text,
        seed=options.seed,
        bias=options.bias,
        is_bias_watched=True,
        heads=alignment_heads_of(checkpoint) if options.words else (),
    )
