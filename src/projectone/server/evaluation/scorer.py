"""A model over a golden set: what it writes, how wrong that is, how sure one can be, and what else it shows."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from pathlib import Path

from projectone.contracts.base import sha256_hex
from projectone.contracts.evidence import ClipTiming, Defect, Footprint, ProbeScore
from projectone.contracts.scores import EvaluationReport, Score, UtteranceScore
from projectone.errors import EvaluationError
from projectone.server.evaluation.bootstrap import N_RESAMPLES, ratio_interval
from projectone.server.evaluation.golden import GoldenClip, GoldenSet
from projectone.server.evaluation.inspection import (
    WEIGHTS,
    find_defects,
    operations,
    size_of,
    vocabulary_digest,
    windows_of,
)
from projectone.server.evaluation.kept_hearings import Hear, hear_all
from projectone.server.evaluation.probes import probes
from projectone.speech.checkpoint import WhisperCheckpoint
from projectone.speech.int8 import Numerics, load_for_inference
from projectone.speech.normalize import normalize_text
from projectone.speech.timestamped import place_in_time
from projectone.speech.transcribe import GREEDY, TranscribeOptions, transcribe_many
from projectone.speech.wer import character_errors, word_errors
from projectone.storage.files import digest_of

# One try without chance, so that two models differ by nothing but themselves.
SCORING = TranscribeOptions(temperatures=GREEDY.temperatures, language="en")
MOST_TIMED = 32
"""Clips that are transcribed again with timestamps."""


def score_model(
    folder: Path,
    golden: GoldenSet,
    *,
    options: TranscribeOptions | None = None,
    numerics: Numerics = "float32",
    batch_size: int = 16,
    examine: bool = False,
    on_progress: Callable[[int, int], None] | None = None,
    clock: Callable[[], float] = time.monotonic,
    hear: Hear = hear_all,
) -> EvaluationReport:
    """Transcribe every clip of the set with the model in `folder`, and count.

    Args:
        folder: Model in the Hugging Face layout, with the numbers that ship.
        golden: The set.
        options: How to transcribe, and in which language texts are compared; greedy and English by default.
        numerics: What the model computes in.
        batch_size: Clips decoded together.
        examine: Also try what a gate asks for: sounds without speech, timestamps, vocabulary, cost.
        on_progress: Told how many clips are done, of how many.
        clock: Seconds, monotonic.
        hear: What transcribes the clips; a `KeptHearings` goes on where it was ended.

    Raises:
        ArtifactError: if `folder` is not a model.
        EvaluationError: if the set is empty, or the model does not know the language.
        SettingsError: if the numerics need a library that is not installed.
    """
    if not golden.clips:
        raise EvaluationError("golden set: expected clips, got none")
    options = options or SCORING
    begun = clock()
    checkpoint = load_for_inference(folder, numerics)
    known = checkpoint.tokenizer.languages
    if checkpoint.tokenizer.is_multilingual and options.language is not None and options.language not in known:
        raise EvaluationError(f"language: expected one of {', '.join(known)}, got {options.language!r}")
    weights_sha256 = digest_of(folder / WEIGHTS)
    heard = hear(
        checkpoint,
        [clip.samples for clip in golden.clips],
        identity=f"{weights_sha256} {numerics} {golden.sha256}",
        batch_size=batch_size,
        options=options,
        on_progress=on_progress,
    )
    language = options.language or "en"
    utterances = [
        score_utterance(clip, said.text, language=language) for clip, said in zip(golden.clips, heard, strict=True)
    ]
    n_tokens = sum(said.n_tokens for said in heard)
    report = report_on(
        utterances,
        model_sha256=weights_sha256,
        dataset_sha256=golden.sha256,
        audio_s=golden.audio_s,
        wall_s=clock() - begun,
    )
    if not examine:
        return report.model_copy(update={"numerics": numerics})
    return report.model_copy(
        update={
            "numerics": numerics,
            "vocabulary_sha256": vocabulary_digest(folder),
            "footprint": _footprint(folder, checkpoint, golden, n_tokens),
            "probes": _probe(checkpoint, options, batch_size),
            "timings": _time(checkpoint, golden, options, batch_size),
        }
    )


def examine_model(
    folder: Path,
    golden: GoldenSet,
    *,
    numerics: Numerics = "float32",
    on_progress: Callable[[int, int], None] | None = None,
) -> EvaluationReport:
    """Everything that the gate asks of a model; one that cannot be used gets a report that says so.

    Args:
        folder: Model in the Hugging Face layout, with the numbers that ship.
        golden: The set.
        numerics: What the model computes in.
        on_progress: Told how many clips are done, of how many.

    Raises:
        ArtifactError: if there are no weights in `folder`.
        EvaluationError: if the set is empty.
    """
    if (folder / WEIGHTS).is_file() and (defects := find_defects(folder)):
        return report_unusable(folder, golden, defects)
    return score_model(folder, golden, numerics=numerics, examine=True, on_progress=on_progress)


def report_unusable(folder: Path, golden: GoldenSet, defects: Sequence[Defect]) -> EvaluationReport:
    """The report of a model that cannot be used: it was not run, and every word of the set counts as wrong."""
    report = report_on(
        [score_utterance(clip, "") for clip in golden.clips],
        model_sha256=digest_of(folder / WEIGHTS),
        dataset_sha256=golden.sha256,
        audio_s=golden.audio_s,
        wall_s=0.0,
    )
    return report.model_copy(update={"defects": tuple(defects)})


def _footprint(folder: Path, checkpoint: WhisperCheckpoint, golden: GoldenSet, n_tokens: int) -> Footprint:
    n_windows = windows_of((clip.samples.size for clip in golden.clips), checkpoint.features.n_samples)
    spent = operations(checkpoint.dims, n_windows=n_windows, n_tokens=n_tokens)
    return Footprint(size_bytes=size_of(folder), operations=round(spent / golden.audio_s), n_tokens=n_tokens)


def _probe(checkpoint: WhisperCheckpoint, options: TranscribeOptions, batch_size: int) -> tuple[ProbeScore, ...]:
    sounds = probes()
    heard = transcribe_many(checkpoint, [one.samples for one in sounds], batch_size=batch_size, options=options)
    return tuple(ProbeScore(name=one.name, hypothesis=said.text) for one, said in zip(sounds, heard, strict=True))


def _time(
    checkpoint: WhisperCheckpoint, golden: GoldenSet, options: TranscribeOptions, batch_size: int
) -> tuple[ClipTiming, ...]:
    """Some spoken clips of one window each, drawn by their names: both models of a comparison get the same."""
    fitting = [
        clip for clip in golden.clips if clip.text.strip() and clip.samples.size <= checkpoint.features.n_samples
    ]
    drawn = sorted(fitting, key=lambda clip: sha256_hex(clip.clip_id.encode()))[:MOST_TIMED]
    language = options.language if checkpoint.tokenizer.is_multilingual else None
    placed = place_in_time(checkpoint, [clip.samples for clip in drawn], language=language, batch_size=batch_size)
    return tuple(
        ClipTiming(clip_id=clip.clip_id, duration_s=round(clip.duration_s, 3), segments=pieces)
        for clip, pieces in zip(drawn, placed, strict=True)
    )


def score_utterance(clip: GoldenClip, hypothesis: str, *, language: str = "en") -> UtteranceScore:
    """Errors of one transcript, words and characters, after normalising both sides as texts of the language."""
    reference, heard = normalize_text(clip.text, language=language), normalize_text(hypothesis, language=language)
    words, characters = word_errors(reference, heard), character_errors(reference, heard)
    raw = word_errors(clip.text, hypothesis)
    return UtteranceScore(
        clip_id=clip.clip_id,
        speaker=clip.speaker,
        slice=clip.slice,
        word_errors=words.errors,
        n_words=words.n_reference,
        character_errors=characters.errors,
        n_characters=characters.n_reference,
        hypothesis=hypothesis,
        domain=clip.domain,
        raw_word_errors=raw.errors,
        n_raw_words=raw.n_reference,
    )


def report_on(
    utterances: Sequence[UtteranceScore],
    *,
    model_sha256: str,
    dataset_sha256: str,
    audio_s: float,
    wall_s: float,
    n_resamples: int = N_RESAMPLES,
) -> EvaluationReport:
    """Counted utterances as a report. Clips without words stand in no error rate; the gate judges them apart."""
    spoken = [utterance for utterance in utterances if utterance.n_words]
    slices = sorted({utterance.slice for utterance in spoken})
    return EvaluationReport(
        model_sha256=model_sha256,
        dataset_sha256=dataset_sha256,
        wer=word_score(spoken, n_resamples=n_resamples),
        cer=character_score(spoken, n_resamples=n_resamples),
        slices={name: word_score([u for u in spoken if u.slice == name], n_resamples=n_resamples) for name in slices},
        utterances=tuple(utterances),
        n_clips=len(utterances),
        audio_s=round(audio_s, 3),
        wall_s=round(wall_s, 3),
    )


def word_score(utterances: Sequence[UtteranceScore], *, n_resamples: int = N_RESAMPLES) -> Score:
    """Word error rate over these utterances."""
    errors = [u.word_errors for u in utterances]
    return _score(errors, [u.n_words for u in utterances], [u.speaker for u in utterances], n_resamples)


def character_score(utterances: Sequence[UtteranceScore], *, n_resamples: int = N_RESAMPLES) -> Score:
    """Character error rate over these utterances."""
    errors = [u.character_errors for u in utterances]
    return _score(errors, [u.n_characters for u in utterances], [u.speaker for u in utterances], n_resamples)


def _score(errors: Sequence[int], units: Sequence[int], speakers: Sequence[str], n_resamples: int) -> Score:
    interval = ratio_interval(errors, units, speakers, n_resamples=n_resamples)
    # A bound may miss the value by a rounding of the quantile; a score's interval holds its value.
    low, high = max(0.0, min(interval.low, interval.value)), max(interval.high, interval.value)
    return Score(value=interval.value, low=low, high=high, n_units=sum(units))
