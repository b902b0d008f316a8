"""A model over a golden set: what it writes, how wrong that is, and how sure one can be."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from pathlib import Path

from projectone.contracts.scores import EvaluationReport, Score, UtteranceScore
from projectone.errors import EvaluationError
from projectone.server.evaluation.bootstrap import N_RESAMPLES, ratio_interval
from projectone.server.evaluation.golden import GoldenClip, GoldenSet
from projectone.speech.int8 import Numerics, load_for_inference
from projectone.speech.normalize import normalize_text
from projectone.speech.transcribe import GREEDY, TranscribeOptions, transcribe_many
from projectone.speech.wer import character_errors, word_errors
from projectone.storage.files import digest_of

WEIGHTS = "model.safetensors"
# One try without chance, so that two models differ by nothing but themselves.
SCORING = TranscribeOptions(temperatures=GREEDY.temperatures, language="en")


def score_model(
    folder: Path,
    golden: GoldenSet,
    *,
    options: TranscribeOptions | None = None,
    numerics: Numerics = "float32",
    batch_size: int = 16,
    on_progress: Callable[[int, int], None] | None = None,
    clock: Callable[[], float] = time.monotonic,
) -> EvaluationReport:
    """Transcribe every clip of the set with the model in `folder`, and count.

    Args:
        folder: Model in the Hugging Face layout, with the numbers that ship.
        golden: The set.
        options: How to transcribe; greedy and English by default.
        numerics: What the model computes in.
        batch_size: Clips decoded together.
        on_progress: Told how many clips are done, of how many.
        clock: Seconds, monotonic.

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
    heard = transcribe_many(
        checkpoint,
        [clip.samples for clip in golden.clips],
        batch_size=batch_size,
        options=options,
        on_progress=on_progress,
    )
    utterances = [score_utterance(clip, said.text) for clip, said in zip(golden.clips, heard, strict=True)]
    return report_on(
        utterances,
        model_sha256=digest_of(folder / WEIGHTS),
        dataset_sha256=golden.sha256,
        audio_s=golden.audio_s,
        wall_s=clock() - begun,
    )


def score_utterance(clip: GoldenClip, hypothesis: str) -> UtteranceScore:
    """Errors of one transcript, words and characters, after normalising both sides."""
    reference, heard = normalize_text(clip.text), normalize_text(hypothesis)
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
    low, high = min(interval.low, interval.value), max(interval.high, interval.value)
    return Score(value=interval.value, low=low, high=high, n_units=sum(units))
